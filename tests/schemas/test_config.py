"""The config's checks: every mistake is named, with what would have been right."""

import copy
import re
from pathlib import Path

import pytest
import yaml

from schemas.config import (
    PRESETS,
    Blur,
    Config,
    ConfigError,
    Data,
    Input,
    PretrainedEncoder,
    Section,
    TrainSettings,
    check_config,
    read_settings,
)

WINNING = yaml.safe_load(Path("workflow_config.yaml").read_text())


def merge(base, overlay):
    """As Snakemake merges --configfile: mappings deeply, all else replaced."""
    if not (isinstance(base, dict) and isinstance(overlay, dict)):
        return overlay
    return base | {key: merge(base.get(key), value) for key, value in overlay.items()}


@pytest.mark.parametrize("recipe", sorted(Path("recipes").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_recipe_is_right_and_says_what_it_is_for(recipe):
    config = check_config(merge(WINNING, yaml.safe_load(recipe.read_text())))
    assert config.pathvars.results == f"results/{recipe.stem}"
    header = recipe.read_text()[:400]
    assert all(f"# {word}:" in header for word in ("Purpose", "Machine", "Command", "Time", "Score"))


def test_every_key_that_is_not_plain_from_its_name_is_explained():
    def sections(kind):
        return {kind} | {deeper for child in kind.__subclasses__() for deeper in sections(child)}

    assert all(kind.__doc__ for kind in sections(Section))
    assert Config in sections(Section)


def augmented(augment):
    """An overlay with another augmentation of a model."""
    return {"models": {"stage1_resnet34": {"augment": augment}}}


FAULTS = [  # overlay, what the message says
    ({"report": {"compare": ["results/tgs/"]}}, "report.compare names results/tgs, which is this run; name another"),
    ({"report": {"compare": ["results/a b"]}}, "report.compare.0: String should match pattern"),
    ({"sead": 3}, "sead: there is no such key"),
    (
        {"models": {"stage1_resnet34": {"input": {"resise": 3}}}},
        "models.stage1_resnet34.input.resise: there is no such",
    ),
    ({"sections": {"overlap": 1}}, "sections.overlap: Input should be less than or equal to 0.9 (found: 1)"),
    ({"sections": {"range": [2, 1]}}, "sections.range: Value error, 2 is not less than 1; swap them"),
    ({"predict": 7}, "predict: Input should be a valid string (found: 7)"),
    (
        {"data": {"range": "tile"}},
        "data: Value error, range is for `layout: folders`; the competition's images are grey",
    ),
    ({"data": {"colour": "rgb"}}, "colour is for `layout: folders`"),
    ({"data": {"salt": 0}}, "salt is for `layout: folders`"),
    ({"data": {"layout": "folders", "range": [3, 3]}}, "data.range: Value error, 3 is not less than 3; swap them"),
    ({"data": {"layout": "folders", "range": "typ"}}, "data.range: Value error, expected type, tile or [low, high]"),
    ({"data": {"tile": True}}, "data.tile: Value error, expected a side or [height, width], in px (found: True)"),
    ({"data": {"tile": [64, 96, 3]}}, "data.tile: Value error, expected a side or [height, width], in px"),
    ({"data": {"tile": [64, 0]}}, "data.tile.1: Input should be greater than or equal to 1 (found: 0)"),
    ({"data": {"tile": [150, 120]}}, "models.stage3_pad128.input.pad: 128 px are less than the 150 px"),
    (
        {"models": {"stage3_pad128": {"input": {"pad": [128, 130]}}}},
        "models.stage3_pad128.input: res34_pad128 needs a side that divides by 32, and the input's is 130 px",
    ),
    (
        {"models": {"stage3_pad128": {"input": {"channels": "rgb"}}}},
        "models.stage3_pad128.input.channels: rgb needs colours; set data.colour: rgb",
    ),
    ({"survey": {}, "data": {"tile": [101, 128]}}, "survey: its tiles are square and in the competition's layout"),
    ({"folds": {"count": 1}}, "folds.count: Input should be greater than or equal to 2 (found: 1)"),
    ({"models": {"stage1_resnet34": {"network": {"name": "res43"}}}}, "'res34_256'"),
    (
        {"models": {"stage2_resnext50": {"pretrain": {"pseudo_labels": "stage1_confdent"}}}},
        "models.stage2_resnext50.pretrain.pseudo_labels names 'stage1_confdent'; defined are: stage1_by_size, "
        "stage1_confident, stage2_confident",
    ),
    ({"models": {"stage1_resnet34": {"members": {"phase9": 1}}}}, "names 'phase9'; defined are: phase1_cycle1"),
    ({"ensembles": {"stage1": {"nobody": 1}}}, "ensembles.stage1 names 'nobody'"),
    ({"ensembles": {"stage1_resnet34": {"stage1_resnet34": 1}}}, "has the name of a model"),
    ({"pseudo_labels": {"stage1_confident": {"ensemble": "stage7"}}}, "pseudo_labels.stage1_confident.ensemble"),
    ({"models": {"stage1_resnet34": {"input": {"pad": 200}}}}, "input.pad: 200 px are less than the 202 px"),
    (
        {"models": {"stage1_resnext50": {"input": {"pad": 576}}}},
        "models.stage1_resnext50.input.pad: 576 px would mirror more than there is of 192 px; pad less than 575 px",
    ),
    ({"models": {"stage1_resnet34": {"phases": [{"loss": {"bse": 1}}]}}}, "models.stage1_resnet34.phases.0.loss"),
    (
        {"models": {"stage1_resnet34": {"input": {"pad": 260}}}},
        "needs a side that divides by 64, and the input's is 260",
    ),
    ({"models": {"stage3_pad128": {"network": {"name": "unet_resnext50"}, "input": {"pad": 130}}}}, "divides by 32"),
    ({"models": {"stage2_resnet34": {"network": {"name": "res34_256"}}}}, "deep_supervision needs a network with its"),
    ({"ensembles": {"stage1": {"stage1_resnext50": None, "stage1_resnet34": None}}}, "ensembles.stage1"),
    ({"pathvars": {"results": "results/my run"}}, "pathvars.results"),
    ({"submission": {"ensemble": "finale"}}, "submission.ensemble names 'finale'; defined are: final, stage1"),
    ({"submission": {"jigsaw": "extendet"}}, "submission.jigsaw: Input should be 'none', 'published' or 'extended'"),
    ({"submission": {"jigsaw": 1}}, "submission.jigsaw"),
    (
        augmented("writeup"),
        "models.stage1_resnet34.augment: Value error, there is no preset 'writeup'; choose from write_up, "
        "resnet34_author, none, or list transformations (found: 'writeup')",
    ),
    (augmented({"flip": 0.4}), "give a list of transformations and presets, or the name of a preset: write_up, resne"),
    (augmented([{"name": "flop", "p": 1}]), "'vertical_flip'"),
    (augmented([{"name": "flip"}]), "models.stage1_resnet34.augment.0.flip.p: Field required"),
    (augmented(["none", {"name": "blur", "p": 2, "sigma": 1}]), "augment.0.blur.p: Input should be less than or equal"),
    (augmented([{"name": "crop_resize", "p": 1, "share": 0.5}]), "share: Input should be less than 0.5 (found: 0.5)"),
    (augmented([{"name": "rotate", "p": 1, "degrees": [15, 0]}]), "the least angle, 15, is more than the largest, 0"),
    (augmented([{"name": "one_of", "p": 1, "of": [{"name": "flip", "p": 0}]}]), "give at least one of them a weight"),
    (
        {"pseudo_labels": {"stage1_confident": {"ensemble": "stage2"}}},
        "models.stage2_resnext50 learns from itself through pseudo-labels: stage2_resnext50 <- stage2_resnext50",
    ),
    ({"pseudo_labels": {"stage1_confident": {"scope": "folds"}}}, "pseudo_labels.stage1_confident.scope"),
    (
        {"pseudo_labels": {"stage2_confident": {"scope": "fold"}, "stage1_by_size": {"scope": "fold"}}},
        "pseudo_labels.stage2_confident.scope is fold, and its model stage2_resnext50 learns from stage1_confident, "
        "which models of all folds make; set pseudo_labels.stage1_confident.scope: fold as well",
    ),
]


@pytest.mark.parametrize(("overlay", "message"), FAULTS, ids=[message[:40] for _, message in FAULTS])
def test_a_mistake_is_named_with_its_place(overlay, message):
    with pytest.raises(ConfigError) as error:
        check_config(merge(WINNING, overlay))
    assert message in str(error.value)


def test_all_mistakes_are_told_at_once():
    with pytest.raises(ConfigError) as error:
        check_config(merge(WINNING, {"sead": 3, "folds": {"count": 1}}))
    assert len(str(error.value).splitlines()) == 2


def test_every_set_that_leaks_into_the_scope_of_a_fold_is_told():
    leaks = ["stage2_resnet34 learns from stage1_by_size", "stage2_resnext50 learns from stage1_confident"]
    with pytest.raises(ConfigError) as error:
        check_config(merge(WINNING, {"pseudo_labels": {"stage2_confident": {"scope": "fold"}}}))
    faults = str(error.value).splitlines()
    assert all(leak in fault for leak, fault in zip(leaks, faults, strict=True))


@pytest.mark.parametrize("sets", [["stage1_confident"], list(WINNING["pseudo_labels"])])
def test_a_set_of_scope_fold_needs_those_before_it_to_be_so_and_none_after_it(sets):
    config = check_config(merge(WINNING, {"pseudo_labels": {name: {"scope": "fold"} for name in sets}}))
    folders = {name: labels.folders(2) for name, labels in config.pseudo_labels.items()}
    assert folders == {name: ["fold0", "fold1"] if name in sets else ["all_folds"] for name in folders}


def test_null_takes_out_what_is_inherited():
    without = {"models": {"stage3_resize128": None}, "compute": None}
    config = check_config(merge(WINNING, without))
    assert "stage3_resize128" not in config.models
    assert config.compute.device == "auto"


@pytest.mark.parametrize(
    ("value", "rule", "shown"),
    [
        (True, "published", "published"),
        (False, "none", "published"),
        ("none", "none", "published"),
        ("published", "published", "published"),
        ("extended", "extended", "extended"),
    ],
)
def test_the_jigsaw_rule_has_a_name_or_is_on_or_off(value, rule, shown):
    submission = check_config(merge(WINNING, {"submission": {"jigsaw": value}})).submission
    assert (submission.jigsaw, submission.shown_jigsaw) == (rule, shown)


def test_weights_of_encoders_have_names_that_differ_and_are_files():
    weights = ["imagenet", "ssl", "a/b.safetensors", "a_b.safetensors", "/a/b.safetensors", "b.safetensors"]
    encoders = [PretrainedEncoder(encoder=name, weights=text) for name in ("resnet18", "tu-x.y_z") for text in weights]
    slugs = [encoder.slug for encoder in encoders]
    assert len(set(slugs)) == len(slugs)
    assert slugs[0] == "resnet18-imagenet"
    assert all(re.fullmatch(r"[\w.-]+", slug) for slug in slugs)
    assert [encoder.file for encoder in encoders[:3]] == [None, None, "a/b.safetensors"]


@pytest.mark.parametrize(("channels", "count"), [("grey", 1), ("grey3", 3), ("ramp", 3)])
def test_the_channels_of_an_input_are_counted(channels, count):
    assert Input(channels=channels).channel_count == count


def test_pretraining_cannot_watch_a_score_it_does_not_have():
    raw = copy.deepcopy(WINNING)
    model = raw["models"]["stage2_resnext50"]
    model["pretrain"]["phases"] = raw["models"]["stage1_resnext50"]["phases"]
    with pytest.raises(ConfigError, match="pretraining has none; use cosine"):
        check_config(raw)


def augmentation(augment):
    return check_config(merge(WINNING, augmented(augment))).models["stage1_resnet34"].augment


def test_the_winning_recipe_writes_out_the_write_ups_augmentation_which_is_the_default():
    assert {model.augment for model in check_config(WINNING).models.values()} == {PRESETS["write_up"]}
    assert augmentation(None) == augmentation("write_up") == PRESETS["write_up"]


def test_the_resnet34_authors_augmentation_has_the_numbers_of_the_recipe():
    lighting = [{"name": "brightness", "p": 1, "limit": 0.1}, {"name": "contrast", "p": 1, "limit": 0.08}]
    shape = [
        {"name": "crop_resize", "p": 1, "share": 0.2},
        {"name": "shear", "p": 1, "share": 0.07},
        {"name": "rotate", "p": 1, "degrees": [0, 15]},
    ]
    chosen = [{"name": "one_of", "p": 0.5, "of": transforms} for transforms in (shape, lighting)]
    assert augmentation([{"name": "flip", "p": 0.5}, *chosen]) == augmentation("resnet34_author")


def test_presets_and_transformations_stand_in_one_list():
    blur = {"name": "blur", "p": 0.1, "sigma": 2}
    assert augmentation(["write_up", blur]) == (*PRESETS["write_up"], Blur(p=0.1, sigma=2))
    assert augmentation(["none", blur]) == (Blur(p=0.1, sigma=2),)
    assert augmentation("none") == augmentation([]) == ()


@pytest.mark.parametrize("preset", PRESETS)
def test_a_program_gets_the_numbers_of_a_preset_and_not_its_name(preset):
    model = check_config(merge(WINNING, augmented(preset))).models["stage1_resnet34"]
    settings = TrainSettings(seed=1, **{key: getattr(model, key) for key in ("network", "input", "augment", "phases")})
    assert preset not in settings.model_dump_json()
    assert read_settings(TrainSettings, settings.model_dump_json()).augment == PRESETS[preset]


def test_a_size_is_a_side_or_height_and_width_and_is_written_as_short_as_it_can_be():
    square, wide = Input(resize=64, pad=[64, 64]), Input(resize=[64, 96])
    assert (square.resize, square.pad, wide.resize) == ((64, 64), (64, 64), (64, 96))
    assert square.model_dump(mode="json") | {"resize": 64, "pad": 64} == square.model_dump(mode="json")
    assert wide.model_dump(mode="json")["resize"] == [64, 96]
    assert read_settings(Input, wide.model_dump_json()) == wide


def test_a_tile_is_the_competitions_unless_the_images_tell():
    data = {"root": "data/mine"}
    assert Data(**data).shape == (101, 101)
    assert Data(**data, tile=[64, 96]).shape == (64, 96)
    assert Data(**data, layout="folders").shape is None
    config = check_config(
        merge(WINNING, {"data": {"layout": "folders"}, "models": {"stage3_pad128": {"input": {"pad": 130}}}})
    )
    assert config.data.shape is None  # what the tiles would be padded from, the training will see
