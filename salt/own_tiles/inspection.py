"""Inspect a folder of images for a new recipe: sizes, types, values, numbers."""

import math
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from salt.data import image_files
from salt.data.tiles import Tiles
from salt.intake import packing
from salt.intake.competition import read_competition, tile_of
from salt.intake.faults import Faults
from salt.intake.files import Folder
from salt.intake.folders import read_folders
from salt.intake.masks import format_values, read_mask
from salt.intake.sources import MASKS, TEST, TRAIN, folders
from schemas.base import COMPETITION, Shape
from schemas.data import Data, Range

LARGEST = 320  # px; larger images are cut into tiles
CUT = 128  # px, side of these tiles
SAMPLE = 10_000  # pixels of an image that enter the percentiles
PERCENTILES = (0.5, 99.5)  # of floats, become 0 and 255


@dataclass(frozen=True)
class Findings:
    """A usable data set: its config section, its tiles, and the findings, one line each."""

    data: Data
    train: Tiles
    test: Tiles
    lines: list[str]

    @property
    def has_depths(self) -> bool:
        """Whether every tile has a depth."""
        return not any(tiles.table["z"].isna().any() for tiles in (self.train, self.test))

    @staticmethod
    def usable(tiles: Tiles) -> int:
        """Number of tiles that are not constant, those that networks learn from."""
        return int((~tiles.table["constant"]).sum())

    @property
    def tile(self) -> Shape:
        """Height and width of the tiles, px."""
        height, width = self.train.images.shape[1:3]
        return height, width


@dataclass
class Statistics:
    """Statistics of all readable images."""

    sizes: Counter[Shape] = field(default_factory=Counter)
    types: Counter[str] = field(default_factory=Counter)
    least: float = math.inf
    largest: float = -math.inf
    coloured: int = 0
    sample: list[npt.NDArray] = field(default_factory=list)

    def add(self, pixels: image_files.Pixels) -> None:
        """Add one image."""
        self.sizes[pixels.shape[0], pixels.shape[1]] += 1
        self.types[pixels.dtype.name] += 1
        self.least, self.largest = min(self.least, float(pixels.min())), max(self.largest, float(pixels.max()))
        self.coloured += image_files.has_colour(pixels)
        values = image_files.grey(pixels).ravel()
        self.sample.append(values[:: max(1, len(values) // SAMPLE)])


def inspect(root: Path) -> Findings:
    """Inspect all images in `root`, in either layout. Raises UserError if they cannot be used."""
    if (root / "train.csv").is_file() or not (root / TRAIN).is_dir():
        return _competition(root)
    folders(root)
    unused = Faults()  # read_folders reports them
    files, statistics, values = Folder(root, unused, below=("train", "test")), Statistics(), set[float]()
    for name in files.names:
        if name.startswith((f"{TRAIN}/", f"{TEST}/")):
            pixels = packing.read_or_note(files, name, image_files.read, "", unused)
            if pixels is not None:
                statistics.add(pixels)
        elif name.startswith(f"{MASKS}/") and (mask := packing.read_or_note(files, name, read_mask, "", unused)):
            values.update(mask[1])
    data = Data(layout="folders", root=str(root), tile=tile_for(statistics.sizes), range=range_for(statistics))
    train, test = read_folders(data)
    types = ", ".join(f"{kind} ({count})" for kind, count in statistics.types.most_common())
    lines = [
        f"images: {', '.join(f'{h} x {w} px ({count})' for (h, w), count in statistics.sizes.most_common(5))}",
        f"pixels: {types}, from {statistics.least:g} to {statistics.largest:g}; {statistics.coloured} images in colour",
        f"masks: values {format_values(sorted(values))}; the larger is salt",
    ]
    return _findings(data, train, test, lines)


def tile_for(sizes: Counter[Shape]) -> Shape | None:
    """The size of all images, if they share one that is not large; else a square that fits into each."""
    if not sizes:
        return None
    if len(sizes) == 1 and max(shape := next(iter(sizes))) <= LARGEST:
        return shape
    side = min(CUT, *(side for shape in sizes for side in shape))
    return side, side


def range_for(statistics: Statistics) -> Range:
    """The values that become 0 and 255: for integers, a range of whole bits; for floats, the PERCENTILES."""
    kinds = set(statistics.types)
    if len(kinds) > 1:
        return "tile"
    if kinds == {"uint16"}:
        bits = int(statistics.largest).bit_length()
        return "type" if bits == 16 else (0.0, float(2**bits - 1))
    if kinds == {"float32"}:
        low, high = (float(f"{value:.3g}") for value in np.percentile(np.concatenate(statistics.sample), PERCENTILES))
        return (low, high) if low < high else "tile"
    return "type"


def _competition(root: Path) -> Findings:
    """Inspect the competition's layout; the first image sets the tile size."""
    data = Data(root=str(root), tile=tile_of(root))
    train, test = read_competition(root, data.tile or COMPETITION)
    return _findings(data, train, test, ["images: in the competition's layout"])


def _findings(data: Data, train: Tiles, test: Tiles, lines: list[str]) -> Findings:
    empty, height, width = (train.table["coverage"] == 0).mean(), *train.images.shape[1:3]
    found = Findings(data, train, test, lines)
    constant = sum(int(tiles.table["constant"].sum()) for tiles in (train, test))
    lines += [
        f"tiles of {height} x {width} px: {len(train)} labelled, {100 * empty:.0f} % of them without salt, "
        f"and {len(test)} others; {constant} are constant",
        f"depths: {'of every tile' if found.has_depths else 'none'}",
    ]
    return found
