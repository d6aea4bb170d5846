"""Mosaics: the tiles laid out as in the images that they were cut from."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from salt.mosaics.duplicates import find_duplicates, is_copy
from salt.mosaics.neighbours import SIDES, find_neighbours, seam_lines
from schemas.data import Mosaics

COLUMNS = ["id", "mosaic", "row", "column"]
DIGITS = 4  # of similarities in files


class Layout(NamedTuple):
    """What `lay_out` finds; ids are str.

    mosaics: id, mosaic, row, column (from 0) of the tiles that have a neighbour, sorted by place; mosaics are
        numbered by decreasing size, equal ones by their first id
    neighbours: first, second (ids), direction (where the second lies: right or below), similarity, next_best,
        loops (salt.mosaics.neighbours), kept (bool: they lie so in the mosaics); the surest first
    duplicates: id, of, how (salt.mosaics.duplicates)
    """

    mosaics: pd.DataFrame
    neighbours: pd.DataFrame
    duplicates: pd.DataFrame


def lay_out(ids: Sequence[str], images: npt.NDArray[np.uint8], settings: Mosaics) -> Layout:
    """Find duplicates and neighbours, and put the tiles together in mosaics.

    Of identical tiles the one with the smallest id stands for all; the others are in no mosaic. Turned and mirrored
    copies have neighbours of their own, but never each other. The order of the tiles does not matter: where
    anything is tied, the smaller id decides.

    ids: n, all different; images: (n, H, W) uint8, H and W at least 3
    """
    duplicates = find_duplicates(ids, images)
    tiles = pd.Series(ids, dtype=str).sort_values()
    tiles = tiles[~tiles.isin(duplicates.loc[is_copy(duplicates), "id"])]
    original = dict(zip(duplicates["id"], duplicates["of"], strict=True))
    groups, _ = pd.factorize(pd.Series([original.get(name, name) for name in tiles], dtype=str))
    seams = {side: seam_lines(images, side)[tiles.index] for side in SIDES}
    pairs = find_neighbours(seams, groups, settings)
    mosaics, kept = assemble(tiles.tolist(), pairs)
    return Layout(mosaics, _named(tiles, pairs).assign(kept=kept), duplicates)


def assemble(ids: Sequence[str], pairs: pd.DataFrame) -> tuple[pd.DataFrame, npt.NDArray[np.bool_]]:
    """Lay neighbouring tiles out in mosaics, pair by pair.

    A pair that would put two tiles in one place, or one tile in two, is dropped: it contradicts surer ones.

    ids: of the tiles that `pairs` numbers
    pairs: first, second, down, right (salt.mosaics.neighbours), the surest first
    Returns the mosaics (see Layout), and which of the pairs lie in them as they should.
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
    return _numbered(ids, [places for places in mosaics.values() if len(places) > 1]), _lie_so(found, steps)


def _lie_so(found: dict[int, tuple[int, int, int]], steps: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Which steps (first, second, down, right) the places (mosaic, row, column) follow."""
    places = np.array([found[number] for number in range(len(found))], np.int64).reshape(-1, 3)
    first, second, *_ = steps.T
    moved = places[second] - places[first]
    return (moved[:, 0] == 0) & (moved[:, 1:] == steps[:, 2:]).all(axis=1)


def _named(ids: "pd.Series[str]", pairs: pd.DataFrame) -> pd.DataFrame:
    """The pairs as in Layout, but for `kept`."""
    named = pairs.assign(
        first=ids.to_numpy()[pairs["first"]],
        second=ids.to_numpy()[pairs["second"]],
        direction=np.where(pairs["down"], "below", "right"),
    )
    return named[["first", "second", "direction", "similarity", "next_best", "loops"]].round(DIGITS)


def load_mosaics(path: Path | str) -> pd.DataFrame:
    """`mosaics.csv`: id (str), mosaic, row, column (int); tiles of both splits that have a neighbour."""
    types = {"id": str, "mosaic": int, "row": int, "column": int}
    return pd.read_csv(path, dtype=types, keep_default_na=False)


def _numbered(ids: Sequence[str], mosaics: list[dict[tuple[int, int], int]]) -> pd.DataFrame:
    def by_size(places: dict[tuple[int, int], int]) -> tuple[int, str]:
        return -len(places), min(ids[tile] for tile in places.values())

    rows = []
    for number, places in enumerate(sorted(mosaics, key=by_size)):
        top, left = (min(axis) for axis in zip(*places, strict=True))
        rows += [(ids[tile], number, row - top, column - left) for (row, column), tile in sorted(places.items())]
    return pd.DataFrame(rows, columns=COLUMNS)
