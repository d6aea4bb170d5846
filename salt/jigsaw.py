"""The jigsaw rule: what training tiles with straight vertical salt say about the tiles in their column.

In the competition's labels, salt below such a tile goes straight on down; the first-place team put this in by
hand (recipe 9). `find_changes` looks at training masks and mosaics alone; `repaint` then changes predictions.
"""

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

Mask = npt.NDArray[np.uint8]

ABOVE_IT = 3  # tiles in the column above a vertical one for the rule to reach upwards


class Place(NamedTuple):
    """A tile and where it lies: a row of mosaics.csv."""

    id: str
    mosaic: int
    row: int
    column: int


@dataclass(frozen=True)
class Change:
    """One tile that the rule covers: all rows of its mask become `line`.

    id, mosaic, row, column: the tile and its place
    reason: "below a vertical tile", "below a semi-vertical tile" or "above a vertical tile"
    source: id of the training tile that the line comes from
    line: (W,) uint8 in {0, 1}
    """

    id: str
    mosaic: int
    row: int
    column: int
    reason: str
    source: str
    line: Mask


def find_changes(
    mosaics: pd.DataFrame, known_ids: Sequence[str], known_masks: Sequence[Mask] | Mask, targets: Container[str]
) -> list[Change]:
    """What the rule says about the tiles to predict.

    In each column of a mosaic, the first vertical or semi-vertical known tile from the top is the source.
    Every target below it, beyond gaps too, gets the source's last row. If the source is vertical and at least
    three tiles lie above it, the target directly above gets its first row. Known tiles are never changed.

    mosaics: id, mosaic, row, column
    known_ids, known_masks: n and (n, H, W) uint8 in {0, 1}; the training tiles that may be used: to score
        honestly, those of the other folds
    targets: ids of the tiles to predict
    Returns the changes by mosaic, column and row; each target at most once.
    """
    known = dict(zip(known_ids, known_masks, strict=True))
    ordered = mosaics.sort_values(["mosaic", "column", "row"])[["id", "mosaic", "row", "column"]]
    places = [Place(*row) for row in ordered.itertuples(index=False, name=None)]
    changes: list[Change] = []
    for _, column in groupby(places, key=lambda place: (place.mosaic, place.column)):
        changes += _in_column(list(column), known, targets)
    return changes


def repaint(ids: Sequence[str], masks: Mask, changes: Mapping[str, Change]) -> dict[str, int]:
    """Paint the tiles that `changes` names, in place, and count the pixels that differ from before, by id.

    ids: of the masks, in their order; masks: (n, H, W) uint8 or bool; changes: by id of the tile
    """
    pixels = {}
    for name, mask in zip(ids, masks, strict=True):
        if name in changes:
            line = changes[name].line.astype(mask.dtype)
            pixels[name] = int((mask != line).sum())
            mask[:] = line
    return pixels


def load_changes(path: Path | str) -> pd.DataFrame:
    """`changes.csv`: id, mosaic, row, column, reason, source, and the pixels that differ from the prediction."""
    return pd.read_csv(path, dtype={"id": str, "source": str}, keep_default_na=False)


def straightness(mask: Mask) -> str | None:
    """How far straight vertical salt reaches in an (H, W) mask: "vertical", "semi-vertical" or None.

    vertical: all rows are equal, and neither empty nor full
    semi-vertical: the rows of the lower half (50 of 101) are equal and not full, and the tile is not empty;
        where they are empty, the salt has ended above, and the rule says that none follows
    """
    last = mask[-1]
    if last.all() or not mask.any() or (mask[-(len(mask) // 2) :] != last).any():
        return None
    return "vertical" if (mask == last).all() else "semi-vertical"


def _in_column(column: list[Place], known: Mapping[str, Mask], targets: Container[str]) -> list[Change]:
    """The changes in one column, whose places come from the top."""
    for number, source in enumerate(column):
        kind = straightness(known[source.id]) if source.id in known else None
        if kind is not None:
            line = known[source.id][-1]
            return [
                Change(*place, reason, source.id, line)
                for place, reason in _covered(column, number, kind)
                if place.id in targets and place.id not in known
            ]
    return []


def _covered(column: list[Place], number: int, kind: str) -> Iterator[tuple[Place, str]]:
    """The places that the `number`-th tile of the column speaks for, and why."""
    if kind == "vertical" and number >= ABOVE_IT and column[number - 1].row == column[number].row - 1:
        yield column[number - 1], "above a vertical tile"
    for place in column[number + 1 :]:
        yield place, f"below a {kind} tile"
