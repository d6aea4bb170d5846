"""Duplicate tiles: identical, rotated or mirrored copies of another tile."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from salt.data.tables import read_table
from salt.data.tiles import Images

Bytes = npt.NDArray[np.uint8]

IDENTICAL = "identical"
COLUMNS = ["id", "of", "how"]


def find_duplicates(ids: Sequence[str], images: Images) -> pd.DataFrame:
    """The tiles whose image another tile with a smaller id also shows, in some position.

    ids: n, all different; images: (n, H, W) uint8; constant tiles are never duplicates
    Returns id, of (the smallest id with that image), how (the transformation of `of`: the first name in `positions`
    that fits), sorted by id. Tiles with the same `of` and `how` are identical.
    """
    first: dict[bytes, int] = {}
    rows = []
    for tile in np.argsort(np.asarray(ids)).tolist():
        image = images[tile]
        if (image == image[0, 0]).all():
            continue
        original = first.setdefault(_fingerprint(image), tile)
        if original != tile:
            how = next(name for name, form in positions(images[original]).items() if np.array_equal(form, image))
            rows.append((ids[tile], ids[original], how))
    return pd.DataFrame(rows, columns=COLUMNS, dtype=str)


def positions(image: Bytes) -> dict[str, Bytes]:
    """The image (H, W) in all positions that keep its shape: 8 for a square, 4 for any other rectangle.

    Rotations are counter-clockwise, in degrees; mirroring swaps left and right, before the rotation.
    """
    forms = {}
    for mirrored, side in (("", image), ("mirrored", image[:, ::-1])):
        for quarters in range(4) if image.shape[0] == image.shape[1] else (0, 2):
            words = [mirrored, f"turned {90 * quarters}" if quarters else ""]
            forms[" and ".join(filter(None, words)) or IDENTICAL] = np.rot90(side, quarters)
    return forms


def is_copy(duplicates: pd.DataFrame) -> "pd.Series[bool]":
    """Which duplicates are identical to a tile with a smaller id: to their `of` or to another duplicate of it."""
    return (duplicates["how"] == IDENTICAL) | duplicates.duplicated(["of", "how"])


def load_duplicates(path: Path | str) -> pd.DataFrame:
    """`duplicates.csv`: id, of, how (str)."""
    return read_table(path, dict.fromkeys(("id", "of", "how"), str), keep_default_na=False)


def _fingerprint(image: Bytes) -> bytes:
    """A digest that all positions of the image share: that of the position with the smallest bytes."""
    return hashlib.sha256(min(form.tobytes() for form in positions(image).values())).digest()
