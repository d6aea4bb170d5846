import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from salt.records import create_records, open_records
from salt.tiles import Tiles, save_tiles

LINE = np.array([0, 1, 1, 0, 0, 0], np.uint8)


@pytest.fixture
def run(tmp_path):
    """Starts the program: train tiles a (vertical salt), e; test tiles b (below a), c (constant), d."""

    def tiles(split, ids):
        images = np.zeros((len(ids), 6, 6), np.uint8)
        table = pd.DataFrame({"id": list(ids), "split": split, "z": 0.0, "coverage": 0.0})
        masks = np.stack([np.tile(LINE, (6, 1)), images[0]]) if split == "train" else None
        return Tiles(table.assign(constant=table["id"] == "c"), images, masks)

    save_tiles(tmp_path / "tiles", tiles("train", "ae"), tiles("test", "bcd"))
    with create_records(tmp_path / "test.npy", list("dcb"), {"plain": np.float16, "tta": np.float16}, 6, 6) as out:
        out["plain"] = 0.9  # not what is submitted
        out["tta"][:, 0, 0] = 0.75
        out["tta"][:, 0, 1] = 0.5

    def start(mosaics="id,mosaic,row,column\na,0,0,0\nb,0,1,0\n", **settings):
        (tmp_path / "mosaics.csv").write_text(mosaics)
        options = {
            "settings": json.dumps({"ensemble": "final"} | settings),
            "probabilities": tmp_path / "test.npy",
            "tiles": tmp_path / "tiles",
            "mosaics": tmp_path / "mosaics.csv",
            "masks-out": tmp_path / "jigsaw" / "masks.npy",
            "changes-out": tmp_path / "jigsaw" / "changes.csv",
        }
        command = [sys.executable, "-m", "stages.apply_jigsaw"]
        command += [str(part) for name, value in options.items() for part in (f"--{name}", value)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        records = open_records(tmp_path / "jigsaw" / "masks.npy")
        masks = dict(zip(records["id"].tolist(), records["mask"], strict=True))
        return masks, (tmp_path / "jigsaw" / "changes.csv").read_text(), done.stdout

    return start


def test_a_test_tile_below_a_vertical_training_tile_gets_its_mask(run):
    masks, changes, log = run()
    assert list(masks) == ["d", "c", "b"]
    np.testing.assert_array_equal(masks["b"], np.tile(LINE, (6, 1)))
    assert changes == "id,mosaic,row,column,reason,source,pixels\nb,0,1,0,below a vertical tile,a,13\n"
    assert "1 tiles, 13 pixels changed" in log


def test_other_tiles_are_thresholded_and_constant_ones_are_empty(run):
    masks, _, _ = run()
    assert masks["d"].sum() == masks["d"][0, 0] == 1
    assert masks["c"].sum() == 0


def test_switched_off_the_rule_changes_nothing(run):
    masks, changes, log = run(jigsaw=False)
    assert masks["b"].sum() == 1
    assert changes == "id,mosaic,row,column,reason,source,pixels\n"
    assert "the jigsaw rule is off" in log


def test_without_mosaics_nothing_changes(run):
    masks, changes, _ = run(mosaics="id,mosaic,row,column\n")
    assert masks["b"].sum() == 1
    assert changes == "id,mosaic,row,column,reason,source,pixels\n"


def test_the_threshold_is_strict_and_not_rounded_to_half_precision(run):
    assert run(threshold=0.75)[0]["d"].sum() == 0
    assert run(threshold=0.7499)[0]["d"].sum() == 1  # as float16 it would be 0.75
