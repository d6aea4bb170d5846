import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from salt.data.records import create_records, open_records
from salt.data.tiles import Tiles, save_tiles

HEADER = "id,mosaic,row,column,reason,source,pixels,before,after\n"
LINE = np.array([0, 1, 1, 0, 0, 0], np.uint8)


@pytest.fixture
def run(tmp_path):
    """Starts the program: train tiles a (vertical salt), e (salt in its last row), f (as a, but constant).

    Test tiles b, c (constant), d.
    """

    def tiles(split, ids):
        images = np.zeros((len(ids), 6, 6), np.uint8)
        table = pd.DataFrame({"id": list(ids), "split": split, "z": 0.0, "coverage": 0.0})
        straight = np.tile(LINE, (6, 1))
        masks = np.stack([straight, np.outer(np.arange(6) == 5, LINE), straight]) if split == "train" else None
        return Tiles(table.assign(constant=table["id"].isin(["c", "f"])), images, masks)

    save_tiles(tmp_path / "tiles", tiles("train", "aef"), tiles("test", "bcd"))
    with create_records(tmp_path / "test.npy", list("dcb"), {"plain": np.float16, "tta": np.float16}, 6, 6) as out:
        out["plain"] = 0.9  # not what is submitted
        out["tta"][:, 0, 0] = 0.75
        out["tta"][:, 0, 1] = 0.5

    def start(mosaics="id,mosaic,row,column\na,0,0,0\nb,0,1,0\n", above=0.5, rule="published", cleaning=()):
        (tmp_path / "mosaics.csv").write_text(mosaics)
        steps = [{"name": "threshold", "above": above}, {"name": "empty_constant"}, *cleaning]
        steps += [{"name": "jigsaw", "rule": rule}] if rule else []
        options = {
            "settings": json.dumps(steps),
            "probabilities": tmp_path / "test.npy",
            "tiles": tmp_path / "tiles",
            "mosaics": tmp_path / "mosaics.csv",
            "masks-out": tmp_path / "postprocess" / "masks.npy",
            "changes-out": tmp_path / "postprocess" / "changes.csv",
        }
        command = [sys.executable, "-m", "stages.postprocess"]
        command += [str(part) for name, value in options.items() for part in (f"--{name}", value)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        records = open_records(tmp_path / "postprocess" / "masks.npy")
        masks = dict(zip(records["id"].tolist(), records["mask"], strict=True))
        return masks, (tmp_path / "postprocess" / "changes.csv").read_text(), done.stdout

    return start


def test_a_test_tile_below_a_vertical_training_tile_gets_its_mask(run):
    masks, changes, log = run()
    assert list(masks) == ["d", "c", "b"]
    np.testing.assert_array_equal(masks["b"], np.tile(LINE, (6, 1)))
    assert changes == f"{HEADER}b,0,1,0,below a vertical tile,a,13,1 1,7 12\n"
    assert "3 masks, by the steps threshold, empty_constant, jigsaw" in log
    assert "jigsaw rule: published, 1 tiles, 13 pixels changed" in log


def test_other_tiles_are_thresholded_and_constant_ones_are_empty(run):
    masks, _, _ = run()
    assert masks["d"].sum() == masks["d"][0, 0] == 1
    assert masks["c"].sum() == 0


def test_a_constant_training_tile_says_nothing(run):
    assert run(mosaics="id,mosaic,row,column\nf,0,0,0\nb,0,1,0\n")[1] == HEADER


EDGE = "id,mosaic,row,column\ne,0,0,0\nd,0,1,0\n"


def test_the_extended_rule_mends_a_tile_that_is_predicted_empty_below_salt(run):
    masks, changes, _ = run(mosaics=EDGE, rule="extended", above=0.8)
    np.testing.assert_array_equal(masks["d"], np.tile(LINE, (6, 1)))
    assert changes == f"{HEADER}d,0,1,0,predicted empty below salt,e,12,,7 12\n"


def test_a_tile_with_predicted_salt_is_not_mended(run):
    assert run(mosaics=EDGE, rule="extended", above=0.5)[1] == HEADER
    assert run(mosaics=EDGE, rule="published", above=0.8)[1] == HEADER


def test_switched_off_the_rule_changes_nothing(run):
    masks, changes, log = run(rule=None)
    assert masks["b"].sum() == 1
    assert changes == HEADER
    assert "jigsaw rule: none, 0 tiles, 0 pixels changed" in log


def test_the_steps_between_threshold_and_jigsaw_rule_are_applied(run):
    masks, _, log = run(above=0.4, cleaning=[{"name": "remove_components", "smaller_than": 3}])
    assert masks["d"].sum() == 0
    assert run(above=0.4)[0]["d"].sum() == 2
    assert "threshold, empty_constant, remove_components, jigsaw" in log


def test_without_mosaics_nothing_changes(run):
    masks, changes, _ = run(mosaics="id,mosaic,row,column\n")
    assert masks["b"].sum() == 1
    assert changes == HEADER


def test_the_threshold_is_strict_and_not_rounded_to_half_precision(run):
    assert run(above=0.75)[0]["d"].sum() == 0
    assert run(above=0.7499)[0]["d"].sum() == 1  # as float16 it would be 0.75
