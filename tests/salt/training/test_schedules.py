import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from salt.training import schedules
from schemas.phases import Swa
from schemas.schedules import Cosine, Plateau, Triangular2

COSINE = Cosine(name="cosine", cycles=(2, 4), min_lr=0.1)
TRIANGLES = Triangular2(name="triangular2", cycles=(2, 4), min_lr=0.2)
PLATEAU = Plateau(name="plateau", epochs=20, factor=0.5, patience=2, stop_after=5, min_lr=0.2)


@pytest.mark.parametrize(
    ("epoch", "lr"), [(0, 1.0), (0.5, 0.1 + 0.9 * (1 + math.sqrt(0.5)) / 2), (1, 0.55), (2, 1.0), (4, 0.55), (6, 0.1)]
)
def test_cosine_falls_to_its_minimum_in_each_cycle_and_starts_again(epoch, lr):
    assert schedules.cosine(COSINE, 1.0, epoch) == pytest.approx(lr)


@pytest.mark.parametrize(
    ("epoch", "lr"), [(0, 0.2), (0.5, 0.6), (1, 1.0), (1.5, 0.6), (2, 0.2), (3, 0.4), (4, 0.6), (5, 0.4), (6, 0.2)]
)
def test_triangles_rise_and_fall_and_the_second_is_half_as_high(epoch, lr):
    assert schedules.triangular2(TRIANGLES, 1.0, epoch) == pytest.approx(lr)


@pytest.mark.parametrize("schedule", [COSINE, TRIANGLES], ids=["cosine", "triangular2"])
def test_the_rate_of_a_cycle_is_a_function_of_the_epoch_alone(schedule):
    """So a training that goes on in the middle has the rates of one that never stopped."""
    rates = [schedules.learning_rate(schedule, 1.0, scores, 0.25) for scores in ([0.1] * 3, [0.9, 0.2, 0.4])]
    assert rates[0] == rates[1] == getattr(schedules, schedule.name)(schedule, 1.0, 3.25)


@pytest.mark.parametrize(
    ("start", "every", "joining"), [(1, 1, [1, 2, 3, 4, 5, 6]), (3, 1, [3, 4, 5, 6]), (2, 2, [2, 4, 6])]
)
def test_weights_join_the_average_at_the_ends_of_the_epochs_asked_for(start, every, joining):
    swa = Swa(name="swa", start=start, every=every)
    assert [done for done in range(1, 7) if schedules.joins_average(swa, done)] == joining


@pytest.mark.parametrize("schedule", [COSINE, TRIANGLES], ids=["cosine", "triangular2"])
def test_a_cycle_ends_where_its_epochs_do(schedule):
    ends = [schedules.ends_cycle(schedule, [0.0] * done) for done in range(1, 7)]
    assert ends == [False, True, False, False, False, True]
    assert [schedules.is_over(schedule, [0.0] * done) for done in (5, 6)] == [False, True]


def test_an_epoch_belongs_to_the_cycle_that_has_not_ended_before_it():
    assert [schedules.cycle(COSINE, [0.0] * done) for done in range(6)] == [1, 1, 2, 2, 2, 2]
    assert [schedules.cycle(PLATEAU, [0.0] * done) for done in range(3)] == [1, 1, 1]


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
def test_a_plateau_is_one_cycle_that_ends_with_its_epochs_at_the_latest_and_not_before_its_fewest(scores):
    assert not schedules.is_over(PLATEAU, scores[: PLATEAU.fewest_epochs - 1])
    assert schedules.is_over(PLATEAU, scores) == schedules.ends_cycle(PLATEAU, scores)
    assert schedules.is_over(PLATEAU, [*scores, *[0.0] * 20])
    assert 0.2 <= schedules.learning_rate(PLATEAU, 1.0, scores, fraction=0.5) <= 1.0
