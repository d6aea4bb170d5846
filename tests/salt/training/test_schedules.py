import itertools
import json
import math
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from salt.training import schedules
from schemas.phases import Swa
from schemas.reading import check_config
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


@given(st.integers(0, 5), st.floats(0, 1, exclude_max=True))
def test_a_rate_of_an_epoch_is_that_of_its_start_until_its_end(epoch, fraction):
    a_rate_an_epoch = COSINE.model_copy(update={"interval": "epoch"})
    found = schedules.learning_rate(a_rate_an_epoch, 1.0, [0.5] * epoch, fraction)
    assert found == schedules.learning_rate(COSINE, 1.0, [0.5] * epoch, 0)


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


@pytest.mark.parametrize(
    ("scores", "lr", "stop"),
    [
        ([0.5, 0.55, 0.59], 0.5, False),  # no rise above 0.1 in two epochs
        ([0.5, 0.55, 0.65], 1.0, False),  # small rises add up
        ([0.5, 0.55, 0.65, 0.7, 0.7], 0.5, False),
        ([0.5, 0.51, 0.52, 0.53, 0.54, 0.55], 0.25, False),  # any rise keeps the phase from ending
        ([0.5, 0.51, 0.4, 0.4, 0.4, 0.4, 0.4], 0.2, True),
    ],
)
def test_a_plateaus_rate_counts_rises_above_min_delta_alone_and_its_end_all_rises_by_hand(scores, lr, stop):
    coarse = PLATEAU.model_copy(update={"min_delta": 0.1})
    assert schedules.plateau(coarse, 1.0, scores) == (lr, stop)


@given(st.lists(st.floats(0, 1), max_size=25), st.floats(0, 1, exclude_max=True))
def test_min_delta_changes_no_end_and_never_raises_a_rate(scores, min_delta):
    plain = schedules.plateau(PLATEAU, 1.0, scores)
    coarse = schedules.plateau(PLATEAU.model_copy(update={"min_delta": min_delta}), 1.0, scores)
    assert coarse.stop == plain.stop
    assert coarse.lr <= plain.lr


def test_plateau_never_goes_below_its_minimum():
    assert schedules.plateau(PLATEAU, 1.0, [1.0] + [0.0] * 15).lr == 0.2


@given(st.lists(st.floats(0, 1), max_size=25))
def test_a_plateau_is_one_cycle_that_ends_with_its_epochs_at_the_latest_and_not_before_its_fewest(scores):
    assert not schedules.is_over(PLATEAU, scores[: PLATEAU.fewest_epochs - 1])
    assert schedules.is_over(PLATEAU, scores) == schedules.ends_cycle(PLATEAU, scores)
    assert schedules.is_over(PLATEAU, [*scores, *[0.0] * 20])
    assert 0.2 <= schedules.learning_rate(PLATEAU, 1.0, scores, fraction=0.5) <= 1.0


# The original's numbers -----------------------------------------------------------------------------------------------

GOLDEN = json.loads(Path("tests/golden/schedules.json").read_text(encoding="utf-8"))
WINNING = check_config(yaml.safe_load(Path("workflow_config.yaml").read_text(encoding="utf-8"))).models
FOLDS, PRETRAINED = WINNING, {name: model.pretrain for name, model in WINNING.items()}
COSINES = {  # of golden schedules: where the winning recipe has them, and which of the cycles these are
    "stage1_resnet34": (FOLDS["stage1_resnet34"].phases[0], [0, 1, 2, 3, 4, 5]),
    "stage2_resnet34": (FOLDS["stage2_resnet34"].phases[0], [0, 1, 2, 3]),
    "stage3_pad128_pretraining": (PRETRAINED["stage3_pad128"].phases[0], [0, 1, 2]),
    "stage3_pad128": (FOLDS["stage3_pad128"].phases[0], [0, 1, 2, 3]),
    "stage1_resnext50_cosine": (FOLDS["stage1_resnext50"].phases[2], [0, 1, 2]),
    "stage2_resnext50_pretraining_bce_dice": (PRETRAINED["stage2_resnext50"].phases[0], [0]),
    "stage2_resnext50_pretraining_lovasz": (PRETRAINED["stage2_resnext50"].phases[1], [0]),
    "stage2_resnext50_cycles_1_and_2": (FOLDS["stage2_resnext50"].phases[1], [0, 1]),
    "stage2_resnext50_cycle_3": (FOLDS["stage2_resnext50"].phases[1], [2]),
}
PLATEAUS = {
    "stage1_resnext50_phase1": FOLDS["stage1_resnext50"].phases[0],
    "stage1_resnext50_phase2": FOLDS["stage1_resnext50"].phases[1],
    "stage2_resnext50_phase1": FOLDS["stage2_resnext50"].phases[0],
}
RELATIVE = {"rel": 1e-12, "abs": 0}


def test_all_golden_schedules_are_compared():
    assert GOLDEN["cosine"].keys() == COSINES.keys()
    assert GOLDEN["plateau"].keys() == PLATEAUS.keys()


@pytest.mark.parametrize("name", COSINES)
@pytest.mark.parametrize("fraction", [0, 0.99], ids=["first step", "last step"])
def test_the_rate_of_each_epoch_of_a_cosine_is_the_originals(name, fraction):
    golden, (phase, cycles) = GOLDEN["cosine"][name], COSINES[name]
    schedule, length = phase.schedule, golden["epochs_a_cycle"]
    assert (phase.optimizer.lr, schedule.min_lr) == (golden["max_lr"], golden["eta_min"])
    assert (
        [schedule.cycles[cycle] for cycle in cycles] == [length] * golden["cycles"] == [golden["T_max"]] * len(cycles)
    )
    for cycle in cycles:
        start = sum(schedule.cycles[:cycle])
        found = [
            schedules.learning_rate(schedule, phase.optimizer.lr, [0.5] * epoch, fraction)
            for epoch in range(start, start + length)
        ]
        assert found == pytest.approx(golden["lr_of_each_epoch"], **RELATIVE)


@pytest.mark.parametrize("name", PLATEAUS)
def test_the_settings_of_a_plateau_are_the_originals(name):
    phase, schedule = PLATEAUS[name], PLATEAUS[name].schedule
    assert GOLDEN["plateau"][name]["settings"] == {
        "loss": {"bce_dice": "bce_dice", "lovasz_elu": "lovasz"}[phase.loss_words],
        "lr": phase.optimizer.lr,
        "factor": schedule.factor,
        "patience": schedule.patience,
        "stop_after": schedule.stop_after,
        "min_lr": schedule.min_lr,
        "at_most": schedule.epochs,
    }


@pytest.mark.parametrize("name", PLATEAUS)
@pytest.mark.parametrize("sequence", GOLDEN["score_sequences"])
def test_a_plateau_has_the_rates_and_the_end_of_the_originals(name, sequence):
    phase, scores = PLATEAUS[name], GOLDEN["score_sequences"][sequence]
    schedule, top = phase.schedule, phase.optimizer.lr
    epochs = next((done for done in range(len(scores)) if schedules.is_over(schedule, scores[:done])), len(scores))
    rates = [schedules.learning_rate(schedule, top, scores[:done], 0.5) for done in range(epochs)]
    golden = GOLDEN["plateau"][name]["runs"][sequence]
    assert epochs == golden["epochs_run"]
    assert schedules.plateau(schedule, top, scores[:epochs]).stop == golden["stopped_early"]
    runs = [[rate, len(list(equal))] for rate, equal in itertools.groupby(rates)]
    assert [count for _, count in runs] == [count for _, count in golden["lr_then_epochs_at_it"]]
    expected = [rate for rate, _ in golden["lr_then_epochs_at_it"]]
    assert [rate for rate, _ in runs] == pytest.approx(expected, **RELATIVE)
