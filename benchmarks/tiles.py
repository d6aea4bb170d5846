"""Tiles for the benchmarks, made in no time: cut from smooth noise, so that they have neighbours and compress."""

import math
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd

from salt.data.tiles import Tiles

SIDE = 101  # px, as in the competition
ACROSS = 20  # tiles side by side in a section
Bytes = npt.NDArray[np.uint8]


def make(count: int, split: str = "train", seed: int = 0, side: int = SIDE) -> Tiles:
    """`count` tiles, (count, side, side); a third of the masks are empty. The first ones lie in one section."""
    sections = [_section(seed + number, side) for number in range(math.ceil(count / ACROSS**2))]
    images, masks = (np.concatenate(parts)[:count] for parts in zip(*sections, strict=True))
    table = pd.DataFrame(
        {
            "id": [f"{split}{row:07d}" for row in range(count)],
            "split": split,
            "z": np.arange(count, dtype=float),
            "depth": np.linspace(0, 1, count),
            "constant": False,
            "coverage": masks.mean(axis=(1, 2)) if split == "train" else math.nan,
        }
    )
    return Tiles(table, images, masks if split == "train" else None)


def _section(seed: int, side: int) -> tuple[Bytes, Bytes]:
    """Images and masks of a section's tiles, row by row."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((ACROSS * side, ACROSS * side), dtype=np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2.0)  # its standard deviation is about 0.14
    image = np.clip(127 + 250 * np.asarray(smooth), 0, 255).astype(np.uint8)
    coarse = rng.standard_normal((ACROSS, ACROSS), dtype=np.float32)
    mask = (cv2.resize(coarse, image.shape, interpolation=cv2.INTER_CUBIC) > 0.3).astype(np.uint8)
    return _cut(image, side), _cut(mask, side)


def _cut(section: Bytes, side: int) -> Bytes:
    return section.reshape(ACROSS, side, ACROSS, side).swapaxes(1, 2).reshape(-1, side, side)


def write_pngs(folder: Path, tiles: Tiles) -> None:
    """Write each tile as images/<id>.png and masks/<id>.png, salt 255, as the competition's archives hold them."""
    for name, arrays in zip(("images", "masks"), tiles.arrays, strict=True):
        (folder / name).mkdir(parents=True)
        for identity, array in zip(tiles.ids, arrays, strict=True):
            cv2.imwrite(str(folder / name / f"{identity}.png"), array * 255 if name == "masks" else array)
