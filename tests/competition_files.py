"""A small version of the competition's files as {relative path: content}, in each supported form."""

import io
import zipfile

import cv2
import numpy as np

from salt.data import rle

SIDE = 6
SPLITS = {"train": ("c", "a", "b"), "test": ("z", "x", "y")}  # ids in the order of the tables: not sorted


def png(pixels):
    return cv2.imencode(".png", pixels)[1].tobytes()


def table(header, rows):
    return "\n".join([header, *(",".join(map(str, row)) for row in rows), ""]).encode()


def zipped(files, how=zipfile.ZIP_DEFLATED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():  # ZipInfo has a fixed time, so the same files give the same bytes
            archive.writestr(zipfile.ZipInfo(name), data, how)
    return buffer.getvalue()


def make_pixels():
    """Six tiles by id, (SIDE, SIDE) uint8; `a` is constant."""
    rng = np.random.default_rng(1)
    images = {name: rng.integers(0, 256, (SIDE, SIDE), np.uint8) for names in SPLITS.values() for name in names}
    images["a"][:] = 7
    return images


def make_masks():
    """Masks of the three labelled tiles by id, (SIDE, SIDE) uint8 in {0, 1}; `a` is empty, `b` is full."""
    masks = {name: np.zeros((SIDE, SIDE), np.uint8) for name in SPLITS["train"]}
    masks["c"][2:, 3:] = 1
    masks["b"][:] = 1
    return masks


def make_files():
    """The form with folders; masks are both in train.csv and PNGs."""
    masks = make_masks()
    images = make_pixels()
    return {
        "train.csv": table("id,rle_mask", [(name, rle.encode(mask)) for name, mask in masks.items()]),
        "depths.csv": table("id,z", [(name, 100 + row) for row, name in enumerate(sorted(images))]),
        "sample_submission.csv": table("id,rle_mask", [(name, "1 1") for name in SPLITS["test"]]),
        **{f"{split}/images/{name}.png": png(images[name]) for split, names in SPLITS.items() for name in names},
        **{f"train/masks/{name}.png": png(mask * np.uint16(65535)) for name, mask in masks.items()},
    }


def as_folders(files):
    return files


def as_zips(files):
    """The folders of each split in one zip, as Kaggle distributes them."""
    packed = {name: data for name, data in files.items() if "/" not in name}
    for split in SPLITS:
        inside = {name.removeprefix(f"{split}/"): data for name, data in files.items() if name.startswith(f"{split}/")}
        packed[f"{split}.zip"] = zipped(inside)
    return packed


def as_one_zip(files):
    return {"tgs-salt-identification-challenge.zip": zipped(as_zips(files))}


def as_one_zip_of_folders(files):
    return {"own.zip": zipped(files)}


def without(files, *prefixes):
    return {name: data for name, data in files.items() if not name.startswith(prefixes)}


def write(root, files):
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root
