"""Cut images that are larger than a tile into tiles that cover them."""

from typing import NamedTuple

import numpy.typing as npt

from schemas.base import Shape


class Place(NamedTuple):
    """Where a tile was cut: its row and column of tiles (from 0), and its top left pixel."""

    row: int
    column: int
    top: int
    left: int


def places(image: Shape, tile: Shape) -> list[Place]:
    """The tiles of an image, row by row; none if the image is smaller than a tile.

    Tiles lie edge to edge. The last of each row and column ends at the image's border, and overlaps its predecessor
    if the tile's side does not divide the image's.
    """
    tops, lefts = (_starts(whole, part) for whole, part in zip(image, tile, strict=True))
    return [Place(row, column, top, left) for row, top in enumerate(tops) for column, left in enumerate(lefts)]


def cut(pixels: npt.NDArray, tile: Shape) -> list[npt.NDArray]:
    """Views of the tiles of an image (H, W) or (H, W, 3), in the order of `places`."""
    height, width = tile
    corners = places((pixels.shape[0], pixels.shape[1]), tile)
    return [pixels[top : top + height, left : left + width] for _, _, top, left in corners]


def names(image: str, cuts: list[Place]) -> list[str]:
    """Ids of the tiles: the image's own if it is a single tile, else with row and column."""
    return [image] if len(cuts) == 1 else [f"{image}_r{place.row}_c{place.column}" for place in cuts]


def _starts(whole: int, part: int) -> list[int]:
    return [] if whole < part else [*range(0, whole - part, part), whole - part]
