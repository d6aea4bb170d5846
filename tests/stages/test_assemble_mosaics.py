import subprocess
import sys

import cv2
import numpy as np
import pandas as pd

from salt.mosaics import load_mosaics
from salt.tiles import Tiles, save_tiles


def assemble_mosaics(folder, images):
    """Run the program on tiles t0, t1 ..., the even ones of the training split."""
    ids = np.array([f"t{number}" for number in range(len(images))])

    def tiles(split, rows):
        table = pd.DataFrame({"id": ids[rows], "split": split, "z": 0.0, "constant": False, "coverage": 0.0})
        return Tiles(table, images[rows], images[rows])

    even, odd = np.arange(0, len(images), 2), np.arange(1, len(images), 2)
    save_tiles(folder / "tiles", tiles("train", even), tiles("test", odd))
    command = [sys.executable, "-m", "stages.assemble_mosaics", "--settings", "{}"]
    command += ["--tiles", folder / "tiles", "--out", folder / "mosaics.csv"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return load_mosaics(folder / "mosaics.csv"), done.stdout


def test_neighbours_are_found_across_the_splits(tmp_path):
    noise = np.random.default_rng(0).standard_normal((40, 160)).astype(np.float32)
    row = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 2.0), None, 0, 255, cv2.NORM_MINMAX, cv2.CV_8U)
    mosaics, log = assemble_mosaics(tmp_path, np.stack(np.split(row, 4, axis=1)))
    assert mosaics.to_numpy().tolist() == [[f"t{column}", 0, 0, column] for column in range(4)]
    assert "4 of 4 tiles in 1 mosaics" in log


def test_without_neighbours_there_is_only_the_header(tmp_path):
    mosaics, _ = assemble_mosaics(tmp_path, np.zeros((3, 20, 20), np.uint8))
    assert mosaics.empty
    assert (tmp_path / "mosaics.csv").read_text() == "id,mosaic,row,column\n"
