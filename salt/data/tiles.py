"""The packed tiles of a run: a table and three arrays, written once by prepare_tiles."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from salt.data import image_files
from salt.data.damage import reading
from salt.data.predictions import ONE_IN_8_BITS
from salt.data.records import open_array
from salt.data.tables import read_table
from salt.runtime.atomic import atomic_path
from salt.runtime.paths import TileFiles

COLUMNS = ["id", "split", "z", "constant", "coverage"]


@dataclass(frozen=True)
class Tiles:
    """The tiles of one split; row i of every member is the same tile.

    table: columns id (str), split ("train", "test", or "pseudo": a test tile with a pseudo-label), z (depth, in the
        data's unit; NaN where unknown),
        depth (z in 0..1 over both splits, from `load_tiles`), constant (bool: every pixel has one value),
        coverage (share of mask pixels, 0..1; NaN for test tiles); with weighted pseudo-labels also weight
        (0..1; NaN for labelled tiles)
    images: (n, H, W) uint8 grey, or (n, H, W, 3) red, green, blue
    masks: (n, H, W) uint8 in {0, 1}; None for the test split
    soft: whether the masks are probabilities in 0..255 instead, as those of soft pseudo-labels
    """

    table: pd.DataFrame
    images: npt.NDArray[np.uint8]
    masks: npt.NDArray[np.uint8] | None
    soft: bool = False

    @property
    def ids(self) -> list[str]:
        """The tiles' ids, in the order of the arrays."""
        return self.table["id"].tolist()

    @cached_property
    def depths(self) -> npt.NDArray[np.float32]:
        """Depths of the tiles relative to those of both splits, (n,) in 0..1; NaN where unknown."""
        return self.table["depth"].to_numpy(np.float32)

    @cached_property
    def weights(self) -> npt.NDArray[np.float32] | None:
        """How much each tile's loss weighs, (n,) in 0..1, 1 for labelled tiles; None if all weigh the same."""
        return self.table["weight"].fillna(1).to_numpy(np.float32) if "weight" in self.table else None

    def __len__(self) -> int:
        return len(self.table)

    @property
    def labelled(self) -> int:
        """Number of tiles whose masks are labels."""
        return int((self.table["split"] == "train").sum())

    @property
    def arrays(self) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        """Images and masks. Raises ValueError for tiles without masks."""
        if self.masks is None:
            raise ValueError("these tiles have no masks")
        return self.images, self.masks

    def select(self, rows: npt.NDArray[np.integer]) -> "Tiles":
        """The tiles at `rows` (integer positions), in that order, copied into memory."""
        masks = None if self.masks is None else self.masks[rows]
        return Tiles(self.table.iloc[rows].reset_index(drop=True), self.images[rows], masks, self.soft)

    def part(self, rows: slice) -> "Tiles":
        """Consecutive tiles, whose arrays are views."""
        masks = None if self.masks is None else self.masks[rows]
        return Tiles(self.table.iloc[rows].reset_index(drop=True), self.images[rows], masks, self.soft)

    @property
    def softened(self) -> "Tiles":
        """The same tiles with soft masks."""
        return (
            self if self.soft else Tiles(self.table, self.images, self.arrays[1] * np.uint8(ONE_IN_8_BITS), soft=True)
        )


class GreyImages:
    """The images of several splits, one after another; each is read, as (H, W) uint8, when it is asked for."""

    def __init__(self, splits: Sequence[npt.NDArray[np.uint8]]) -> None:
        """splits: (n, H, W) grey or (n, H, W, 3) red, green, blue, which become luminance."""
        self.splits, self.ends = splits, np.cumsum([len(images) for images in splits])

    def __len__(self) -> int:
        return int(self.ends[-1])

    def __getitem__(self, row: int) -> npt.NDArray[np.uint8]:
        split = int(np.searchsorted(self.ends, row, "right"))
        image = self.splits[split][row - self.ends[split]]  # negative: counted from the end of the split
        return image if image.ndim == 2 else image_files.grey(image)


Images = npt.NDArray[np.uint8] | GreyImages


def load_table(folder: Path | str) -> pd.DataFrame:
    """The table of both splits: train rows in the order of the train arrays, then test rows in theirs."""
    return read_table(
        TileFiles(Path(folder)).table,
        {"id": str, "split": str, "z": float, "constant": bool},
        ["coverage"],
        keep_default_na=False,  # a tile may be called NA
        na_values={"z": [""], "coverage": [""]},
    )


def load_tiles(folder: Path | str, split: str) -> Tiles:
    """One split ("train" or "test"), its arrays as read-only memory maps. Raises UserError if a file is damaged."""
    files, table = TileFiles(Path(folder)), load_table(folder)
    table["depth"] = relative(table["z"])
    table = table[table["split"] == split].reset_index(drop=True)
    images = open_array(files.images(split))
    masks = open_array(files.masks) if split == "train" else None
    with reading(files.images(split)):
        if len(images) != len(table) or (masks is not None and masks.shape != images.shape[:3]):
            raise ValueError(f"{len(images)} images, but {files.table} lists {len(table)}, or masks of other sizes")
    return Tiles(table, images, masks)


def relative(z: "pd.Series[float]") -> "pd.Series[float]":
    """Depths in any unit -> 0 (the smallest) to 1 (the largest); all 0 if they are equal."""
    return (z - z.min()) / ((z.max() - z.min()) or 1.0)


def save_tiles(folder: Path | str, train: Tiles, test: Tiles) -> None:
    """Write the table and the arrays of both splits into a folder."""
    files, (images, masks) = TileFiles(Path(folder)), train.arrays
    arrays = {files.images("train"): images, files.masks: masks, files.images("test"): test.images}
    for target, array in arrays.items():
        with atomic_path(target) as path, path.open("wb") as file:
            np.save(file, array)
    with atomic_path(files.table) as path:
        pd.concat([train.table, test.table])[COLUMNS].to_csv(path, index=False)


def rows_of(ids: Iterable[str], wanted: Iterable[str]) -> npt.NDArray[np.int64]:
    """The position in `ids` of each wanted id. Raises KeyError naming the first missing one."""
    position = {name: row for row, name in enumerate(ids)}
    return np.array([position[name] for name in wanted], dtype=np.int64)


def concatenate(first: Tiles, second: Tiles) -> Tiles:
    """The tiles of both, in this order, copied into memory; soft masks if either has them."""
    if first.soft != second.soft:
        first, second = first.softened, second.softened
    (images, masks), (more_images, more_masks) = first.arrays, second.arrays
    table = pd.concat([first.table, second.table], ignore_index=True)
    return Tiles(table, np.concatenate([images, more_images]), np.concatenate([masks, more_masks]), first.soft)
