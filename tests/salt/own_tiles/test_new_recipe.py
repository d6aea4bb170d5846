import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from salt.data.tiles import Tiles
from salt.own_tiles import new_recipe
from salt.own_tiles.inspection import Findings
from salt.own_tiles.new_recipe import input_for, main, merged, overlay_for
from schemas.data import Data
from schemas.errors import UserError
from schemas.reading import check_config
from tests.own_images import encoded, write

WINNING = yaml.safe_load(Path("workflow_config.yaml").read_text())
SAMPLE = yaml.safe_load(Path("recipes/tgs_sample.yaml").read_text())
gpu_or_not = pytest.mark.parametrize("gpu", [True, False], ids=["gpu", "cpu"])


def found(tile, labelled=40, others=900, depths=False, **data):
    """A data set of noise."""
    rng = np.random.default_rng(0)

    def tiles(split, count):
        images = rng.integers(0, 256, (count, *tile), np.uint8)
        z = 5.0 if depths else np.nan
        names = [f"{split}{number}" for number in range(count)]
        table = pd.DataFrame({"id": names, "split": split, "z": z, "constant": False, "coverage": 0.5})
        return Tiles(table, images, (images > 99).astype(np.uint8) if split == "train" else None)

    data = {"layout": "folders", "root": "data/mine", "tile": tile} | data
    return Findings(Data(**data), tiles("train", labelled), tiles("test", others), ["images: some"])


def config_of(overlay):
    return check_config(merged(WINNING, overlay))


@gpu_or_not
@pytest.mark.parametrize("tile", [(101, 101), (64, 96), (256, 256), (128, 128), (33, 200), (16, 16), (20, 320), (8, 8)])
def test_inputs_fit_tiles_of_any_size(tile, gpu):
    config = config_of(overlay_for("mine", found(tile), gpu))  # which checks it
    assert config.data.shape == tile
    for model in config.models.values():
        height, width = model.input.shape(tile)
        assert max(height, width) <= max(256, -(-max(tile) // 64) * 64)
        assert abs(height - width * tile[0] / tile[1]) <= max(model.network.stride, 16)


@gpu_or_not
def test_tiles_of_the_competitions_size_have_the_recipes_inputs(gpu):
    config = config_of(overlay_for("mine", found((101, 101)), gpu))
    given = check_config(WINNING if gpu else merged(WINNING, SAMPLE))
    assert {name: model.input for name, model in config.models.items()} == {
        name: model.input for name, model in given.models.items()
    }


def test_the_winning_networks_see_no_tile_smaller_than_it_is():
    models = check_config(WINNING).models
    inputs = {name: input_for(model, (64, 96), may_shrink=False) for name, model in models.items()}
    assert inputs["stage1_resnext50"] == {"resize": [128, 192], "channels": "grey3", "pad": None, "pad_mode": "reflect"}
    assert inputs["stage1_resnet34"] == {"resize": [135, 202], "pad": [192, 256]}
    assert inputs["stage3_pad128"] == {"pad": None}
    assert inputs["stage3_resize128"] == {"resize": [96, 128]}
    assert input_for(models["stage1_resnext50"], (300, 320), may_shrink=False)["pad"] == 320


def test_folds_are_by_depth_where_there_are_depths_and_few_where_tiles_are():
    assert overlay_for("mine", found((64, 64)), True)["folds"] == {"count": 5, "by": "coverage"}
    assert overlay_for("mine", found((64, 64)), False)["folds"] == {"count": 2, "by": "coverage"}
    assert overlay_for("mine", found((64, 64), labelled=9, depths=True), True)["folds"] == {"count": 2, "by": "depth"}


def test_size_classes_are_scaled_to_the_area_of_a_tile_and_stay_apart():
    config = config_of(overlay_for("mine", found((202, 202), others=1800), True))
    classes = config.pseudo_labels["stage1_by_size"].per_fold
    assert [size.pixels for size in classes][:3] == [(0, 0), (80, 2000), (2004, 10200)]
    assert [size.count for size in classes] == [60, 11, 30, 24, 20, 13]
    assert (classes[0].every, classes[1].min_confidence) == (2, 0.99)
    tiny = config_of(overlay_for("mine", found((16, 16)), True)).pseudo_labels["stage1_by_size"].per_fold
    assert all(a.pixels[1] < b.pixels[0] for a, b in itertools.pairwise(tiny))


@gpu_or_not
def test_few_tiles_are_passed_over_more_often_in_batches_that_they_fill(gpu):
    given = check_config(merged(WINNING, {} if gpu else SAMPLE))
    few = config_of(overlay_for("mine", found((64, 64), labelled=40, others=500), gpu))
    for name, model in few.models.items():
        for phase, usual in zip(model.phases, given.models[name].phases, strict=True):
            steps, as_usual = (
                epochs.passes_per_epoch * tiles // epochs.batch
                for epochs, tiles in ((phase, 40), (usual, 4000 if gpu else 3200))
            )
            assert steps == pytest.approx(as_usual, rel=0.05)
            assert phase.batch == min(usual.batch, 20)
            unchanged = {"batch": usual.batch, "passes_per_epoch": usual.passes_per_epoch}
            assert phase.model_copy(update=unchanged) == usual
        if model.pretrain:
            phase, usual = model.pretrain.phases[0], given.models[name].pretrain.phases[0]
            assert phase.passes_per_epoch == (36 if gpu else 4) * usual.passes_per_epoch
    many = config_of(overlay_for("mine", found((8, 8), labelled=5000, others=20_000), gpu))
    assert {name: model.phases for name, model in many.models.items()} == {
        name: model.phases for name, model in given.models.items()
    }


def test_of_few_tiles_all_are_pseudo_labels():
    for count, few in ((199, True), (200, False)):
        for gpu in (True, False):
            labels = config_of(overlay_for("mine", found((64, 64), others=count), gpu)).pseudo_labels
            assert (labels["stage1_confident"].min_confidence == 0) == few
            assert not gpu or (labels["stage1_by_size"].per_fold is None) == few


def test_the_jigsaw_rule_is_for_the_competitions_labels():
    competition = dataclasses.replace(found((101, 101)), data=Data(root="data/tgs2"))
    steps = WINNING["submission"]["postprocess"]
    assert overlay_for("mine", competition, True)["submission"] == {"postprocess": steps}
    assert overlay_for("mine", found((101, 101)), True)["submission"] == {"postprocess": steps[:-1]}
    assert config_of(overlay_for("mine", found((101, 101)), True)).submission.jigsaw == "none"


# --- the program


@pytest.fixture
def images(tmp_path):
    rng = np.random.default_rng(0)
    files = {}
    for number in range(6):
        kind = "train" if number < 4 else "test"
        files[f"{kind}/images/{number}.tif"] = encoded(rng.integers(0, 1000, (24, 32), np.uint16), ".tif")
        if kind == "train":
            files[f"train/masks/{number}.png"] = encoded(rng.integers(0, 2, (24, 32), np.uint8), ".png")
    return write(tmp_path / "images", files)


def run(tmp_path, monkeypatch, name, data, gpu=False):
    monkeypatch.setattr(new_recipe, "has_gpu", lambda: gpu)
    main(["--name", name, "--data", str(data), "--recipes", str(tmp_path)])
    return tmp_path / f"{name}.yaml"


@gpu_or_not
def test_a_recipe_says_what_was_found_and_how_to_run_it(tmp_path, monkeypatch, images, capsys, gpu):
    recipe = run(tmp_path, monkeypatch, "mine", images, gpu)
    text = recipe.read_text()
    assert all(f"# {word}:" in text[:600] for word in ("Purpose", "Machine", "Command", "Time", "Score"))
    assert "#   pixels: uint16 (6), from " in text
    assert ("torch sees a GPU here" in text) == gpu
    config = config_of(yaml.safe_load(text))
    assert config.pathvars.results == "results/mine"
    assert (config.data.root, config.data.range, config.data.shape) == (str(images), (0, 1023), (24, 32))
    assert ("stage1_resnext50" in config.models) == gpu
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == f"    snakemake --cores {1 if gpu else 2} --resources gpu=1 --configfile {recipe}"


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("", "images", "NAME: expected letters, digits, _ and -, the first a letter, found ''. Type `make new-recipe"),
        ("../mine", "images", "found '../mine'"),
        ("mine", "", "DATA: expected a folder with images, found ''"),
        ("mine", "nowhere", "nowhere', which is not a folder. Type `make new-recipe NAME=mine DATA=path/to/data`."),
        ("taken", "images", "taken.yaml exists. Choose another name, or move that."),
    ],
)
def test_what_is_wrong_with_the_arguments_is_said_in_one_paragraph(tmp_path, monkeypatch, images, name, data, said):
    (tmp_path / "taken.yaml").write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError) as error:
        run(tmp_path, monkeypatch, name, data and tmp_path / data)
    assert said in str(error.value)
    assert "\n" not in str(error.value)
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "taken.yaml").read_text() == "mine"


def test_images_that_cannot_be_used_leave_no_recipe(tmp_path, monkeypatch, images):
    (images / "train/masks/0.png").unlink()
    with pytest.raises(UserError, match="images without train/masks/<id> .1.: train/images/0.tif"):
        run(tmp_path, monkeypatch, "mine", images)
    assert not (tmp_path / "mine.yaml").exists()
