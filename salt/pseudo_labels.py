"""Masks of confidently predicted test tiles (recipe 8): how sure a prediction is, and which tiles are selected."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from salt.program import UserError
from salt.records import open_records
from salt.tiles import Tiles, rows_of
from schemas.config import PseudoLabels, SizeClass

ALL_FOLDS = -1  # the `fold` of a pseudo-label that every fold uses


def confidence(probabilities: npt.NDArray[np.floating], low: float, high: float) -> npt.NDArray[np.float64]:
    """Share of the pixels with p < low or p > high: (n, H, W) -> (n,) in 0..1."""
    probabilities = probabilities.astype(np.float32)  # in float16 the bounds themselves would be rounded
    return ((probabilities < low) | (probabilities > high)).mean(axis=(1, 2))


def select(table: pd.DataFrame, settings: PseudoLabels, folds: int) -> pd.DataFrame:
    """Decide which tiles are selected, and for which fold.

    table: id, confidence (0..1), salt (px of the mask), constant, one row a test tile
    Gives the table with `selected` (bool) and `fold` (k; ALL_FOLDS for all of them and for those not selected).
    Constant tiles are never selected: they hold nothing to learn.
    """
    table = table.assign(selected=False, fold=ALL_FOLDS)
    if settings.per_fold is None:
        return table.assign(selected=(table["confidence"] >= settings.min_confidence) & ~table["constant"])
    for size in settings.per_fold:
        for fold, rows in enumerate(slices(qualified(table, size, settings.min_confidence), size.count, folds)):
            table.loc[rows, "selected"] = True
            table.loc[rows, "fold"] = fold
    return table


def qualified(table: pd.DataFrame, size: SizeClass, min_confidence: float) -> npt.NDArray[np.int64]:
    """Row labels of the tiles in a size class that are confident enough, every n-th of them, in table order."""
    least = min_confidence if size.min_confidence is None else size.min_confidence
    fits = table["salt"].between(*size.pixels) & (table["confidence"] >= least) & ~table["constant"]
    return table.index[fits].to_numpy()[:: size.every]


def slices(rows: npt.NDArray[np.int64], count: int, folds: int) -> Sequence[npt.NDArray[np.int64]]:
    """Disjoint slices of `count` rows for each fold; of equal size where there are too few."""
    count = min(count, len(rows) // folds)
    return [rows[fold * count : (fold + 1) * count] for fold in range(folds)]


def load(masks: Path, table: Path, test: Tiles, fold: int | None = None) -> Tiles:
    """The selected test tiles with their pseudo-masks, of a fold or of all, in memory.

    masks, table: what make_pseudo_labels wrote, `masks.npy` and `pseudo_labels.csv`
    Raises UserError where none was selected: there would be nothing to train on.
    """
    labels = pd.read_csv(table, dtype={"id": str}, keep_default_na=False)
    chosen = labels["selected"] if fold is None else labels["selected"] & labels["fold"].isin([fold, ALL_FOLDS])
    ids = labels.loc[chosen, "id"]
    if ids.empty:
        raise UserError(
            f"{table}: expected pseudo-labels to train on, found none selected of {len(labels)} tiles. Lower the set's "
            "min_confidence in the config, or train the ensemble that it comes from for longer. The file shows the "
            "confidence of each tile; constant tiles are never selected."
        )
    records = open_records(masks)
    pseudo_masks = records["mask"][rows_of(records["id"], ids)]
    tiles = test.select(rows_of(test.ids, ids))
    return Tiles(tiles.table, tiles.images, pseudo_masks)
