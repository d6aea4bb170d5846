import subprocess
import sys

import cv2
import numpy as np
import pandas as pd

from salt.data.tiles import Tiles, save_tiles
from salt.mosaics.duplicates import load_duplicates
from salt.mosaics.layout import load_mosaics


def assemble_mosaics(folder, images):
    """Run the program on tiles t0, t1 ..., the even ones of the training split."""
    ids = np.array([f"t{number}" for number in range(len(images))])

    def tiles(split, rows):
        table = pd.DataFrame({"id": ids[rows], "split": split, "z": 0.0, "constant": False, "coverage": 0.0})
        return Tiles(table, images[rows], images[rows])

    even, odd = np.arange(0, len(images), 2), np.arange(1, len(images), 2)
    save_tiles(folder / "tiles", tiles("train", even), tiles("test", odd))
    command = [sys.executable, "-m", "stages.assemble_mosaics", "--settings", "{}", "--tiles", folder / "tiles"]
    for name in ("mosaics", "neighbours", "duplicates"):
        command += [f"--{name}", folder / f"{name}.csv"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return load_mosaics(folder / "mosaics.csv"), done.stdout


def row_of_tiles(count):
    """(count, 50, 50) tiles of one smooth section, from left to right."""
    noise = np.random.default_rng(0).standard_normal((50, 50 * count)).astype(np.float32)
    row = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 2.0), None, 0, 255, cv2.NORM_MINMAX, cv2.CV_8U)
    return np.stack(np.split(row, count, axis=1))


def test_neighbours_are_found_across_the_splits(tmp_path):
    mosaics, log = assemble_mosaics(tmp_path, row_of_tiles(4))
    assert mosaics.to_numpy().tolist() == [[f"t{column}", 0, 0, column] for column in range(4)]
    assert "4 of 4 tiles in 1 mosaics, from 3 pairs of neighbours; 0 other pairs contradicted more certain ones" in log
    assert "no tile is a copy of another" in log
    pairs = pd.read_csv(tmp_path / "neighbours.csv").sort_values("first")
    assert pairs[["first", "second", "direction"]].to_numpy().tolist() == [
        [f"t{column}", f"t{column + 1}", "right"] for column in range(3)
    ]
    assert pairs["similarity"].gt(pairs["next_best"]).all()
    assert pairs["kept"].all()


def test_without_neighbours_and_duplicates_there_are_only_headers(tmp_path):
    mosaics, _ = assemble_mosaics(tmp_path, np.zeros((3, 20, 20), np.uint8))
    assert mosaics.empty
    assert (tmp_path / "mosaics.csv").read_text() == "id,mosaic,row,column\n"
    header = "first,second,direction,similarity,next_best,loops,kept\n"
    assert (tmp_path / "neighbours.csv").read_text() == header
    assert (tmp_path / "duplicates.csv").read_text() == "id,of,how\n"


def test_duplicates_are_listed_and_warned_of(tmp_path):
    images = row_of_tiles(3)
    mosaics, log = assemble_mosaics(tmp_path, np.stack([*images, images[1], images[1][::-1]]))
    assert mosaics["id"].tolist() == ["t0", "t1", "t2"]
    assert load_duplicates(tmp_path / "duplicates.csv").to_numpy().tolist() == [
        ["t3", "t1", "identical"],
        ["t4", "t1", "mirrored and turned 180"],
    ]
    assert "2 tiles duplicate another tile: 1 are exact copies and in no mosaic, 1 are turned or mirrored" in log
    assert "1 are in a different split than their original" in log
