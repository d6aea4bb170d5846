"""A rehearsal: some labelled tiles take part as unlabelled ones, and their masks serve for scoring alone.

The masks are in a file of their own, outside the folder of the tiles. No program reads both except those that score.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from salt.data.records import create_records
from salt.data.scratch import Allocate, in_memory
from salt.data.tiles import Tiles
from schemas.data import HideLabels
from schemas.errors import UserError


def choose(ids: Iterable[str], settings: HideLabels) -> frozenset[str]:
    """The ids whose masks are hidden: a function of the set of ids, the share and the seed, not of order or masks."""
    ordered = sorted(ids)
    order = np.random.default_rng(settings.seed).permutation(len(ordered))
    return frozenset(ordered[number] for number in order[: settings.count(len(ordered))])


def hide(train: Tiles, test: Tiles, settings: HideLabels, allocate: Allocate = in_memory) -> tuple[Tiles, Tiles, Tiles]:
    """Move the chosen tiles from the labelled ones to the end of the test split.

    Returns the tiles that stay labelled, the test tiles with the moved ones (split "test", coverage NaN, no masks),
    and the moved ones as they were, each in the order of `train`. `allocate` makes the array of all test images.
    Raises UserError if no tile is moved, or if too little to learn from stays labelled.
    """
    moved = train.table["id"].isin(choose(train.ids, settings)).to_numpy()
    labelled, hidden = train.select(np.flatnonzero(~moved)), train.select(np.flatnonzero(moved))
    _check(labelled, hidden, settings)
    table = pd.concat([test.table, hidden.table.assign(split="test", coverage=np.nan)], ignore_index=True)
    images = allocate((len(table), *test.images.shape[1:]))
    np.concatenate([test.images, hidden.images], out=images)
    return labelled, Tiles(table, images, None), hidden


def save_masks(path: Path, hidden: Tiles) -> None:
    """Write records (id, mask) of the hidden masks, (H, W) uint8 in {0, 1}."""
    _, masks = hidden.arrays
    with create_records(path, hidden.ids, {"mask": np.uint8}, *masks.shape[1:]) as records:
        records["mask"] = masks


def _check(labelled: Tiles, hidden: Tiles, settings: HideLabels) -> None:
    count = len(labelled) + len(hidden)
    if not len(hidden):
        raise UserError(
            f"Expected data.hide_labels to hide at least one of the {count} labelled tiles, and found that a share of "
            f"{settings.share:g} hides none. Raise data.hide_labels.share, or remove data.hide_labels."
        )
    usable = labelled.table[~labelled.table["constant"]]
    with_salt = int((usable["coverage"] > 0).sum())
    if len(usable) < 2 or not with_salt:
        raise UserError(
            "Expected at least two tiles to learn from, one of them with salt, beside those that data.hide_labels "
            f"hides, and found {len(usable)}, {with_salt} with salt, after {len(hidden)} of {count} labelled tiles "
            f"were hidden (constant tiles do not count). Lower data.hide_labels.share, now {settings.share:g}, or try "
            "another data.hide_labels.seed."
        )
