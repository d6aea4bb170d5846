"""What both layouts share: reading with faults noted, checks of tables and tiles, packing into tiles."""

import logging
import math
from collections import Counter
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from salt.data.records import chunks
from salt.data.tiles import COLUMNS, Tiles
from salt.intake.faults import DAMAGED, Faults
from salt.intake.files import Files, Unreadable
from salt.intake.tables import Table

log = logging.getLogger(__name__)

T = TypeVar("T")

LOG_EVERY = 4000  # images


def read_or_note(files: Files, name: str, read: Callable[[bytes, str], T], kind: str, faults: Faults) -> T | None:
    """What `read` returns for one file. None, and a fault, if the file is unreadable or `read` raises ValueError.

    kind: of the fault that a ValueError is noted as
    """
    try:
        return read(files.read(name), name)
    except Unreadable as damage:
        faults.add(DAMAGED, [str(damage)])
    except ValueError as error:
        faults.add(kind, [f"{name} ({error})"])
    return None


def log_progress(done: int, of: int) -> None:
    """Log a line every LOG_EVERY images."""
    if done % LOG_EVERY == 0:
        log.info("read %d of %d images", done, of)


def depths(ids: list[str], table: Table | None, faults: Faults) -> list[float]:
    """Depth of each tile; NaN without a table. Notes missing and invalid depths."""
    if not table:
        return [math.nan] * len(ids)
    faults.add(
        "tiles without a row in depths.csv",
        [name for name in ids if name not in table],
        "Add their depths, or remove depths.csv and set `folds: {by: coverage}`.",
    )
    return [_depth(name, table[name]["z"], faults) if name in table else math.nan for name in ids]


def _depth(name: str, text: str, faults: Faults) -> float:
    try:
        if math.isfinite(z := float(text)):
            return z
    except ValueError:
        pass
    kind = "depths (z in depths.csv) that are not numbers"
    faults.add(kind, [f"{name} ({text!r})"], "Write numbers such as 306 or 12.5.")
    return math.nan


def pack(
    split: str, ids: list[str], z: list[float], images: npt.NDArray[np.uint8], masks: npt.NDArray[np.uint8] | None
) -> Tiles:
    """The tiles of a split: images (n, H, W) or (n, H, W, 3), masks (n, H, W) in {0, 1}."""
    constant, coverage = np.zeros(len(ids), bool), np.full(len(ids), np.nan)
    for rows in chunks(len(ids)):
        some = images[rows]
        constant[rows] = (some == some[:, :1, :1]).all(axis=tuple(range(1, images.ndim)))
        if masks is not None:
            coverage[rows] = masks[rows].mean(axis=(1, 2))
    columns = dict(zip(COLUMNS, (ids, split, z, constant, coverage), strict=True))
    return Tiles(pd.DataFrame(columns), images, masks)


def check_tables(samples: Table | None, depths: Table | None, ids: set[str], faults: Faults) -> None:
    """Warn of a missing depths.csv and of contents of the tables that are ignored. `ids`: of all tiles."""
    if depths is None:
        faults.warn("missing tables", ["depths.csv"], "`folds.by: depth` and `channels: depth` need it.")
    unknown = [name for name in depths or {} if name not in ids]
    faults.warn("ids in depths.csv without a tile", unknown, "Their depths are ignored.")
    masks = {name: row.get("rle_mask", "") for name, row in (samples or {}).items()}
    placeholders = [mask for mask, _ in Counter(masks.values()).most_common(1)]
    drawn = [name for name, mask in masks.items() if mask not in placeholders]
    faults.warn("masks in sample_submission.csv", drawn, "They are ignored: the masks of test tiles are unknown.")


def check_tiles(train: Tiles, test: Tiles, faults: Faults) -> None:
    """Note tiles that leave nothing to learn or to predict, and warn of properties that are seldom intended."""
    for split, tiles in (("train", train), ("test", test)):
        constant = tiles.table.loc[tiles.table["constant"], "id"].tolist()
        if len(constant) == len(tiles):
            remedy = "Check the images: each holds a single grey value."
            faults.add(f"tiles of {split}, all of them constant", constant, remedy)
        elif len(constant) > len(tiles) / 2:
            remedy = "They are predicted empty; models skip them, except for those with constant_tiles: train."
            faults.warn(f"tiles of {split}, more than half of them constant", constant, remedy)
    coverage = train.table.set_index("id")["coverage"]
    if not coverage.any():
        remedy = "Check the masks: 0 is not salt, and one of 1, 255 and 65535 is."
        faults.add("labelled tiles, none of them with salt", coverage.index, remedy)
    full = coverage.index[coverage == 1]
    faults.warn(
        "masks that are entirely salt",
        full,
        "Check that salt and background are not swapped.",
    )
    labelled = coverage.index[train.table["constant"].to_numpy() & (coverage > 0)]
    faults.warn(
        "constant tiles with salt in their masks",
        labelled,
        "Models skip them, except for those with constant_tiles: train.",
    )
