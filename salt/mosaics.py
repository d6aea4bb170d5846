"""Mosaics: the tiles laid out as in the images that they were cut from."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

COLUMNS = ["id", "mosaic", "row", "column"]


def assemble(ids: Sequence[str], pairs: pd.DataFrame) -> pd.DataFrame:
    """Lay neighbouring tiles out in mosaics, pair by pair.

    A pair that would put two tiles in one place, or one tile in two, is dropped: it contradicts surer ones.

    ids: of the tiles that `pairs` numbers
    pairs: first, second, down, right (salt.neighbours), the surest first
    Returns id, mosaic, row, column (all from 0) of the tiles that have a neighbour, sorted by place.
    Mosaics are numbered by decreasing size, equal ones by their first id.
    """
    mosaics = {number: {(0, 0): number} for number in range(len(ids))}  # tiles by (row, column)
    found = {number: (number, 0, 0) for number in range(len(ids))}  # mosaic, row, column of each tile
    for pair in pairs[["first", "second", "down", "right"]].itertuples(index=False):
        stay, move, down, right = pair
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
    return _numbered(ids, [places for places in mosaics.values() if len(places) > 1])


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
