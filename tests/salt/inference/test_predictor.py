import numpy as np
import pytest
import torch
from torch import nn

from models.registry import create_network
from salt.data.network_input import Geometry
from salt.inference import predictor
from salt.inference.predictor import Predictor, ready
from schemas.networks import Input, PlainUnet

GEOMETRY = Geometry(Input(channels="grey3"), tile=(8, 8))
DEPTHS = np.full(3, np.nan, np.float32)  # unknown


class Left(nn.Module):
    """Says salt with `logit` in the left half, whatever it sees."""

    def __init__(self, logit):
        super().__init__()
        self.logit = logit

    def forward(self, x):
        mask = torch.zeros(len(x), 1, 8, 8)
        mask[..., :4] = self.logit
        return {"mask": mask}


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (3, 8, 8), dtype=np.uint8)


def test_tta_is_the_mean_of_the_tile_and_its_mirror_image_turned_back(images):
    found = Predictor([Left(40.0)], [1], GEOMETRY, torch.device("cpu")).predict(images, DEPTHS)
    assert found.plain[0, 0].tolist() == [1] * 4 + [0.5] * 4
    assert found.tta[0, 0].tolist() == [0.75] * 8


def test_snapshots_are_averaged_by_weight_as_probabilities(images):
    found = Predictor([Left(40.0), Left(-40.0)], [3, 1], GEOMETRY, torch.device("cpu")).predict(images, DEPTHS)
    assert found.plain[0, 0, 0] == pytest.approx(0.75)


def test_constant_tiles_hold_no_salt(images):
    images[1] = 7
    found = Predictor([Left(40.0)], [1], GEOMETRY, torch.device("cpu")).predict(images, DEPTHS)
    assert found.plain[1].max() == found.tta[1].max() == 0
    assert found.plain[2].max() == 1


def test_three_colours_are_predicted_as_one_mask(images):
    colours = np.repeat(images[..., None], 3, axis=3)
    colours[1] = (7, 200, 9)
    found = Predictor([Left(40.0)], [1], GEOMETRY, torch.device("cpu")).predict(colours, DEPTHS)
    assert found.tta.shape == (3, 8, 8)
    assert found.plain[1].max() == 0  # one colour all over
    assert found.plain[2].max() == 1


@pytest.fixture
def network():
    torch.manual_seed(0)
    return ready(create_network(PlainUnet(name="unet_plain", width=16, levels=3)), 3, torch.device("cpu"))


def test_slices_of_a_batch_give_what_the_batch_gives(images, network, monkeypatch):
    of_batch = Predictor([network], [1], GEOMETRY, torch.device("cpu")).predict(images, DEPTHS)
    monkeypatch.setattr(predictor, "CPU_PIXELS", 64)  # a tile each
    of_slices = Predictor([network], [1], GEOMETRY, torch.device("cpu")).predict(images, DEPTHS)
    assert np.abs(of_slices.tta - of_batch.tta).max() < 1e-6


def test_half_precision_moves_probabilities_little(images, network):
    exact = Predictor([network], [1], GEOMETRY, torch.device("cpu")).predict(images, DEPTHS)
    found = Predictor([network], [1], GEOMETRY, torch.device("cpu"), torch.bfloat16).predict(images, DEPTHS)
    assert found.tta.dtype == np.float32
    assert 0 < np.abs(found.tta - exact.tta).max() < 0.02


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_one_thread_and_two_give_the_same_bytes(network, threads, dtype):
    tiles = np.random.default_rng(1).integers(0, 256, (20, 64, 64), dtype=np.uint8)
    geometry, depths, found = Geometry(Input(channels="grey3"), (64, 64)), np.full(20, np.nan, np.float32), []
    for count in (1, 2):
        threads(count)
        one = Predictor([network], [1], geometry, torch.device("cpu"), dtype)
        found.append(one.predict(tiles, depths).tta.tobytes())
    assert found[0] == found[1]
