"""A pack of the finished tiny run, on a fresh clone without its data."""

import json
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest

from salt.data.tiles import load_tiles
from tests.workflow.conftest import copy_of_the_repository, snakemake

pytestmark = pytest.mark.slow


def program(folder, *options):
    done = subprocess.run(
        [sys.executable, "-m", *options],
        cwd=folder,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def predictions(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.glob("*/*.png")}


def test_a_pack_predicts_on_a_fresh_clone_what_the_run_predicts(run, tmp_path):
    pack = tmp_path / "tiny.pack.zip"
    program(run.folder, "salt.packs.pack", "--run", "results/tiny", "--out", str(pack))
    test = load_tiles(run.results / "tiles", "test")
    rows = np.flatnonzero(~test.table["constant"])[:3]
    images, clone, moved = (tmp_path / name for name in ("lines", "clone", "moved"))
    for folder in (images, clone, moved):
        folder.mkdir()
    cv2.imwrite(str(images / "tile.png"), test.images[rows[0]])
    cv2.imwrite(str(images / "section.png"), np.hstack(test.images[rows]))
    copy_of_the_repository(clone)
    compute = json.dumps({"device": "cpu", "threads": 1})  # those of the run: sums depend on the number of threads
    said = program(clone, "salt.packs.predict", "--pack", str(pack), "--images", str(images), "--compute", compute)
    assert "predicted 2 images, 1 of them larger than a tile, with 12 networks" in said
    assert "Traceback" not in said
    copy_of_the_repository(moved)
    shutil.copytree(run.results / "models", moved / "results" / "tiny" / "models")
    done = snakemake(moved, *run.command, "--config", f"predict={images}")
    assert done.returncode == 0, done.stdout
    expected = moved / "results" / "tiny" / "predictions" / "lines"
    found = clone / "results" / "tiny.pack" / "predictions" / "lines"
    assert len(predictions(expected)) == 4
    assert predictions(found) == predictions(expected)
    assert (found / "masks.csv").read_bytes() == (expected / "masks.csv").read_bytes()
