"""The jigsaw rule: what training masks say about the tiles above and below them in a mosaic.

published: in the competition's labels, straight vertical salt goes straight on down; the first-place team put this
    in by hand (recipe 9)
extended: the same, and salt that reaches the edge of its tile goes on in the next one where nothing is predicted there

`find_changes` looks at training masks, at mosaics and at which predictions are empty; `repaint` then changes them.
"""

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from salt.data import rle
from schemas.postprocess import JigsawRule

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
    """One tile that the rule covers, and the mask that it gets.

    place: the tile and where it lies
    reason: which part of the rule this is, in words
    source: id of the training tile that the mask comes from
    mask: (H, W) uint8 in {0, 1}, a read-only view where it repeats a line
    """

    place: Place
    reason: str
    source: str
    mask: Mask

    @property
    def id(self) -> str:
        """The tile's id."""
        return self.place.id


def find_changes(
    rule: JigsawRule,
    mosaics: pd.DataFrame,
    known: Mapping[str, Mask],
    targets: Container[str],
    empty: Container[str],
) -> list[Change]:
    """What the rule says about the tiles to predict. Known tiles are never changed.

    published: in each column of a mosaic, the first vertical or semi-vertical known tile from the top is the
        source. Every target below it, beyond gaps too, gets the source's last row. If the source is vertical and at
        least three tiles lie above it, the target directly above gets its first row.
    extended: also, an empty target directly below a known tile whose last row is salt in part gets that row, or
        else, directly above one whose first row is, that row. A row of nothing but salt says nothing: tiles
        wholly inside salt are labelled empty.

    mosaics: id, mosaic, row, column
    known: (H, W) uint8 in {0, 1} by id: the training masks that the rule may see
    targets: ids of the tiles to predict; empty: of the tiles that are predicted empty
    Returns the changes by mosaic, column and row; each target at most once.
    """
    changes: list[Change] = []
    for column in _columns(mosaics) if rule != "none" else ():
        said = {change.id: change for change in _straight_down(column, known)}
        if rule == "extended":
            said = {change.id: change for change in _across_seams(column, known, empty)} | said
        ids = [place.id for place in column if place.id in said]
        changes += [said[name] for name in ids if name in targets and name not in known]
    return changes


def repaint(ids: Sequence[str], masks: Mask, changes: Sequence[Change]) -> pd.DataFrame:
    """Paint the masks of the tiles that `changes` name, in place, and record it.

    ids: of the masks, in their order; masks: (n, H, W) uint8 in {0, 1}, may be a writable memory map
    Returns id, mosaic, row, column, reason, source, pixels (that differ from before), before and after (the masks
    as run lengths), a row a change.
    """
    row_of = {name: row for row, name in enumerate(ids)}
    rows = []
    for change in changes:
        mask = masks[row_of[change.id]]
        pixels = np.count_nonzero(mask != change.mask)
        rows.append((*change.place, change.reason, change.source, pixels, rle.encode(mask), rle.encode(change.mask)))
        mask[:] = change.mask
    return pd.DataFrame(rows, columns=[*Place._fields, "reason", "source", "pixels", "before", "after"])


def load_changes(path: Path | str) -> pd.DataFrame:
    """`changes.csv`, what `repaint` has recorded."""
    text = dict.fromkeys(("id", "source", "before", "after"), str)
    return pd.read_csv(path, dtype=text, keep_default_na=False)


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


def _columns(mosaics: pd.DataFrame) -> Iterator[list[Place]]:
    """The places of each column of each mosaic, from the top."""
    ordered = mosaics.sort_values(["mosaic", "column", "row"])[list(Place._fields)]
    places = [Place(*row) for row in ordered.itertuples(index=False, name=None)]
    for _, column in groupby(places, key=lambda place: (place.mosaic, place.column)):
        yield list(column)


def _straight_down(column: list[Place], known: Mapping[str, Mask]) -> Iterator[Change]:
    """What the first vertical or semi-vertical tile of a column says."""
    kinds = ((number, straightness(known[at.id])) for number, at in enumerate(column) if at.id in known)
    number, kind = next(((number, kind) for number, kind in kinds if kind), (0, None))
    if kind is None:
        return
    source, mask = column[number], known[column[number].id]
    if kind == "vertical" and number >= ABOVE_IT and _adjoin(column[number - 1], source):
        yield _repeat(mask, 0, column[number - 1], "above a vertical tile", source)
    for place in column[number + 1 :]:
        yield _repeat(mask, -1, place, f"below a {kind} tile", source)


def _across_seams(column: list[Place], known: Mapping[str, Mask], empty: Container[str]) -> Iterator[Change]:
    """What salt at the edge of a known tile says about the empty tile beyond; what comes later counts more."""
    seams = [(upper, lower) for upper, lower in pairwise(column) if _adjoin(upper, lower)]
    for upper, lower in seams:
        if lower.id in known and upper.id in empty and _in_part(known[lower.id][0]):
            yield _repeat(known[lower.id], 0, upper, "predicted empty above salt", lower)
    for upper, lower in seams:
        if upper.id in known and lower.id in empty and _in_part(known[upper.id][-1]):
            yield _repeat(known[upper.id], -1, lower, "predicted empty below salt", upper)


def _adjoin(upper: Place, lower: Place) -> bool:
    """Whether no gap is between two places of a column."""
    return upper.row == lower.row - 1


def _in_part(line: npt.NDArray[np.uint8]) -> bool:
    return bool(line.any() and not line.all())


def _repeat(mask: Mask, row: int, place: Place, reason: str, source: Place) -> Change:
    """All rows of the tile at `place` become the given row of the source's mask."""
    return Change(place, reason, source.id, np.broadcast_to(mask[row], mask.shape))
