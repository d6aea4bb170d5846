"""Tiles that are easy to learn: salt is bright and fills the right part of a tile."""

import numpy as np
import pandas as pd

from salt.data.tiles import Tiles

SIDE = 32


def easy_tiles(count: int, split: str = "train", seed: int = 0) -> Tiles:
    """`count` tiles of 32 x 32 px; every fourth one is empty, the first one is constant."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 90, (count, SIDE, SIDE), dtype=np.uint8)
    masks = np.zeros_like(images)
    for row in range(count):
        if row % 4:
            masks[row, :, rng.integers(4, 28) :] = 1
    images += masks * 150
    images[0] = 0
    table = pd.DataFrame(
        {
            "id": [f"{split}{row:03d}" for row in range(count)],
            "split": split,
            "z": np.arange(count, dtype=float),
            "depth": np.linspace(0, 1, count),
            "constant": images.reshape(count, -1).min(1) == images.reshape(count, -1).max(1),
            "coverage": masks.mean(axis=(1, 2)) if split == "train" else np.nan,
        }
    )
    return Tiles(table, images, masks if split == "train" else None)
