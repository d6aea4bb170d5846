import copy
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
import yaml

from salt.inference.snapshots import read_members, resolve, write_members
from salt.runtime import provenance
from salt.runtime.paths import Run
from salt.workflow import predict_images
from schemas.errors import UserError
from schemas.reading import check_config
from schemas.results import PredictImagesSettings, Stretch

WINNING = yaml.safe_load(Path("workflow_config.yaml").read_text())
MODELS = ("stage2_resnext50", "stage3_pad128")  # of the ensemble `final`


def write_provenance(output, settings):
    provenance.path_of(output).write_text(json.dumps({"settings": settings}))


@pytest.fixture
def raw(tmp_path):
    """The winning recipe, with two folds, trained: with dummy files of weights, and an image."""
    raw = copy.deepcopy(WINNING)
    raw["pathvars"]["results"], raw["predict"] = str(tmp_path / "results"), str(tmp_path / "lines")
    raw["folds"]["count"] = 2
    for model in MODELS:
        was = check_config(raw).models[model].model_dump(mode="json")
        for fold in (0, 1):
            files = Run(tmp_path / "results").fold(model, fold)
            files.snapshots.mkdir(parents=True)
            for member in resolve(raw["models"][model]["members"], []):
                (files.snapshots / member.file).write_bytes(b"1")
            write_members(files.members, resolve(raw["models"][model]["members"], []))
            for output, keys in ((files.snapshots, ("network", "input", "phases")), (files.held_out, ("members",))):
                settings = {"seed": 13} | {key: was[key] for key in keys}
                write_provenance(output, settings)
        blended = Run(tmp_path / "results").ensemble(model)
        blended.folder.mkdir(parents=True)
        blended.stretch.write_text('{"low": 0.125, "high": 0.75}')
        write_provenance(blended.out_of_fold, {"weights": {}, "stretch": was["stretch"]})
    (tmp_path / "lines").mkdir()
    (tmp_path / "lines" / "a.png").write_bytes(b"1")
    return raw


def weights_of(tmp_path, model, fold, snapshot):
    return tmp_path / "results" / "models" / model / f"fold{fold}" / "snapshots" / f"{snapshot}.safetensors"


def settings(raw):
    return predict_images.settings(check_config(raw))


def fault(raw):
    with pytest.raises(UserError) as error:
        settings(raw)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_the_settings_are_those_of_the_ensembles_models_with_their_weights(raw):
    raw["ensembles"]["final"] = {"stage2_resnext50": 1, "stage3_pad128": 3}
    found = PredictImagesSettings.model_validate(settings(raw))
    assert {name: member.weight for name, member in found.models.items()} == {MODELS[0]: 1, MODELS[1]: 3}
    assert (found.folds, found.tile, found.postprocess.threshold) == (2, (101, 101), 0.5)


def test_a_model_is_stretched_as_the_run_stretched_it(raw, tmp_path):
    found = PredictImagesSettings.model_validate(settings(raw)).models
    assert found["stage2_resnext50"].stretch == Stretch()
    assert found["stage3_pad128"].stretch == Stretch(low=0.125, high=0.75)
    Run(tmp_path / "results").ensemble("stage3_pad128").stretch.unlink()
    assert "ensembles/stage3_pad128/stretch.json, which tells how the run stretched" in fault(raw)
    raw["models"]["stage3_pad128"]["stretch"] = False
    assert "models.stage3_pad128.stretch: true -> false" in fault(raw)


def test_a_prediction_has_the_steps_of_the_run_but_for_the_jigsaw_rule(raw):
    steps = [{"name": "threshold", "above": 0.4}, {"name": "fill_holes", "smaller_than": 9}]
    for rule in ([], [{"name": "jigsaw", "rule": "published"}]):
        raw["submission"]["postprocess"] = [*steps, *rule]
        assert settings(raw)["postprocess"] == steps


def test_a_prediction_needs_no_control(raw):
    assert settings(raw | {"controls": True}) == settings(raw)


def test_a_single_model_predicts_as_an_ensemble_does(raw):
    raw["submission"]["ensemble"] = "stage3_pad128"
    assert list(settings(raw)["models"]) == ["stage3_pad128"]


def test_new_weights_and_new_images_are_new_settings_and_nothing_else_is(raw, tmp_path):
    before = settings(raw)
    (tmp_path / "lines" / "picks.csv").touch()
    weights_of(tmp_path, "stage2_resnext50", 0, "phase2_cycle9").touch()  # no member
    raw["compute"]["predict_batch"] = 7
    raw["ensembles"]["stage1"] = {"stage1_resnet34": 1}
    assert settings(raw) == before
    os.utime(weights_of(tmp_path, "stage3_pad128", 1, "phase1_cycle2"), ns=(1, 1))
    after = settings(raw)
    assert {key for key in before if before[key] != after[key]} == {"weights"}
    (tmp_path / "lines" / "b.png").touch()
    assert {key for key in after if after[key] != settings(raw)[key]} == {"pictures"}


def test_without_weights_the_message_names_the_missing_files_and_says_to_train_first(raw, tmp_path):
    weights_of(tmp_path, "stage3_pad128", 1, "phase1_cycle2").unlink()
    text = fault(raw)
    for words in (
        "the ensemble final",
        "4 folds",
        "1 of its files missing",
        "phase1_cycle2",
        "Train first",
        "`predict`",
    ):
        assert words in text


def test_without_the_members_of_a_fold_the_message_says_to_train_first(raw, tmp_path):
    Run(tmp_path / "results").fold("stage3_pad128", 1).members.unlink()
    assert "1 of its files missing: " in (text := fault(raw))
    assert "fold1/members.json" in text


def test_other_weights_of_the_same_snapshots_are_other_settings(raw, tmp_path):
    before, files = settings(raw), Run(tmp_path / "results").fold("stage2_resnext50", 0)
    write_members(files.members, [member.model_copy(update={"weight": 1.0}) for member in read_members(files.members)])
    after = settings(raw)
    assert {key for key in before if before[key] != after[key]} == {"weights"}


def test_members_that_the_run_did_not_predict_with_are_refused(raw):
    raw["models"]["stage2_resnext50"]["members"] = {"phase1": 3, "phase2_cycle1": 1}
    text = fault(raw)
    assert "models.stage2_resnext50.members.phase2_cycle2: 1.0 -> nothing" in text
    assert "update the run: type the same command without `predict`" in text
    raw["models"]["stage2_resnext50"]["members"] = {"name": "equal"}
    assert "models.stage2_resnext50.members.phase1: 3.0 -> nothing" in fault(raw)


@pytest.mark.parametrize(
    ("edit", "change"),
    [
        ({"input": {"pad": 160, "channels": "ramp"}}, "models.stage3_pad128.input.pad: 128 -> 160"),
        ({"network": {"name": "res34_pad128", "encoder": "resnet18"}}, 'network.encoder: "resnet34" -> "resnet18"'),
    ],
)
def test_a_model_that_was_trained_with_other_settings_is_refused(raw, edit, change):
    raw["models"]["stage3_pad128"] |= edit
    assert change in fault(raw)


def test_tiles_that_were_read_with_other_settings_are_refused(raw, tmp_path):
    for tile in (101, None):  # None: the size of the images
        write_provenance(tmp_path / "results" / "tiles", {"root": "elsewhere", "tile": tile})
        settings(raw)
    write_provenance(tmp_path / "results" / "tiles", {"root": "elsewhere", "tile": 128})
    assert "data.tile: 128 -> 101" in fault(raw)


def test_a_size_that_the_config_does_not_set_is_that_of_the_runs_tiles(raw, tmp_path):
    raw["data"] |= {"layout": "folders", "range": [-3, 3], "colour": "rgb"}
    assert "Set `data.tile` to the size that the run was trained with" in fault(raw)
    (tmp_path / "results" / "tiles").mkdir()
    np.save(tmp_path / "results" / "tiles" / "train_masks.npy", np.zeros((5, 64, 96), np.uint8))
    found = PredictImagesSettings.model_validate(settings(raw))
    assert (found.tile, found.range, found.colour) == ((64, 96), (-3, 3), "rgb")


def test_windows_are_scaled_to_bytes_like_the_runs_tiles_unless_the_config_sets_a_range(raw):
    assert settings(raw)["windows"] == {"overlap": 0.5, "range": "tile"}  # the competition's were stretched
    raw["data"] |= {"layout": "folders", "tile": 101, "range": [-3, 3]}
    assert settings(raw)["windows"]["range"] == (-3, 3)
    raw["windows"] = {"range": [-4, 4], "overlap": 0.75}
    assert settings(raw)["windows"] == {"overlap": 0.75, "range": (-4, 4)}


def test_initial_weights_of_the_encoder_make_no_difference(raw):
    before = settings(raw)
    raw["models"]["stage3_pad128"]["network"]["weights"] = "elsewhere/r34.safetensors"
    assert settings(raw)["weights"] == before["weights"]


def test_models_with_depth_as_an_input_are_refused(raw):
    raw["models"]["stage3_pad128"]["input"]["channels"] = "depth"
    assert "`channels: depth` in stage3_pad128" in fault(raw)


def test_predictions_of_other_images_with_the_same_name_are_not_replaced(raw, tmp_path):
    left = tmp_path / "results" / "predictions" / "lines"
    left.mkdir(parents=True)
    write_provenance(left / "masks", {"images": f"{tmp_path}/lines/../lines"})
    settings(raw)
    write_provenance(left / "masks", {"images": "older/lines"})
    assert "found there those of older/lines" in fault(raw)


@pytest.mark.parametrize("images", ["nowhere", "results"])
def test_without_images_it_ends_with_what_was_found(raw, tmp_path, images):
    raw["predict"] = str(tmp_path / images)
    assert re.search("found nothing there|found none", fault(raw))


def test_predictions_are_named_after_their_images_without_special_characters(tmp_path):
    (tmp_path / "my {odd} lines.v2").mkdir()
    assert predict_images.folder_name(str(tmp_path / "my {odd} lines.v2")) == "my__odd__lines.v2"
    assert predict_images.folder_name(f"{tmp_path}/my {{odd}} lines.v2/") == "my__odd__lines.v2"
    assert predict_images.folder_name("data/line 7.sgy") == "line_7"
