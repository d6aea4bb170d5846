"""What both layouts of data share: pixels and depths with their faults, and the packing into tiles."""

import logging
import math
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from salt.data.tiles import COLUMNS, Tiles
from salt.intake.faults import DAMAGED, Faults
from salt.intake.files import Files, Unreadable
from salt.intake.tables import Table

log = logging.getLogger(__name__)

T = TypeVar("T")

LOG_EVERY = 4000  # tiles


def look(files: Files, name: str, read: Callable[[bytes, str], T], kind: str, faults: Faults) -> T | None:
    """What `read` makes of one file; None where it is a fault, of this `kind` if the file itself can be read."""
    try:
        return read(files.read(name), name)
    except Unreadable as damage:
        faults.add(DAMAGED, [str(damage)])
    except ValueError as error:
        faults.add(kind, [f"{name} ({error})"])
    return None


def count_up(done: int, of: int) -> None:
    """Log a line now and then."""
    if done % LOG_EVERY == 0:
        log.info("read %d of %d images", done, of)


def depths(ids: list[str], table: Table | None, faults: Faults) -> list[float]:
    """Depth of each tile; NaN where there is no table."""
    if not table:
        return [math.nan] * len(ids)
    faults.add(
        "tiles without a row in depths.csv",
        [name for name in ids if name not in table],
        "Add their depths, or take depths.csv away and choose `folds: {by: coverage}`.",
    )
    return [_depth(name, table[name]["z"], faults) if name in table else math.nan for name in ids]


def _depth(name: str, text: str, faults: Faults) -> float:
    try:
        if math.isfinite(z := float(text)):
            return z
    except ValueError:
        pass
    what = "depths (z in depths.csv) that are no numbers"
    faults.add(what, [f"{name} ({text!r})"], "Write numbers such as 306 or 12.5.")
    return math.nan


def pack(
    split: str, ids: list[str], z: list[float], images: npt.NDArray[np.uint8], masks: npt.NDArray[np.uint8] | None
) -> Tiles:
    """The tiles of a split: images (n, H, W) or (n, H, W, 3), masks (n, H, W) in {0, 1}."""
    constant = (images == images[:, :1, :1]).all(axis=tuple(range(1, images.ndim)))
    coverage = np.full(len(ids), np.nan) if masks is None else masks.mean(axis=(1, 2))
    columns = dict(zip(COLUMNS, (ids, split, z, constant, coverage), strict=True))
    return Tiles(pd.DataFrame(columns), images, masks)
