import copy
import itertools

import pytest

from schemas import rounds
from schemas.config import Config
from schemas.reading import check_config
from tests.schemas.conftest import WINNING, merge


def recipe(**overlay):
    return check_config(merge(copy.deepcopy(WINNING), overlay))


def test_the_winning_recipe_has_three_rounds_and_its_gain_is_over_stage_1():
    assert list(rounds.numbers(recipe()).values()) == [1, 1, 2, 2, 3, 3]
    assert rounds.first_ensemble(recipe()) == "stage1"


def test_a_model_learns_from_all_models_of_the_ensemble_that_makes_its_pseudo_labels():
    config = recipe()
    assert rounds.teachers(config, "stage1_resnext50") == []
    assert rounds.teachers(config, "stage3_pad128") == ["stage2_resnet34", "stage2_resnext50"]
    assert rounds.predictors(config, "stage2_confident") == {"stage2_resnet34": 1, "stage2_resnext50": 1}


def test_a_single_model_can_make_pseudo_labels():
    config = recipe(pseudo_labels={"stage1_confident": {"ensemble": "stage1_resnet34"}})
    assert rounds.predictors(config, "stage1_confident") == {"stage1_resnet34": 1}
    assert rounds.teachers(config, "stage2_resnext50") == ["stage1_resnet34"]


def test_without_an_ensemble_of_round_1_the_gain_is_over_its_first_model():
    config = recipe(
        ensembles={"stage1": {"stage2_resnet34": 1}},
        pseudo_labels={name: {"ensemble": "stage1_resnet34"} for name in ("stage1_confident", "stage1_by_size")},
    )
    assert rounds.first_ensemble(config) == "stage1_resnext50"


def test_a_cycle_is_reported_from_student_to_teacher():
    looped = merge(WINNING, {"pseudo_labels": {"stage1_confident": {"ensemble": "stage2"}}})
    config = Config.model_validate(looped)
    cycle = rounds.cycle(config)
    assert cycle[0] == cycle[-1]
    assert all(teacher in rounds.teachers(config, student) for student, teacher in itertools.pairwise(cycle))
    assert rounds.cycle(recipe()) is None


@pytest.mark.parametrize(("scope", "folders"), [("ensemble", ["all_folds"]), ("fold", [f"fold{k}" for k in range(5)])])
def test_a_pretraining_has_the_scope_of_its_pseudo_labels(scope, folders):
    config = recipe(pseudo_labels={"stage1_confident": {"scope": scope}})
    assert rounds.pretrainings(config, "stage2_resnext50") == folders
    assert rounds.pretrainings(config, "stage1_resnext50") == []


def test_sets_of_scope_ensemble_leak_and_those_of_scope_fold_do_not():
    assert rounds.leaking(recipe()) == ["stage1_confident", "stage2_confident", "stage1_by_size"]
    assert rounds.leaking(recipe(pseudo_labels={"stage1_confident": {"scope": "fold"}})) == [
        "stage2_confident",
        "stage1_by_size",
    ]
