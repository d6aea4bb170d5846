import copy
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from salt.cluster import claims
from salt.cluster.claims import MARGIN, PROGRAM, START, UNKNOWN, WORKER, Claims
from salt.runtime import timings
from salt.runtime.timings import Timing
from salt.workflow.cost import TileCount
from schemas.reading import check_config

WINNING = yaml.safe_load(Path("workflow_config.yaml").read_text())
TGS = TileCount(4000, 18000, 101 * 101)
MODEL = "stage1_resnet34"


@pytest.fixture
def config():
    return check_config(copy.deepcopy(WINNING))


@pytest.fixture
def cost(monkeypatch):
    """Sets the tiles and timings that claims follow from."""

    def set_to(tiles, measured=()):
        monkeypatch.setattr(claims, "count_tiles", lambda _: tiles)
        monkeypatch.setattr(timings, "load", lambda _: measured)

    return set_to


class Wildcards(SimpleNamespace):
    def items(self):
        return vars(self).items()


def measured(config, tiles, seconds):
    model = config.models[MODEL]
    return Timing(
        timings.kind(model.network), model.input.known_shape((101, 101)), tiles, seconds, 10**8, "NVIDIA H200"
    )


def test_what_was_not_measured_claims_half_a_day_and_twice_that_in_the_next_attempt(config, cost):
    cost(TGS)
    fold, of_config = Wildcards(model=MODEL, fold="0"), Claims(config)
    for claim in (of_config.train_minutes, of_config.predict_minutes, of_config.image_minutes):
        assert [claim(fold, attempt) for attempt in (1, 2, 3)] == [UNKNOWN, 2 * UNKNOWN, 4 * UNKNOWN]


def test_the_time_of_a_training_follows_from_its_epochs_and_a_measured_one(config, cost):
    cost(TGS, [measured(config, tiles=1000, seconds=2.0)])
    epochs = sum(phase.schedule.most_epochs for phase in config.models[MODEL].phases)
    expected = START + MARGIN * epochs * 3200 * 2.0 / 1000 / 60
    found = Claims(config).train_minutes(Wildcards(model=MODEL, fold="0"), 1)
    assert found == pytest.approx(expected, abs=1)
    assert Claims(config).train_minutes(Wildcards(model=MODEL, fold="0"), 2) == 2 * found


def test_a_prediction_takes_two_passes_for_each_snapshot(config, cost):
    cost(TGS, [measured(config, tiles=1000, seconds=20.0)])
    snapshots = len(config.models[MODEL].snapshots)
    expected = START + MARGIN * 2 * snapshots * (800 + 18000) * 20.0 / 1000 / 60
    assert Claims(config).predict_minutes(Wildcards(model=MODEL, fold="0"), 1) == pytest.approx(expected, abs=1)


def test_cores_and_memory_follow_from_threads_workers_and_tiles(config, cost):
    compute = config.compute
    cost(None)
    small = Claims(config).megabytes(Wildcards(), 1)
    assert small == PROGRAM + WORKER * compute.loader_workers
    assert Claims(config).megabytes(Wildcards(), 3) == 4 * small
    assert Claims(config).cores == compute.threads + compute.loader_workers
    cost(TGS)
    assert Claims(config).megabytes(Wildcards(), 1) == small + 4 * 22000 * 101 * 101 * 2 // 10**6
