"""The config's checks: every mistake is named, with what would have been right."""

import re
from pathlib import Path

import pytest
import yaml

from schemas.augmentation import PRESETS, Blur
from schemas.config import Config
from schemas.data import Data
from schemas.networks import Input, PretrainedEncoder
from schemas.reading import check_config, read_settings
from schemas.training import TrainSettings
from schemas.words import Node
from tests.schemas.conftest import WINNING, merge


@pytest.mark.parametrize("recipe", sorted(Path("recipes").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_recipe_is_right_and_says_what_it_is_for(recipe):
    config = check_config(merge(WINNING, yaml.safe_load(recipe.read_text())))
    assert config.pathvars.results == f"results/{recipe.stem}"
    header = recipe.read_text()[:400]
    assert all(f"# {word}:" in header for word in ("Purpose", "Machine", "Command", "Time", "Score"))


SECTIONS = {"Config": Config.model_json_schema(), **Config.model_json_schema()["$defs"]}
KEYS = {
    f"{name}.{key}": part for name, schema in SECTIONS.items() for key, part in schema.get("properties", {}).items()
}


def test_every_key_says_what_it_is():
    nodes = {key: Node.of({**part, "$defs": SECTIONS}) for key, part in KEYS.items()}
    # The `name` of a variant is explained by its section.
    texts = {
        key: SECTIONS[key.split(".")[0]]["description"] if "const" in node.schema else node.schema.get("description")
        for key, node in nodes.items()
    }
    assert [key for key, text in texts.items() if not text] == []


def numbers(schema):
    """Every schema of a number, wherever it is."""
    if isinstance(schema, dict):
        if schema.get("type") in ("integer", "number"):
            yield schema
        yield from (found for part in schema.values() for found in numbers(part))
    if isinstance(schema, list):
        yield from (found for part in schema for found in numbers(part))


ANY_NUMBER = {"Data.range", "Data.mask_value", "SlidingWindows.range"}  # values of images


def test_every_number_has_a_smallest_value():
    bounds = {"minimum", "exclusiveMinimum"}
    assert {
        key for key, part in KEYS.items() if not all(number.keys() & bounds for number in numbers(part))
    } <= ANY_NUMBER


def augmented(augment):
    """An overlay with another augmentation of a model."""
    return {"models": {"stage1_resnet34": {"augment": augment}}}


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


def augmentation(augment):
    return check_config(merge(WINNING, augmented(augment))).models["stage1_resnet34"].augment


def test_the_winning_recipe_writes_out_each_authors_augmentation():
    for name, model in check_config(WINNING).models.items():
        assert model.augment == PRESETS["resnext50_author" if name.endswith("resnext50") else "resnet34_author"]


def test_the_default_augmentation_is_the_write_ups():
    assert augmentation(None) == augmentation("write_up") == PRESETS["write_up"]


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
