import numpy as np
import pytest
import torch

from salt.data.tiles import Tiles
from salt.training.task import Task
from schemas.config import Compute
from schemas.errors import UserError
from schemas.training import TrainSettings
from tests.easy_tiles import easy_tiles

PHASE = {
    "loss": "bce",
    "optimizer": {"name": "adamw", "lr": 0.01},
    "schedule": {"name": "cosine", "cycles": [1]},
    "batch": 4,
}


def create(tiles, held_out=True, pad=None, batch=4, consistency=None, **more):
    network = {"name": "unet_plain", "width": 4, "levels": 3}
    given = {
        "seed": 3,
        "network": network,
        "input": {"pad": pad},
        "augment": "none",
        "phases": [PHASE | {"batch": batch, "consistency": consistency}],
    }
    compute = Compute(device="cpu", threads=1, loader_workers=0)
    settings = TrainSettings.model_validate(given)
    return Task.create(settings, compute, tiles, tiles if held_out else None, **more)


def weights(task):
    return task.network.state_dict()["head.weight"]


def test_the_first_weights_are_a_function_of_seed_and_fold(tiles):
    assert torch.equal(weights(create(tiles, fold=1)), weights(create(tiles, fold=1)))
    assert len({weights(create(tiles, fold=fold)).numpy().tobytes() for fold in (None, 0, 1)}) == 3


def test_its_fingerprint_is_one_of_tiles_draws_seed_and_what_is_held_out(tiles):
    tasks = [create(tiles), create(tiles, held_out=False), create(tiles, fold=0), create(tiles.select([1, 2, 3, 4]))]
    tasks.append(create(tiles, draws=30))
    assert len({task.fingerprint() for task in tasks}) == 5
    assert create(tiles).fingerprint() == tasks[0].fingerprint()


def test_its_fingerprint_is_one_of_weights_too(tiles):
    weights = [Tiles(tiles.table.assign(weight=weight), *tiles.arrays) for weight in (0.5, 1.0)]
    assert len({create(some, held_out=False).fingerprint() for some in (tiles, *weights)}) == 3


def test_an_input_that_the_network_cannot_halve_is_refused(tiles):
    with pytest.raises(UserError, match="multiples of 4 px, found 42 px. Set `resize` or `pad`"):
        create(tiles, pad=42)


def test_a_batch_larger_than_the_tiles_is_refused_for_a_fold_and_warned_of_in_a_pretraining(tiles, caplog):
    with pytest.raises(UserError, match="at least 25 tiles to train on, the batch of phase 1, found 24. Lower"):
        create(tiles, batch=25)
    with caplog.at_level("INFO"):
        create(tiles, held_out=False, batch=25)
    assert "Each step takes all of them" in caplog.text


def test_a_batch_may_be_as_large_as_a_pass_that_draws_tiles_again(tiles, caplog):
    with caplog.at_level("INFO"):
        assert create(tiles, batch=30, draws=30).draws == 30
    assert "24 tiles to train on in 30 draws a pass, 24 held out" in caplog.text
    with pytest.raises(UserError, match="at least 25 tiles to train on, the batch of phase 1, found 20. Lower"):
        create(tiles, batch=25, draws=20)


def test_unlabelled_tiles_are_part_of_the_fingerprint_and_needed_only_for_consistency(tiles):
    strong = [{"name": "noise", "p": 1, "std": 0.1}]
    consistency = {"consistency": {"teacher": "self", "batch": 4, "augment": strong}}
    others = [easy_tiles(5, split="test", seed=seed) for seed in (1, 2)]
    tasks = [create(tiles, unlabelled=some, **consistency) for some in others]
    assert len({task.fingerprint() for task in tasks}) == 2
    for none in (None, others[0].select(np.arange(0))):
        with pytest.raises(UserError, match="Expected unlabelled tiles that are not constant"):
            create(tiles, unlabelled=none, **consistency)
