"""The whole workflow on images of other shapes and formats than the competition's."""

import csv
from dataclasses import dataclass, field

import cv2
import numpy as np
import pytest
import yaml

from salt.data import rle
from tests.own_images import encoded, write
from tests.workflow.conftest import REPOSITORY, copy_of_the_repository, snakemake


@dataclass
class Case:
    """A data set and its run.

    size: height and width of the images, px; kind: suffix of the files; peak: largest value of the images
    mask_value: value of salt in the masks; overlay: on own_data.yaml; test_tiles, tile: number and size of the tiles
    in the submission
    """

    size: tuple[int, int]
    kind: str
    peak: int
    mask_value: int
    labelled: int
    unlabelled: int
    overlay: dict
    test_tiles: int
    tile: tuple[int, int]
    controls: bool = False
    files: dict[str, bytes] = field(default_factory=dict)


CASES = {
    "RGB JPEGs": Case(
        (64, 96), ".jpg", 255, 255, 8, 6, {"data": {"colour": "rgb"}, "input": {"channels": "rgb"}}, 6, (64, 96), True
    ),
    "16-bit TIFFs": Case(
        (256, 256),
        ".tif",
        4095,
        1,
        6,
        5,
        {"data": {"range": [0, 4095]}, "input": {"resize": 60, "pad": [64, 68], "pad_mode": "reflect"}},
        5,
        (256, 256),
    ),
    "sections": Case(
        (700, 1500),
        ".png",
        255,
        255,
        1,
        1,
        {"data": {"tile": [240, 300], "range": "tile"}, "input": {"resize": [48, 60], "channels": "grey"}},
        15,
        (240, 300),
    ),
}


def draw(rng, case):
    """Image and mask (H, W): layers, and brighter salt to the right of a slanted flank."""
    height, width = case.size
    rows, columns = np.mgrid[:height, :width]
    mask = columns + rows / 3 > width * rng.uniform(0.4, 0.9)
    layers = 0.4 + 0.2 * np.sin(rows / 5 + rng.uniform(0, 6)) + rng.normal(0, 0.05, case.size)
    image = (np.clip(layers + 0.3 * mask, 0, 1) * case.peak).astype(np.uint16 if case.peak > 255 else np.uint8)
    return image, mask.astype(np.uint8) * np.uint8(case.mask_value)


def write_images(root, case):
    """Write images and masks in the layout `folders`; JPEGs are in colour."""
    rng, files = np.random.default_rng(1), {}
    for number in range(case.labelled + case.unlabelled):
        image, mask = draw(rng, case)
        if case.kind == ".jpg":
            image = cv2.applyColorMap(image, cv2.COLORMAP_TURBO)
        split, name = ("train" if number < case.labelled else "test"), f"line{number}"
        files[f"{split}/images/{name}{case.kind}"] = encoded(image, case.kind)
        if split == "train":
            files[f"train/masks/{name}.png"] = encoded(mask, ".png")
    write(root, files)


@pytest.mark.slow
@pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in CASES.items()])
def test_a_run_on_own_images_ends_with_a_submission_and_a_report(tmp_path, case):
    folder = copy_of_the_repository(tmp_path)
    write_images(folder / "data" / "own", case)
    overlay = {
        "pathvars": {"results": "results/own"},
        "controls": case.controls,
        "data": {"layout": "folders", "root": "data/own", **case.overlay["data"]},
        "models": {name: {"input": case.overlay["input"]} for name in ("first", "second")},
    }
    (folder / "own.yaml").write_text(yaml.safe_dump(overlay))
    tiny = REPOSITORY / "tests" / "workflow" / "own_data.yaml"
    done = snakemake(folder, "--cores", "2", "--resources", "gpu=1", "--configfile", str(tiny), "own.yaml")
    assert done.returncode == 0, done.stdout
    assert "Traceback" not in done.stdout
    with (folder / "results/own/submission.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len({row["id"] for row in rows}) == case.test_tiles
    assert all(rle.decode(row["rle_mask"], *case.tile).shape == case.tile for row in rows)
    report = (folder / "results/own/report.html").read_text()
    assert f"{case.tile[0]} × {case.tile[1]} px" in report
    trainings = {"second/pretrain/all_folds"}
    if case.controls:
        trainings |= {f"second_control/{training}fold{fold}" for training in ("pretrain/", "") for fold in range(2)}
    for training in trainings:
        assert len((folder / "results/own/models" / training / "history.csv").read_text().splitlines()) == 2
    scores = (folder / "results/own/scores.csv").read_text()
    assert ("\nfinal_control," in scores) == case.controls
