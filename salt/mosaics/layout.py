"""Mosaics: tiles laid out as in the images that they were cut from."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from salt.data.records import chunks
from salt.data.tables import read_table
from salt.data.tiles import Images
from salt.mosaics.duplicates import find_duplicates, is_copy
from salt.mosaics.neighbours import SIDES, find_neighbours, seam_lines
from schemas.data import Mosaics
from schemas.errors import UserError

COLUMNS = ["id", "mosaic", "row", "column"]
DIGITS = 4  # decimals of similarities in files


class Layout(NamedTuple):
    """The result of `lay_out`; ids are str.

    mosaics: id, mosaic, row, column (from 0) of the tiles with a neighbour, sorted by place; mosaics are
        numbered by decreasing size, then by first id
    neighbours: first, second (ids), direction (of the second: right or below), similarity, next_best, loops
        (salt.mosaics.neighbours), kept (bool: the mosaics place them so); the most certain first
    duplicates: id, of, how (salt.mosaics.duplicates)
    """

    mosaics: pd.DataFrame
    neighbours: pd.DataFrame
    duplicates: pd.DataFrame


def lay_out(ids: Sequence[str], images: Images, settings: Mosaics) -> Layout:
    """Find duplicates and neighbours, and assemble the tiles into mosaics.

    Of identical tiles, only the one with the smallest id is in a mosaic. Rotated and mirrored copies have neighbours of
    their own, but are never neighbours of each other. The order of the tiles does not matter: the smaller id breaks
    ties.

    ids: n, all different; images: (n, H, W) uint8, H and W at least 3
    Raises UserError if there are more tiles than `settings` allows.
    """
    if fault := settings.too_many(len(ids)):
        raise UserError(fault)
    duplicates = find_duplicates(ids, images)
    tiles = pd.Series(ids, dtype=str).sort_values()
    tiles = tiles[~tiles.isin(duplicates.loc[is_copy(duplicates), "id"])] if settings.most_tiles else tiles[:0]
    original = dict(zip(duplicates["id"], duplicates["of"], strict=True))
    groups, _ = pd.factorize(pd.Series([original.get(name, name) for name in tiles], dtype=str))
    pairs = find_neighbours(_seams(images, tiles.index.to_numpy()), groups, settings)
    mosaics, kept = assemble(tiles.tolist(), pairs)
    return Layout(mosaics, _named(tiles, pairs).assign(kept=kept), duplicates)


def _seams(images: Images, rows: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[np.float32]]:
    """The seam lines of some tiles by side; a chunk of tiles is in memory at a time."""
    if not len(rows):
        return dict.fromkeys(SIDES, np.zeros((0, 0), np.float32))
    blocks = (np.stack([images[int(row)] for row in rows[part]]) for part in chunks(len(rows)))
    parts = [[seam_lines(block, side) for side in SIDES] for block in blocks]
    return {side: np.concatenate(lines) for side, lines in zip(SIDES, zip(*parts, strict=True), strict=True)}


def assemble(ids: Sequence[str], pairs: pd.DataFrame) -> tuple[pd.DataFrame, npt.NDArray[np.bool_]]:
    """Lay out neighbouring tiles in mosaics, pair by pair.

    A pair that would put two tiles in one place, or one tile in two, is dropped: it contradicts more certain pairs.

    ids: of the tiles that `pairs` refers to by number
    pairs: first, second, down, right (salt.mosaics.neighbours), the most certain first
    Returns the mosaics (see Layout), and which pairs they satisfy.
    """
    mosaics = {number: {(0, 0): number} for number in range(len(ids))}  # tiles by (row, column)
    found = {number: (number, 0, 0) for number in range(len(ids))}  # mosaic, row, column of each tile
    steps = pairs[["first", "second", "down", "right"]].to_numpy(np.int64)
    for stay, move, down, right in steps.tolist():
        if found[stay][0] == found[move][0]:
            continue
        if len(mosaics[found[stay][0]]) < len(mosaics[found[move][0]]):  # move the smaller mosaic
            stay, move, down, right = move, stay, -down, -right
        target, row, column = found[stay]
        source, old_row, old_column = found[move]
        down, right = down + row - old_row, right + column - old_column
        moved = {(row + down, column + right): tile for (row, column), tile in mosaics[source].items()}
        if moved.keys().isdisjoint(mosaics[target]):
            mosaics[target].update(moved)
            found.update({tile: (target, *place) for place, tile in moved.items()})
            del mosaics[source]
    return _numbered(ids, [places for places in mosaics.values() if len(places) > 1]), _satisfied(found, steps)


def _satisfied(found: dict[int, tuple[int, int, int]], steps: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Which steps (first, second, down, right) the places (mosaic, row, column) satisfy."""
    places = np.array([found[number] for number in range(len(found))], np.int64).reshape(-1, 3)
    first, second, *_ = steps.T
    moved = places[second] - places[first]
    return (moved[:, 0] == 0) & (moved[:, 1:] == steps[:, 2:]).all(axis=1)


def _named(ids: "pd.Series[str]", pairs: pd.DataFrame) -> pd.DataFrame:
    """The pairs as in Layout, without `kept`."""
    named = pairs.assign(
        first=ids.to_numpy()[pairs["first"]],
        second=ids.to_numpy()[pairs["second"]],
        direction=np.where(pairs["down"], "below", "right"),
    )
    return named[["first", "second", "direction", "similarity", "next_best", "loops"]].round(DIGITS)


def load_mosaics(path: Path | str) -> pd.DataFrame:
    """`mosaics.csv`: id (str), mosaic, row, column (int), for the tiles of both splits with a neighbour."""
    types = {"id": str, "mosaic": int, "row": int, "column": int}
    return read_table(path, types, keep_default_na=False)


def _numbered(ids: Sequence[str], mosaics: list[dict[tuple[int, int], int]]) -> pd.DataFrame:
    def by_size(places: dict[tuple[int, int], int]) -> tuple[int, str]:
        return -len(places), min(ids[tile] for tile in places.values())

    rows = []
    for number, places in enumerate(sorted(mosaics, key=by_size)):
        top, left = (min(axis) for axis in zip(*places, strict=True))
        rows += [(ids[tile], number, row - top, column - left) for (row, column), tile in sorted(places.items())]
    return pd.DataFrame(rows, columns=COLUMNS)
