import json

import pytest

from schemas import controls
from schemas.reading import check_config
from tests.schemas.conftest import WINNING, merge


def recipe(**overlay):
    return check_config(merge(WINNING, {"controls": True} | overlay))


def test_each_model_that_learns_from_pseudo_labels_gets_a_control_right_after_it():
    config = recipe()
    assert list(config.models) == [
        "stage1_resnext50",
        "stage1_resnet34",
        *("stage2_resnext50", "stage2_resnext50_control"),
        *("stage2_resnet34", "stage2_resnet34_control"),
        *("stage3_pad128", "stage3_pad128_control"),
        *("stage3_resize128", "stage3_resize128_control"),
    ]


def test_a_control_differs_from_its_model_in_one_key():
    models = recipe().models
    for name in ("stage2_resnext50", "stage2_resnet34", "stage3_pad128"):
        model, control = (models[key].model_dump() for key in (name, f"{name}_control"))
        assert {key for key in model if model[key] != control[key]} == {"control"}
        assert control["control"]


def test_ensembles_with_such_models_get_controls_whose_other_members_stay():
    config = recipe(ensembles={"final": {"stage1_resnet34": 3}})
    assert config.ensembles == {
        "stage1": {"stage1_resnext50": 1, "stage1_resnet34": 1},
        "stage2": {"stage2_resnext50": 1, "stage2_resnet34": 1},
        "stage2_control": {"stage2_resnext50_control": 1, "stage2_resnet34_control": 1},
        "final": {"stage2_resnext50": 1, "stage3_pad128": 1, "stage1_resnet34": 3},
        "final_control": {"stage2_resnext50_control": 1, "stage3_pad128_control": 1, "stage1_resnet34": 3},
    }


@pytest.mark.parametrize("by_name", [False, True])
def test_a_config_that_holds_its_controls_stays_as_it_is(by_name):
    config = recipe()
    written = json.loads(json.dumps(config.model_dump(mode="json"), sort_keys=by_name))
    assert check_config(written) == config
    assert list(controls.added(config).models) == list(config.models)


def test_without_the_key_nothing_is_added_and_controls_of_ones_own_stay():
    assert recipe(controls=False) == check_config(WINNING)
    config = recipe(controls=False, models={"stage3_pad128": {"control": True}})
    assert list(config.models) == list(WINNING["models"])
    assert config.ensembles.keys() == WINNING["ensembles"].keys()


def test_a_model_that_is_a_control_gets_none():
    config = recipe(models={"stage3_pad128": {"control": True}})
    assert "stage3_pad128_control" not in config.models
    assert "final_control" not in config.ensembles


def test_a_control_may_be_named_where_it_teaches_nothing():
    config = recipe(ensembles={"mine": {"stage2_resnet34_control": 1}}, submission={"ensemble": "final_control"})
    assert config.ensembles["mine"] == {"stage2_resnet34_control": 1}
    assert "mine_control" not in config.ensembles


def test_what_was_added_can_be_removed():
    plain = check_config(WINNING)
    assert controls.removed(recipe()) == plain.model_copy(update={"controls": True})
    assert controls.removed(plain) == plain
