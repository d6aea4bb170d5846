import numpy as np
import pandas as pd
import pytest
import torch

from models.pretrained import create_encoder
from models.registry import create_network
from salt.data.predictions import FIELDS
from salt.data.records import create_records
from salt.data.tiles import save_tiles
from salt.inference.snapshots import KeptSnapshot, write_table
from salt.inference.weight_files import copy_state, save_weights
from salt.runtime.atomic import atomic_folder
from salt.training.loader import EpochSampler
from schemas.networks import PlainUnet, Unet
from schemas.training import TrainSettings
from tests.easy_tiles import easy_tiles

COMPUTE = '{"device": "cpu", "threads": 1, "loader_workers": 0}'
NETWORK = PlainUnet(name="unet_plain", width=4, levels=3)
ON_ENCODER = Unet(name="unet", encoder="tu-test_resnet", decoder_channels=(16, 16, 16))


def train_settings(cycles=(2,), network=NETWORK, **more) -> str:
    """The JSON of a small training, with more keys of its phase."""
    phase = {"loss": "bce_dice", "batch": 4, "optimizer": {"name": "adamw", "lr": 0.01}} | more
    settings = {
        "seed": 3,
        "network": network.model_dump(),
        "input": {"channels": "ramp"},
        "augment": "write_up",
        "phases": [phase | {"schedule": {"name": "cosine", "cycles": cycles}}],
    }
    return TrainSettings.model_validate(settings).model_dump_json()


@pytest.fixture
def steps(monkeypatch):
    """The rows of the tiles of each step that trainings take; a test may clear them."""
    taken = []

    class Recording(EpochSampler):
        def __iter__(self):
            for draws in super().__iter__():
                taken.append([row for _, _, row in draws])
                yield draws

    monkeypatch.setattr("salt.training.loader.EpochSampler", Recording)
    return taken


@pytest.fixture
def run(tmp_path):
    """A run's folder with its tiles, two folds, and no mosaics."""
    train, test = easy_tiles(12), easy_tiles(6, split="test", seed=1)
    save_tiles(tmp_path / "tiles", train, test)
    pd.DataFrame({"id": train.ids, "fold": np.arange(12) % 2}).to_csv(tmp_path / "folds.csv", index=False)
    (tmp_path / "mosaics.csv").write_text("id,mosaic,row,column\n")
    return tmp_path


@pytest.fixture
def encoder_weights(run):
    """Weights of a tiny encoder, as fetch_weights leaves them."""
    torch.manual_seed(9)
    save_weights(run / "encoder.safetensors", copy_state(create_encoder(ON_ENCODER.encoder)))
    return run / "encoder.safetensors"


@pytest.fixture
def snapshots(run):
    """A fold's folder of weights, of two untrained networks, and the table of them beside it."""
    kept = [KeptSnapshot(f"phase1_cycle{number}", 1, number, number, number / 10) for number in (1, 2)]
    write_table(run / "snapshots.csv", kept)
    with atomic_folder(run / "snapshots") as folder:
        for number in (1, 2):
            torch.manual_seed(number)
            save_weights(folder / f"phase1_cycle{number}.safetensors", copy_state(create_network(NETWORK)))
    return run / "snapshots"


def write_predictions(path, ids, probabilities):
    """Records of the same probabilities with and without mirror images."""
    with create_records(path, ids, {name: np.float16 for name in FIELDS}, *probabilities.shape[1:]) as records:
        for name in FIELDS:
            records[name] = probabilities


@pytest.fixture
def sure_predictions(run):
    """Test tiles: the first two constant or sure, the others ever less sure."""
    test = easy_tiles(6, split="test", seed=1)
    bright = (test.images > 120).astype(np.float64)
    doubt = np.array([0, 0, 0, 0, 0.25, 0.5])[:, None, None]
    write_predictions(run / "test.npy", test.ids, np.abs(bright - doubt))
    return run / "test.npy"
