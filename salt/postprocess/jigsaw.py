"""The jigsaw rule: derives masks of tiles from the training masks above and below them in a mosaic.

published: in the competition's labels, straight vertical salt continues straight down; the first-place team added
    it by hand (recipe 9)
extended: in addition, salt that reaches the edge of its tile continues in the next tile if that is predicted empty

`find_changes` needs training masks, mosaics and which predictions are empty; `apply_changes` then changes the masks.
"""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from salt.data import rle
from salt.data.tables import read_table
from schemas.postprocess import JigsawRule

Mask = npt.NDArray[np.uint8]

FIRST_UPWARD = 3  # the row of a mosaic, from 0, from which on a vertical tile lets the rule reach upwards


class Place(NamedTuple):
    """A tile and its place in a mosaic: a row of mosaics.csv."""

    id: str
    mosaic: int
    row: int
    column: int


@dataclass(frozen=True)
class Change:
    """A tile that the rule covers, and its new mask.

    place: the tile and its place
    reason: the part of the rule that applies, as text
    source: id of the training tile that the mask comes from
    mask: (H, W) uint8 in {0, 1}, a read-only view that repeats one line
    """

    place: Place
    reason: str
    source: str
    mask: Mask

    @property
    def id(self) -> str:
        """The tile's id."""
        return self.place.id


def usable_masks(ids: Iterable[str], masks: Iterable[Mask], constant: Iterable[bool]) -> dict[str, Mask]:
    """The training masks that a rule may use, by id: those of tiles that are not constant, as in the original.

    masks: (H, W) uint8 in {0, 1}; constant: whether the tile has a single grey value
    """
    return {name: mask for name, mask, flat in zip(ids, masks, constant, strict=True) if not flat}


def find_changes(
    rule: JigsawRule,
    mosaics: pd.DataFrame,
    known: Mapping[str, Mask],
    targets: Container[str],
    empty: Container[str],
) -> list[Change]:
    """Find the tiles whose masks the rule determines. Known tiles are never changed.

    published: in each column of a mosaic, the first vertical or semi-vertical known tile from the top is the
        source. Every target below it, beyond gaps too, gets the source's last row. If the source is vertical and in
        row 3 of the mosaic or lower, whether tiles or gaps lie above it, the target directly above gets the source's
        first row.
    extended: in addition, an empty target directly below a known tile gets that tile's last row if the row is partly
        salt. Otherwise, directly above a known tile, it gets that tile's first row on the same condition. A row that
        is all salt is no evidence: tiles wholly inside salt are labelled empty.

    mosaics: id, mosaic, row, column, both from 0
    known: (H, W) uint8 in {0, 1} by id: the training masks that the rule may use, from `usable_masks`
    targets: ids of the tiles to predict; empty: ids of the tiles predicted empty
    Returns the changes sorted by mosaic, column and row, at most one per target.
    """
    changes: list[Change] = []
    for column in _columns(mosaics) if rule != "none" else ():
        by_id = {change.id: change for change in _straight_down(column, known)}
        if rule == "extended":
            by_id = {change.id: change for change in _across_seams(column, known, empty)} | by_id
        ids = [place.id for place in column if place.id in by_id]
        changes += [by_id[name] for name in ids if name in targets and name not in known]
    return changes


def apply_changes(ids: Sequence[str], masks: Mask, changes: Sequence[Change]) -> pd.DataFrame:
    """Replace the masks of the changed tiles in place, and return a record of it.

    ids: of the masks, in their order; masks: (n, H, W) uint8 in {0, 1}, may be a writable memory map
    Returns one row per change: id, mosaic, row, column, reason, source, pixels (that differ), before and after (the
    masks as run lengths).
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
    """Read `changes.csv`, the record of `apply_changes`."""
    text = dict.fromkeys(("id", "source", "before", "after"), str)
    return read_table(path, text, keep_default_na=False)


def straightness(mask: Mask) -> str | None:
    """Classify straight vertical salt in an (H, W) mask: "vertical", "semi-vertical" or None.

    vertical: all rows are equal, and neither empty nor full
    semi-vertical: the rows of the lower half (50 of 101) are equal, and neither empty nor full; the salt of a tile
        whose lower half is empty has ended, which says nothing about the tiles below
    """
    last = mask[-1]
    if not _is_partial(last) or (mask[-(len(mask) // 2) :] != last).any():
        return None
    return "vertical" if (mask == last).all() else "semi-vertical"


def _columns(mosaics: pd.DataFrame) -> Iterator[list[Place]]:
    """Yield the places of each column of each mosaic, from the top."""
    ordered = mosaics.sort_values(["mosaic", "column", "row"])[list(Place._fields)]
    places = [Place(*row) for row in ordered.itertuples(index=False, name=None)]
    for _, column in groupby(places, key=lambda place: (place.mosaic, place.column)):
        yield list(column)


def _straight_down(column: list[Place], known: Mapping[str, Mask]) -> Iterator[Change]:
    """Yield the changes that follow from the first vertical or semi-vertical tile of a column."""
    kinds = ((number, straightness(known[at.id])) for number, at in enumerate(column) if at.id in known)
    number, kind = next(((number, kind) for number, kind in kinds if kind), (0, None))
    if kind is None:
        return
    source, mask = column[number], known[column[number].id]
    if kind == "vertical" and source.row >= FIRST_UPWARD and number > 0 and _adjoin(column[number - 1], source):
        yield _repeat(mask, 0, column[number - 1], "above a vertical tile", source)
    for place in column[number + 1 :]:
        yield _repeat(mask, -1, place, f"below a {kind} tile", source)


def _across_seams(column: list[Place], known: Mapping[str, Mask], empty: Container[str]) -> Iterator[Change]:
    """Yield the changes of empty tiles next to salt at the edge of a known tile; a later change of a tile wins."""
    seams = [(upper, lower) for upper, lower in pairwise(column) if _adjoin(upper, lower)]
    for upper, lower in seams:
        if lower.id in known and upper.id in empty and _is_partial(known[lower.id][0]):
            yield _repeat(known[lower.id], 0, upper, "predicted empty above salt", lower)
    for upper, lower in seams:
        if upper.id in known and lower.id in empty and _is_partial(known[upper.id][-1]):
            yield _repeat(known[upper.id], -1, lower, "predicted empty below salt", upper)


def _adjoin(upper: Place, lower: Place) -> bool:
    """Whether two places of a column touch."""
    return upper.row == lower.row - 1


def _is_partial(line: npt.NDArray[np.uint8]) -> bool:
    return bool(line.any() and not line.all())


def _repeat(mask: Mask, row: int, place: Place, reason: str, source: Place) -> Change:
    """Change all rows of the tile at `place` to one row of the source's mask."""
    return Change(place, reason, source.id, np.broadcast_to(mask[row], mask.shape))
