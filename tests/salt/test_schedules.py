import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from salt import schedules
from schemas.config import Cosine, Plateau

COSINE = Cosine(name="cosine", cycles=(2, 4), min_lr=0.1)
PLATEAU = Plateau(name="plateau", epochs=20, factor=0.5, patience=2, stop_after=5, min_lr=0.2)


@pytest.mark.parametrize(
    ("epoch", "lr"), [(0, 1.0), (0.5, 0.1 + 0.9 * (1 + math.sqrt(0.5)) / 2), (1, 0.55), (2, 1.0), (4, 0.55), (6, 0.1)]
)
def test_cosine_falls_to_its_minimum_in_each_cycle_and_starts_again(epoch, lr):
    assert schedules.cosine(COSINE, 1.0, epoch) == pytest.approx(lr)


def test_a_cycle_ends_where_its_epochs_do():
    ends = [schedules.ends_cycle(COSINE, [0.0] * done) for done in range(1, 7)]
    assert ends == [False, True, False, False, False, True]
    assert [schedules.is_over(COSINE, [0.0] * done) for done in (5, 6)] == [False, True]


@pytest.mark.parametrize(
    ("scores", "lr", "stop"),
    [
        ([], 1.0, False),
        ([0.5, 0.4], 1.0, False),
        ([0.5, 0.4, 0.4], 0.5, False),  # two epochs without a better score
        ([0.5, 0.4, 0.4, 0.4, 0.4], 0.25, False),
        ([0.5, 0.4, 0.4, 0.6, 0.4], 0.5, False),  # a better score starts the count again
        ([0.5, 0.5, 0.5, 0.5, 0.5, 0.5], 0.25, True),  # an equal score is not better; five in a row end the phase
    ],
)
def test_plateau_by_hand(scores, lr, stop):
    assert schedules.plateau(PLATEAU, 1.0, scores) == (lr, stop)


def test_plateau_never_goes_below_its_minimum():
    assert schedules.plateau(PLATEAU, 1.0, [1.0] + [0.0] * 15).lr == 0.2


@given(st.lists(st.floats(0, 1), max_size=25))
def test_a_plateau_ends_after_its_epochs_and_leaves_one_snapshot(scores):
    assert schedules.is_over(PLATEAU, scores) == schedules.ends_cycle(PLATEAU, scores)
    assert schedules.is_over(PLATEAU, [*scores, *[0.0] * 20])
    assert 0.2 <= schedules.learning_rate(PLATEAU, 1.0, scores, fraction=0.5) <= 1.0
