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


@pytest.mark.parametrize("scope", ["ensemble", "fold"])
def test_a_control_is_pretrained_for_each_fold(scope):
    config = recipe(controls=True, pseudo_labels={"stage1_confident": {"scope": scope}})
    assert rounds.pretrainings(config, "stage2_resnext50_control") == [f"fold{k}" for k in range(5)]
    assert rounds.pretraining(config, "stage2_resnext50_control", 3) == "fold3"


def test_a_control_is_of_the_round_of_its_model():
    number = rounds.numbers(recipe(controls=True))
    assert number["stage2_resnet34_control"] == number["stage2_resnet34"] == 2
    assert number["stage3_pad128_control"] == number["stage3_pad128"] == 3


def test_controls_of_two_rounds_have_different_seeds_since_they_would_be_the_same_training():
    config = recipe(controls=True, seed=7)
    number = rounds.numbers(config)
    assert {number[name] for name, model in config.models.items() if model.control} == {2, 3}
    for name, model in config.models.items():
        assert rounds.seed(config, name) == (6 + number[name] if model.control else 7)


def test_what_has_a_control_is_told_and_what_is_one():
    config = recipe(controls=True)
    assert rounds.control_of(config, "final") == "final_control"
    assert rounds.control_of(config, "stage2_resnet34") == "stage2_resnet34_control"
    assert [rounds.control_of(config, name) for name in ("stage1", "stage1_resnet34", "final_control")] == [None] * 3
    assert rounds.control_of(recipe(), "final") is None
    assert rounds.is_control(config, "final_control")
    assert not rounds.is_control(config, "final")


def test_a_model_that_is_merely_called_so_is_no_control():
    config = recipe(ensembles={"stage1_control": {"stage1_resnet34": 1}})
    assert rounds.control_of(config, "stage1") is None
    assert rounds.stages(config)[:2] == ["stage1", "stage1_control"]


@pytest.mark.parametrize("controls", [False, True])
def test_the_stages_are_ensembles_by_round_without_controls(controls):
    turned = {"ensembles": {"late": {"stage3_pad128": 1}, "again": {"stage3_pad128": 2}, **WINNING["ensembles"]}}
    config = check_config(WINNING | turned | {"controls": controls})
    assert rounds.stages(config) == ["stage1", "stage2", "late", "again", "final"]


@pytest.mark.parametrize(
    ("submitted", "stages"),
    [
        ("stage2", ["stage1", "stage2", "final"]),  # the last stage is the one of the last round
        ("stage2_resnet34", ["stage1", "stage2", "final", "stage2_resnet34"]),
        ("final_control", ["stage1", "stage2", "final"]),
        ("stage2_resnet34_control", ["stage1", "stage2", "final"]),
    ],
)
def test_a_model_that_is_submitted_is_the_last_stage_unless_it_is_a_control(submitted, stages):
    assert rounds.stages(recipe(controls=True, submission={"ensemble": submitted})) == stages


def pairs(config):
    return [(pair.name, pair.than, pair.role) for pair in rounds.comparisons(config)]


def test_a_stage_is_compared_with_the_one_before_the_first_and_its_control():
    assert pairs(recipe(controls=True)) == [
        ("stage2", "stage1", "before"),
        ("stage2", "stage1", "first"),
        ("stage2", "stage2_control", "control"),
        ("final", "stage2", "before"),
        ("final", "stage1", "first"),
        ("final", "final_control", "control"),
    ]


def test_among_ensembles_of_round_1_the_submitted_one_is_not_the_baseline():
    config = recipe(ensembles={"other": {"stage1_resnet34": 1}}, submission={"ensemble": "stage1"})
    assert rounds.first_ensemble(config) == "other"
    assert pairs(config)[:2] == [("stage1", "other", "before"), ("stage1", "other", "first")]


def test_without_an_ensemble_of_round_1_the_first_is_a_model():
    config = recipe(
        ensembles={"stage1": {"stage2_resnet34": 1}},
        pseudo_labels={name: {"ensemble": "stage1_resnet34"} for name in ("stage1_confident", "stage1_by_size")},
    )
    assert pairs(config)[0] == ("stage1", "stage1_resnext50", "first")


def test_rounds_lead_to_an_ensemble_if_any_of_its_models_learned_from_pseudo_labels():
    config = recipe(ensembles={"mixed": {"stage1_resnet34": 1, "stage2_resnet34": 1}})
    assert [name for name in config.ensembles if not rounds.learned(config, name)] == ["stage1"]
    assert rounds.learned(config, "stage2_resnet34")


def test_a_set_that_only_controls_count_does_not_leak():
    config = recipe(
        models={"stage2_resnet34": {"control": True}}, pseudo_labels={"stage2_confident": {"ensemble": "stage1"}}
    )
    assert rounds.leaking(config) == ["stage1_confident", "stage2_confident"]


def test_sets_of_scope_ensemble_leak_and_those_of_scope_fold_do_not():
    assert rounds.leaking(recipe()) == ["stage1_confident", "stage2_confident", "stage1_by_size"]
    assert rounds.leaking(recipe(pseudo_labels={"stage1_confident": {"scope": "fold"}})) == [
        "stage2_confident",
        "stage1_by_size",
    ]
