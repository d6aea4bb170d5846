"""Mistakes in images of one's own, each with all that is said about it: expected, found, what to do."""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pytest
from PIL import Image

from salt.runtime import program
from stages import prepare_tiles
from tests.own_images import HEIGHT, WIDTH, encoded, make_folders, npy, saved, table, write

HEADING = (
    "Error: The data in {root} cannot be used. The faults by kind, with their number, the first few and what to do:"
)
CLOSING = "Then type the same command again."
AGAIN = "Repair or replace them."
WRONG = "images and masks that cannot be used (1): "

GREY = np.arange(HEIGHT * WIDTH, dtype=np.uint8).reshape(HEIGHT, WIDTH)
SMALL = GREY[:4]
FLOATS = np.linspace(-2, 3, HEIGHT * WIDTH, dtype=np.float32).reshape(HEIGHT, WIDTH)
HALF = np.where(GREY > 20, 255, 0).astype(np.uint8)


@dataclass
class Bad:
    """What is broken, and the lines of the list that say it.

    change: what becomes of files by their path: new content, or None where they are removed
    data: settings in place of the usual
    """

    change: Mapping[str, bytes | None]
    said: list[str]
    data: Mapping[str, object] = field(default_factory=dict)
    base: Callable[[], dict[str, bytes]] = make_folders


def everywhere(make):
    """New content for all images."""
    return {name: make(name) for name in make_folders() if "/images/" in name}


FILES = {
    "empty file": Bad({"train/images/a.png": b""}, [f"{WRONG}train/images/a.png (content is not PNG). {AGAIN}"]),
    "text": Bad({"test/images/x.png": b"hello"}, [f"{WRONG}test/images/x.png (content is not PNG). {AGAIN}"]),
    "cut off": Bad(
        {"train/images/a.png": encoded(GREY, ".png")[:-20]}, [f"{WRONG}train/images/a.png (damaged PNG). {AGAIN}"]
    ),
    "cut off within the header": Bad(
        {"train/masks/a.png": encoded(GREY, ".png")[:20]},
        [f"{WRONG}train/masks/a.png (damaged or unusual PNG). {AGAIN}"],
    ),
    "a PNG that is a JPEG": Bad(
        {"train/images/a.png": encoded(GREY, ".jpg")}, [f"{WRONG}train/images/a.png (a JPEG, named .png). {AGAIN}"]
    ),
    "grey and alpha": Bad(
        {"test/images/x.png": saved(Image.fromarray(GREY).convert("LA"), "PNG", alpha=HALF)},
        [f"{WRONG}test/images/x.png (with transparency, expected none). {AGAIN}"],
    ),
    "pages": Bad(
        {
            "train/images/a.png": None,
            "train/images/a.tif": saved(
                Image.fromarray(GREY), "TIFF", save_all=True, append_images=[Image.fromarray(GREY)]
            ),
        },
        [f"{WRONG}train/images/a.tif (2 pages, expected one). {AGAIN}"],
    ),
    "absurd size": Bad(
        {"test/images/x.png": None, "test/images/x.npy": npy(GREY).replace(b"(6, 8), }     ", b"(60000, 80000)}")},
        [f"{WRONG}test/images/x.npy (size 60000 x 80000, expected 1 to 536870912 px and at most 4 channels). {AGAIN}"],
    ),
    "objects": Bad(
        {"test/images/x.png": None, "test/images/x.npy": npy(np.array([[{}]]), allow_pickle=True)},
        [f"{WRONG}test/images/x.npy (an NPY of objects, expected numbers). {AGAIN}"],
    ),
    "nan": Bad(
        {"test/images/x.png": None, "test/images/x.npy": npy(np.where(GREY > 45, np.nan, FLOATS))},
        [f"{WRONG}test/images/x.npy (2 pixels that are not numbers (NaN, infinite)). {AGAIN}"],
        {"range": [-2, 3]},
    ),
    "a kind that is not read": Bad(
        {"train/images/a.png": None, "train/images/a.gif": b"GIF89a", "train/masks/notes.txt": b"salt"},
        [
            "files without one of the suffixes .png, .jpg, .jpeg, .tif, .tiff, .bmp, .npy (2): train/images/a.gif, "
            "train/masks/notes.txt. Convert or remove them.",
            "masks without train/images/<id> (1): train/masks/a.png. Add their images, or remove the masks.",
        ],
    ),
}

FOLDERS = {
    "empty folders": Bad(
        {name: None for name in make_folders() if "train/" in name},
        [
            "folders without an image (2): {root}/train/images, {root}/train/masks. "
            "data/README.md describes what belongs there."
        ],
    ),
    "no masks": Bad(
        {name: None for name in make_folders() if "/masks/" in name},
        ["folders without an image (1): {root}/train/masks. data/README.md describes what belongs there."],
    ),
    "no test tiles": Bad(
        {name: None for name in make_folders() if "test/" in name},
        ["folders without an image (1): {root}/test/images. data/README.md describes what belongs there."],
    ),
    "a folder below": Bad(
        {"train/images/well 3/d.png": encoded(GREY, ".png")},
        ["files in subfolders of train/images (1): train/images/well 3/d.png. Move them directly into train/images."],
    ),
}

IDS = {
    "image without mask": Bad(
        {"train/masks/b.png": None},
        ["images without train/masks/<id> (1): train/images/b.png. Add their masks, or remove the images."],
    ),
    "mask without image": Bad(
        {"train/masks/q.png": encoded(HALF, ".png")},
        ["masks without train/images/<id> (1): train/masks/q.png. Add their images, or remove the masks."],
    ),
    "id twice": Bad(
        {"train/images/a.jpg": encoded(GREY, ".jpg")},
        [
            "ids that two files of a folder share (1): train/images/a.jpg and train/images/a.png. "
            "Remove one of each pair."
        ],
    ),
    "id in train and test": Bad(
        {"test/images/a.png": encoded(GREY, ".png")}, ["ids in both splits (1): a. Remove each from one split."]
    ),
    "formulas": Bad(
        {"test/images/=1+1.png": encoded(GREY, ".png"), "test/images/@x\t.png": encoded(GREY, ".png")},
        [
            "ids of images that are not 1 to 100 characters of A-Z a-z 0-9 . _ -, the first a letter, a digit or _ "
            "(2): '=1+1', '@x\\t'. Rename these tiles wherever they appear."
        ],
    ),
    "an id that a cut makes": Bad(
        {
            "test/images/x_r0_c1.png": encoded(GREY, ".png"),
            "test/images/x.png": encoded(np.hstack([GREY, GREY]), ".png"),
        },
        ["ids of tiles cut from one image that another image also has (1): x_r0_c1. Rename that image."],
        {"tile": [HEIGHT, WIDTH]},
    ),
    "another sample": Bad(
        {"sample_submission.csv": table("id,rle_mask", ["x,", "q,"])},
        [
            "ids in sample_submission.csv without test/images/<id> (1): q. Add the images, or remove the table.",
            "images without a row in sample_submission.csv (1): test/images/y.png. Add the rows, or remove the table.",
        ],
    ),
}

DEPTHS = {
    "missing": Bad(
        {"depths.csv": table("id,z", ["a,1", "b,2", "c,3", "x,4"])},
        [
            "tiles without a row in depths.csv (1): y. Add their depths, or remove depths.csv and set "
            "`folds: {by: coverage}`."
        ],
    ),
    "no numbers": Bad(
        {"depths.csv": table("id,z", ["a,deep", "b,NaN", "c,", "x,4", "y,inf"])},
        [
            "depths (z in depths.csv) that are not numbers (4): a ('deep'), b ('NaN'), c (''), y ('inf'). "
            "Write numbers such as 306 or 12.5."
        ],
    ),
}

SIZES = {
    "mixed": Bad(
        {"train/images/a.png": encoded(SMALL, ".png"), "train/masks/a.png": encoded(HALF[:4], ".png")},
        [
            "image sizes, expected one (2): 6 x 8 (4 images), 4 x 8 (1 images). "
            "Set data.tile: larger images are cut into tiles of that size."
        ],
    ),
    "smaller than the tile": Bad(
        {"test/images/y.png": encoded(SMALL, ".png")},
        [
            "images smaller than a tile of 6 x 8 px (the config's data.tile) (1): test/images/y.png (4 x 8). "
            "Lower data.tile, or remove these images."
        ],
        {"tile": [6, 8]},
    ),
    "a mask of another size": Bad(
        {"train/masks/a.png": encoded(HALF[:4], ".png")},
        [
            "masks whose size differs from their image's (1): train/masks/a.png (4 x 8; its image 6 x 8). "
            "Save both with one size."
        ],
    ),
}

VALUES = {
    "three in a mask": Bad(
        {"train/masks/a.png": encoded(np.minimum(GREY, 2), ".png")},
        [f"{WRONG}train/masks/a.png (3 values: 0, 1, 2). {AGAIN}"],
    ),
    "a mask that is a photograph": Bad(
        {"train/masks/a.png": encoded(GREY, ".png")},
        [f"{WRONG}train/masks/a.png (48 values: 0, 1, 2, 3 ...). {AGAIN}"],
    ),
    "other ones in another mask": Bad(
        {"train/masks/b.png": encoded(HALF // 255, ".png")},
        [
            "mask values, expected two (3): 0 (such as in train/masks/a.png), 1 (such as in "
            "train/masks/b.png), 255 (such as in train/masks/a.png). Save all masks with the same two values."
        ],
    ),
    "no salt at all": Bad(
        {f"train/masks/{name}.png": encoded(0 * GREY, ".png") for name in "abc"},
        [
            "mask values, expected two: salt and background (1): only 0. "
            "Check the masks: without both there is nothing to learn."
        ],
    ),
    "another value for salt": Bad(
        {},
        [
            "mask values, none of them the config's data.mask_value, 7 (1): 0, 255. "
            "Set it to one of these, or leave it out."
        ],
        {"mask_value": 7},
    ),
    "floats": Bad(
        {"train/images/a.png": None, "train/images/a.npy": npy(FLOATS)},
        [
            f"{WRONG}train/images/a.npy (floats from -2 to 3, whose type has no range; "
            f"add `range: [low, high]` or `range: tile` to the config's `data`). {AGAIN}",
            "pixel types, expected one (2): float32 (such as train/images/a.npy), "
            "uint8 (such as train/images/b.png). Save all images with one type, or set data.range: tile.",
        ],
    ),
    "8 and 16 bits": Bad(
        {"test/images/y.png": encoded(GREY.astype(np.uint16) * 50, ".png")},
        [
            "pixel types, expected one (2): uint8 (such as train/images/a.png), "
            "uint16 (such as test/images/y.png). Save all images with one type, or set data.range: tile."
        ],
        {"range": [0, 3000]},
    ),
    "all constant": Bad(
        everywhere(lambda name: encoded(np.full_like(GREY, len(name)), ".png")),
        [
            "tiles of train, all of them constant (3): a, b, c. Check the images: each holds a single grey value.",
            "tiles of test, all of them constant (2): x, y. Check the images: each holds a single grey value.",
        ],
    ),
    "a range of nothing": Bad(
        {},
        [
            "tiles of train, all of them constant (3): a, b, c. Check the images: each holds a single grey value.",
            "tiles of test, all of them constant (2): x, y. Check the images: each holds a single grey value.",
            "ranges that make every training tile constant (1): data.range: [300.0, 400.0]. "
            "Compare it with the values of the images.",
        ],
        {"range": [300, 400]},
    ),
}

TOGETHER = {
    "many at once": Bad(
        {
            "train/images/a.png": b"",
            "train/masks/b.png": encoded(GREY, ".png"),
            "test/images/y.png": encoded(GREY, ".jpg"),
            "test/images/+z.png": encoded(SMALL, ".png"),
            "depths.csv": b"",
        },
        [
            "ids of images that are not 1 to 100 characters of A-Z a-z 0-9 . _ -, the first a letter, a digit or _ "
            "(1): '+z'. Rename these tiles wherever they appear.",
            "tables with missing columns (1): depths.csv (expected id, z; found nothing). "
            "The first line must name the columns, separated by commas.",
            "images and masks that cannot be used (3): train/images/a.png (content is not PNG), "
            f"test/images/y.png (a JPEG, named .png), train/masks/b.png (48 values: 0, 1, 2, 3 ...). {AGAIN}",
            "image sizes, expected one (2): 6 x 8 (3 images), 4 x 8 (1 images). "
            "Set data.tile: larger images are cut into tiles of that size.",
        ],
    ),
}

KINDS = {
    "files": FILES,
    "folders": FOLDERS,
    "ids": IDS,
    "depths": DEPTHS,
    "sizes": SIZES,
    "values": VALUES,
    "together": TOGETHER,
}


def arguments(root, out, **data):
    settings = {"layout": "folders", "root": str(root), **data}
    return ["--settings", json.dumps(settings), "--out", str(out)]


@pytest.mark.parametrize(
    "bad", [pytest.param(bad, id=f"{kind}: {name}") for kind, rows in KINDS.items() for name, bad in rows.items()]
)
def test_every_mistake_is_reported_in_full_and_leaves_nothing_behind(tmp_path, bad, capfd):
    root = tmp_path / "data"
    write(root, {name: data for name, data in (make_folders() | bad.change).items() if data is not None})
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(SystemExit) as end:
        program.run(lambda: prepare_tiles.main(arguments(root, tmp_path / "run" / "tiles", **bad.data)))
    lines = [HEADING, *(f"- {line}" for line in bad.said), CLOSING]
    assert end.value.code == "\n".join(lines).replace("{root}", str(root))  # a text: Python prints it and exits with 1
    assert sorted(tmp_path.rglob("*")) == before


def test_the_program_ends_with_the_message_alone(tmp_path):
    root = write(tmp_path / "data", make_folders() | {"train/images/a.png": b""})
    command = [sys.executable, "-m", "stages.prepare_tiles", *arguments(root, tmp_path / "tiles")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 3
    assert "Traceback" not in done.stdout + done.stderr
    assert not (tmp_path / "tiles").exists()


def test_the_program_reports_a_missing_folder_too(tmp_path):
    with pytest.raises(SystemExit) as end:
        program.run(lambda: prepare_tiles.main(arguments(tmp_path / "nowhere", tmp_path / "tiles")))
    assert "folders without an image (3)" in end.value.code
