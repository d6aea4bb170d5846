import itertools
import json
import logging
import re

import cv2
import numpy as np
import pandas as pd
import pytest
import torch

from models.registry import create_network
from salt.data import rle
from salt.data.predictions import ONE
from salt.data.records import open_records
from salt.inference import window_blocks
from salt.inference.sliding_window import SlidingWindow
from salt.inference.snapshots import KeptSnapshot, resolve, write_members, write_table
from salt.inference.weight_files import copy_state, save_weights
from schemas.errors import UserError
from schemas.networks import PlainUnet
from stages import blend, predict_fold, predict_images
from tests.easy_tiles import SIDE, easy_tiles
from tests.stages.conftest import COMPUTE

NETWORKS = {
    "one": PlainUnet(name="unet_plain", width=4, levels=3),
    "two": PlainUnet(name="unet_plain", width=3, levels=2),
}
SNAPSHOTS = {"phase1_cycle1": 1, "phase1_cycle2": 3}
WEIGHTS = {"one": 2, "two": 1}
TILES = easy_tiles(6, split="test", seed=1)
ROUNDINGS = 3 * 2**-12 + 2**-17  # of a fold's, a model's and an ensemble's probabilities to float16; of ours to 16 bits


def model_settings(name):
    return {"network": NETWORKS[name].model_dump(), "input": {"channels": "ramp"}}


@pytest.fixture
def trained(run):
    """The run, with two folds of two models."""
    for seed, (name, fold, snapshot) in enumerate(itertools.product(NETWORKS, (0, 1), SNAPSHOTS)):
        torch.manual_seed(seed)
        state = copy_state(create_network(NETWORKS[name]))
        loud = {
            key: 4 * value if key.endswith("weight") else value for key, value in state.items()
        }  # all differ widely
        folder = run / "models" / name / f"fold{fold}"
        save_weights(folder / "snapshots" / f"{snapshot}.safetensors", loud)
        kept = [KeptSnapshot(name, 1, cycle, cycle, 0.5) for cycle, name in enumerate(SNAPSHOTS, 1)]
        write_table(folder / "snapshots.csv", kept)
        write_members(folder / "members.json", resolve(SNAPSHOTS, kept))
    return run


@pytest.fixture
def images(tmp_path):
    """A folder of the run's test tiles."""
    (tmp_path / "images").mkdir()
    for name, image in zip(TILES.ids, TILES.images, strict=True):
        save(tmp_path / "images" / f"{name}.png", image)
    return tmp_path / "images"


def save(path, pixels):
    path.write_bytes(cv2.imencode(path.suffix, pixels)[1].tobytes())


def read(path):
    return cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)


def start(run, images, threshold=0.5, cleaning=(), **more):
    settings = {
        "images": str(images),
        "pictures": "",
        "weights": "",
        "tile": SIDE,
        "windows": {"overlap": 0.5},
        "models": {name: model_settings(name) | {"weight": weight} for name, weight in WEIGHTS.items()},
        "folds": 2,
        "postprocess": [{"name": "threshold", "above": threshold}, *cleaning],
    }
    predict_images.main(
        [
            *("--settings", json.dumps(settings | more), "--compute", COMPUTE),
            *("--run", str(run), "--checkpoints", f"{run}/blocks"),
            *("--masks", f"{run}/out/masks", "--probabilities", f"{run}/out/probabilities"),
            *("--table", f"{run}/out/masks.csv"),
        ]
    )


def probabilities(run):
    folder = run / "out" / "probabilities"
    return {path.stem: read(path).astype(np.float64) / ONE for path in sorted(folder.glob("*.png"))}


def predicted_in_the_run(run, stretched=()):
    """The same tiles as test tiles: by fold, blended to models, some of them stretched, blended to an ensemble."""

    def of_model(name):
        for fold in (0, 1):
            folder = run / "models" / name / f"fold{fold}"
            predict_fold.main(
                [
                    *("--settings", json.dumps(model_settings(name) | {"members": SNAPSHOTS})),
                    *("--compute", COMPUTE, "--fold", str(fold)),
                    *("--table", f"{folder}/snapshots.csv", "--members", f"{folder}/members.json"),
                    *("--tiles", f"{run}/tiles", "--folds", f"{run}/folds.csv", "--snapshots", f"{folder}/snapshots"),
                    *("--held-out", f"{folder}/held_out.npy", "--test", f"{folder}/test.npy"),
                ]
            )
        return blended(name, {f"models/{name}/fold{fold}/test.npy": 1 for fold in (0, 1)}, name in stretched)

    def blended(name, members, stretch=False):
        files = [f"{run}/{path}" for path in members]
        blend.main(
            [
                *("--settings", json.dumps({"weights": members, "stretch": stretch})),
                *("--labelled", *files, "--test", *files, "--stretch-out", f"{run}/{name}_stretch.json"),
                *("--out-of-fold-out", f"{run}/{name}_oof.npy", "--test-out", f"{run}/{name}.npy"),
            ]
        )
        return f"{name}.npy"

    blended("final", {of_model(name): weight for name, weight in WEIGHTS.items()})
    records = open_records(run / "final.npy")
    return dict(zip(records["id"].tolist(), records["tta"].astype(np.float64), strict=True))


def test_test_tiles_get_the_prediction_that_they_have_in_the_run(trained, images):
    start(trained, images)
    found, expected = probabilities(trained), predicted_in_the_run(trained)
    assert list(found) == list(expected)
    for name, there in expected.items():
        assert np.abs(found[name] - there).max() <= ROUNDINGS
    assert found["test000"].max() == 0  # constant
    assert np.std(found["test001"]) > 0.05


def test_images_are_stretched_by_the_numbers_of_the_run(trained, images):
    expected = predicted_in_the_run(trained, stretched=["one"])
    stretch = json.loads((trained / "one_stretch.json").read_text())
    assert stretch["low"] > 0.01
    few = [name for name in TILES.ids[:3] if not (images / f"{name}.png").unlink()]  # so their extremes are others
    models = {name: model_settings(name) | {"weight": weight} for name, weight in WEIGHTS.items()}
    models["one"]["stretch"] = stretch
    start(trained, images, models=models)
    found = probabilities(trained)
    assert found.keys() == expected.keys() - set(few)
    for name, there in found.items():
        assert np.abs(expected[name] - there).max() <= ROUNDINGS / (stretch["high"] - stretch["low"])


def test_masks_are_where_the_probabilities_are_above_the_threshold(trained, images):
    threshold = 0.45
    start(trained, images, threshold)
    table = pd.read_csv(trained / "out" / "masks.csv", dtype=str, keep_default_na=False)
    assert table["id"].tolist() == TILES.ids
    for name, text in table.itertuples(index=False):
        mask = read(trained / "out" / "masks" / f"{name}.png")
        assert mask.dtype == np.uint8
        assert np.array_equal(mask, 255 * (probabilities(trained)[name] > threshold))
        assert np.array_equal(mask // 255, rle.decode(text, SIDE, SIDE))


def test_masks_are_made_by_all_steps_of_the_list(trained, images):
    start(trained, images, cleaning=[{"name": "remove_components", "smaller_than": SIDE**2 + 1}])
    table = pd.read_csv(trained / "out" / "masks.csv", dtype=str, keep_default_na=False)
    assert set(table["rle_mask"]) == {""}
    assert not any(read(path).any() for path in (trained / "out" / "masks").iterdir())
    assert max(found.max() for found in probabilities(trained).values()) > 0.5


def test_a_section_is_the_blend_of_its_windows(trained, tmp_path):
    line = np.random.default_rng(0).integers(0, 256, (40, 70), dtype=np.uint8)
    (tmp_path / "lines").mkdir()
    save(tmp_path / "lines" / "line.png", line)
    start(trained, tmp_path / "lines")
    (found,) = probabilities(trained).values()
    (tmp_path / "cut").mkdir()
    windows = SlidingWindow((40, 70), (SIDE, SIDE), 0.5)
    for number in range(len(windows)):
        save(tmp_path / "cut" / f"{number:02d}.png", windows.window(line, number))
    start(trained, tmp_path / "cut")
    expected = np.concatenate(list(windows.blend(probabilities(trained).values())), axis=1)
    assert found.shape == (40, 70)
    assert np.abs(found - expected).max() < 2 / ONE


def test_a_section_in_colours_is_seen_in_colours(trained, tmp_path):
    line = np.random.default_rng(0).integers(0, 256, (20, 70, 3), dtype=np.uint8)
    (tmp_path / "lines").mkdir()
    save(tmp_path / "lines" / "line.png", line)
    seen = {name: model_settings(name) | {"input": {"channels": "rgb"}, "weight": 1} for name in NETWORKS}
    start(trained, tmp_path / "lines", colour="rgb", models=seen)
    (coloured,) = probabilities(trained).values()
    assert coloured.shape == (20, 70)
    save(tmp_path / "lines" / "line.png", np.repeat(line[..., :1], 3, axis=2))
    start(trained, tmp_path / "lines", colour="rgb", models=seen, pictures="changed")
    (grey,) = probabilities(trained).values()
    assert np.abs(coloured - grey).max() > 0.01


def test_a_kill_loses_no_block_that_was_done(trained, images, monkeypatch):
    monkeypatch.setattr(window_blocks, "BLOCK", {"cpu": 2 * SIDE**2})
    start(trained, images)
    expected = {path.name: path.read_bytes() for path in (trained / "out" / "masks").iterdir()}
    predict, seen = predict_images.Ensemble.predict, []

    def killed_after_two(ensemble, tiles, *args):
        seen.append(len(tiles))
        if len(seen) == 3:
            raise KeyboardInterrupt
        return predict(ensemble, tiles, *args)

    monkeypatch.setattr(predict_images.Ensemble, "predict", killed_after_two)
    with pytest.raises(KeyboardInterrupt):
        start(trained, images)
    assert {path.name: path.read_bytes() for path in (trained / "out" / "masks").iterdir()} == expected  # as it was
    smooth = [{"name": "fill_holes", "smaller_than": 9}]
    start(trained, images, threshold=0.4, cleaning=smooth)  # other steps predict nothing again
    assert seen == [2, 2, 2, 2]
    assert not (trained / "blocks").exists()


def test_other_images_begin_anew(trained, images, monkeypatch):
    monkeypatch.setattr(predict_images, "write_predictions", lambda *args: pytest.fail("no need"))
    with pytest.raises(pytest.fail.Exception):
        start(trained, images)
    (before,) = (trained / "blocks").iterdir()
    with pytest.raises(pytest.fail.Exception):
        start(trained, images, pictures="changed")
    (after,) = (trained / "blocks").iterdir()
    assert before != after


def test_the_log_counts_what_was_predicted_and_lists_what_was_skipped(trained, images, caplog):
    (images / "Thumbs.db").write_bytes(b"?")
    save(images / "line.png", np.zeros((40, 70), np.uint8))
    with caplog.at_level(logging.INFO):
        start(trained, images)
    assert "skipped 1 files that are not images: Thumbs.db" in caplog.text
    assert "7 images, 14 windows, 8 networks, on CPU" in caplog.text
    assert "predicted 7 images, 1 of them larger than a tile, with 8 networks" in caplog.text


def test_damaged_images_end_it_before_anything_is_predicted(trained, images):
    (images / "bad.png").write_bytes(b"hello")
    with pytest.raises(UserError, match=re.escape("bad.png (content is not PNG)")):
        start(trained, images)
    assert not (trained / "out").exists()
