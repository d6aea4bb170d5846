import itertools
import shutil

import numpy as np
import pytest
import torch

from models.registry import create_network
from salt.data.network_input import Geometry
from salt.inference.predictor import Predictor, ready
from salt.inference.snapshots import resolve, write_members
from salt.inference.trained_run import Ensemble
from salt.inference.weight_files import copy_state, load_weights, save_weights
from salt.runtime.paths import Run
from salt.runtime.progress import Ticker
from schemas.config import Compute
from schemas.results import EnsembleMember
from tests.easy_tiles import SIDE, easy_tiles

MEMBERS = {
    name: EnsembleMember.model_validate(
        {"network": {"name": "unet_plain", "width": width, "levels": 2}, "input": {"channels": "ramp"}}
        | {"weight": weight}
    )
    for name, width, weight in (("one", 3, 2), ("two", 4, 1))
}
SNAPSHOTS = {"one": {"a": 1.0, "b": 3.0}, "two": {"a": 5.0}}
SHARES = {("one", "a"): 2 / 3 / 4, ("one", "b"): 2 / 3 * 3 / 4, ("two", "a"): 1 / 3}  # each divided among two folds


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    for seed, (fold, (name, snapshot)) in enumerate(itertools.product((0, 1), SHARES)):
        torch.manual_seed(seed)
        state = copy_state(create_network(MEMBERS[name].network))
        loud = {
            key: 5 * value if key.endswith("weight") else value for key, value in state.items()
        }  # all differ widely
        of_fold = Run(folder).fold(name, fold)
        save_weights(of_fold.snapshots / f"{snapshot}.safetensors", loud)
        write_members(of_fold.members, resolve(SNAPSHOTS[name], []))
    return folder


@pytest.fixture
def ensemble(folder):
    return Ensemble(
        MEMBERS,
        2,
        (SIDE, SIDE),
        Run(folder),
        Compute(device="cpu", threads=1, predict_batch=2, predict_dtype="float32"),
    )


def test_it_is_the_mean_over_models_of_folds_of_snapshots_by_weight(folder, ensemble):
    tiles = easy_tiles(5).images
    expected = np.zeros(tiles.shape)
    for fold, ((name, snapshot), share) in itertools.product((0, 1), SHARES.items()):
        network = create_network(MEMBERS[name].network)
        load_weights(network, folder / "models" / name / f"fold{fold}" / "snapshots" / f"{snapshot}.safetensors")
        network = ready(network, 3, torch.device("cpu"))
        alone = Predictor([network], [1], Geometry(MEMBERS[name].input, (SIDE, SIDE)), torch.device("cpu"))
        expected += share / 2 * alone.predict(tiles, np.full(5, np.nan, np.float32)).tta
    found = ensemble.predict(tiles, Ticker("tiles", 5), 0)
    assert found.dtype == np.float32
    assert np.abs(found - expected).max() < 1e-6
    assert found[0].max() == 0  # constant
    assert found[1:].std() > 0.05


def test_each_fold_has_the_snapshots_that_its_members_name(folder, ensemble, tmp_path):
    """As of a rule that the folds' scores decide."""
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    other = Run(tmp_path).fold("one", 1)
    write_members(other.members, resolve({"b": 2.0}, []))
    found = Ensemble(MEMBERS, 2, (SIDE, SIDE), Run(tmp_path), Compute(device="cpu", threads=1))
    assert len(found) == len(ensemble) - 1
    assert [share for path, share in found.shares["one"].items() if path.parent == other.snapshots] == [0.5]
    assert sum(found.shares["one"].values()) == 1


def test_its_length_is_that_of_all_networks_and_their_files_are_there(ensemble):
    assert len(ensemble) == len(set(ensemble.files)) == 6
    assert all(path.is_file() for path in ensemble.files)


def test_the_ticker_ends_with_all_tiles(ensemble, monkeypatch):
    ticks = []
    ticker = Ticker("tiles", 15)
    monkeypatch.setattr(ticker, "tick", ticks.append)
    ensemble.predict(easy_tiles(5).images, ticker, before=10)
    assert ticks == sorted(ticks)
    assert (ticks[0], ticks[-1]) == (10, 15)
