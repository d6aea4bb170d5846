import json
import subprocess
import sys

import numpy as np
import pandas as pd

from salt.data.folds import load_folds
from salt.data.tiles import Tiles, save_tiles
from salt.runtime import provenance


def make_folds(folder, **settings):
    command = [sys.executable, "-m", "stages.make_folds", "--settings", json.dumps(settings)]
    command += ["--tiles", folder / "tiles", "--out", folder / "folds.csv"]
    if settings["by"] == "mosaic":
        command += ["--mosaics", folder / "mosaics.csv", folder / "duplicates.csv"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def save_six_tiles(folder, depth):
    images = np.zeros((6, 4, 4), np.uint8)
    table = pd.DataFrame(
        {
            "id": [f"00{row}" for row in range(6)],
            "split": "train",
            "z": depth,
            "constant": False,
            "coverage": 0.0,
        }
    )
    test = table.iloc[:0].assign(split="test")
    save_tiles(folder / "tiles", Tiles(table, images, images), Tiles(test, images[:0], None))


def test_every_training_tile_gets_one_fold(tmp_path):
    save_six_tiles(tmp_path, depth=range(6))
    done = make_folds(tmp_path, count=3, by="depth")
    assert done.returncode == 0, done.stdout + done.stderr
    result = load_folds(tmp_path / "folds.csv")
    assert result["id"].tolist() == ["000", "001", "002", "003", "004", "005"]
    assert result["fold"].tolist() == [0, 1, 2, 0, 1, 2]
    assert "held out without constant ones: 2, 2, 2" in done.stdout


def test_mosaics_and_duplicates_keep_tiles_together(tmp_path):
    save_six_tiles(tmp_path, depth=np.nan)
    pd.DataFrame({"id": ["001", "004"], "mosaic": 0, "row": 0, "column": [0, 1]}).to_csv(
        tmp_path / "mosaics.csv", index=False
    )
    (tmp_path / "duplicates.csv").write_text("id,of,how\n004,002,mirrored\n")
    done = make_folds(tmp_path, count=2, by="mosaic")
    assert done.returncode == 0, done.stdout + done.stderr
    fold_of = load_folds(tmp_path / "folds.csv").set_index("id")["fold"]
    assert fold_of["001"] == fold_of["004"] == fold_of["002"]


def test_a_file_says_which_folds_hold_out_which_tiles(tmp_path):
    save_six_tiles(tmp_path, depth=np.nan)
    file = tmp_path / "mine.csv"
    file.write_text("id,fold\n" + "".join(f"00{row},{int(row > 3)}\n" for row in range(6)))
    done = make_folds(tmp_path, count=2, by="file", file=str(file))
    assert done.returncode == 0, done.stdout + done.stderr
    assert load_folds(tmp_path / "folds.csv")["fold"].tolist() == [0, 0, 0, 0, 1, 1]
    assert list(provenance.read(tmp_path / "folds.csv")["inputs"]["file"]) == [str(file)]


def test_a_file_of_other_tiles_ends_with_its_faults_and_no_file(tmp_path):
    save_six_tiles(tmp_path, depth=np.nan)
    file = tmp_path / "mine.csv"
    file.write_text("id,fold\nx,0\n")
    done = make_folds(tmp_path, count=2, by="file", file=str(file))
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "ids without a tile (1): x" in done.stderr
    assert "labelled tiles without a row (6)" in done.stderr
    assert not (tmp_path / "folds.csv").exists()


def test_unknown_depths_end_with_one_paragraph_and_no_file(tmp_path):
    save_six_tiles(tmp_path, depth=np.nan)
    done = make_folds(tmp_path, count=2, by="depth")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "depths.csv" in done.stderr
    assert not (tmp_path / "folds.csv").exists()


def test_more_folds_than_tiles_end_with_one_paragraph_and_no_file(tmp_path):
    save_six_tiles(tmp_path, depth=range(6))
    done = make_folds(tmp_path, count=7, by="depth")
    assert (done.returncode, done.stderr) == (
        1,
        "Error: Expected at least as many training tiles as folds, and found 6 tiles for folds.count: 7. "
        "Use fewer folds or more tiles.\n",
    )
    assert not (tmp_path / "folds.csv").exists()
