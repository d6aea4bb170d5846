"""Masks of confidently predicted test tiles (recipe 8): how sure a prediction is, and which tiles are selected."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from salt.data.records import Records, chunks, create_records, open_records
from salt.data.tiles import Tiles, rows_of
from salt.ensembles.blending import mean, same_tiles
from schemas.errors import UserError
from schemas.results import PseudoLabels, PseudoLabelSettings, SizeClass

ALL_FOLDS = -1  # the `fold` of a pseudo-label that every fold learns from


def confidence(probabilities: npt.NDArray[np.floating], low: float, high: float) -> npt.NDArray[np.float64]:
    """Share of the pixels with p < low or p > high: (n, H, W) -> (n,) in 0..1."""
    probabilities = probabilities.astype(np.float32)  # in float16 the bounds themselves would be rounded
    return ((probabilities < low) | (probabilities > high)).mean(axis=(1, 2))


def write_masks(predictions: Sequence[Records], settings: PseudoLabelSettings, out: Path | str) -> pd.DataFrame:
    """Write the masks of the predictions' weighted mean, records (id, mask), chunk by chunk.

    predictions: records (id, plain, tta) of the test tiles, of an ensemble or of the models of one fold
    Returns a table of id, confidence (0..1), pixels (of salt) and coverage (their share), one row a tile.
    Raises ValueError if the predictions hold different tiles or another order.
    """
    if not same_tiles(predictions):
        raise ValueError("predictions that make pseudo-labels must hold the same tiles in the same order")
    ids = predictions[0]["id"]
    height, width = predictions[0]["tta"].shape[1:]
    sure, pixels = np.zeros(len(ids)), np.zeros(len(ids), np.int64)
    with create_records(out, ids.tolist(), {"mask": np.uint8}, height, width) as records:
        for rows in chunks(len(ids)):
            probabilities = mean(predictions, settings.weights, "tta", rows)
            records["mask"][rows] = probabilities > 0.5
            sure[rows] = confidence(probabilities, settings.low, settings.high)
            pixels[rows] = records["mask"][rows].sum(axis=(1, 2), dtype=np.int64)
    return pd.DataFrame({"id": ids, "confidence": sure, "pixels": pixels, "coverage": pixels / (height * width)})


def select(table: pd.DataFrame, settings: PseudoLabels, folds: int, fold: int | None = None) -> pd.DataFrame:
    """Decide which tiles are selected, and for which fold.

    table: id, confidence (0..1), pixels (of salt), constant, one row a test tile
    fold: the only fold that learns from this table; None: all folds do
    Returns the table with `selected` (bool) and `fold`: k, or ALL_FOLDS for a tile that all folds learn from and, in
    a table for all folds, for a tile that is not selected. Constant tiles are never selected: they teach nothing.
    """
    table = table.assign(selected=False, fold=ALL_FOLDS if fold is None else fold)
    if settings.per_fold is None:
        return table.assign(selected=(table["confidence"] >= settings.min_confidence) & ~table["constant"])
    for size in settings.per_fold:
        for number, rows in enumerate(slices(qualified(table, size, settings.min_confidence), size.count, folds)):
            if fold in (None, number):
                table.loc[rows, "selected"] = True
                table.loc[rows, "fold"] = number
    return table


def qualified(table: pd.DataFrame, size: SizeClass, min_confidence: float) -> npt.NDArray[np.int64]:
    """Row labels of the confident tiles in a size class, every n-th of them, in table order."""
    least = min_confidence if size.min_confidence is None else size.min_confidence
    fits = table["pixels"].between(*size.pixels) & (table["confidence"] >= least) & ~table["constant"]
    return table.index[fits].to_numpy()[:: size.every]


def slices(rows: npt.NDArray[np.int64], count: int, folds: int) -> Sequence[npt.NDArray[np.int64]]:
    """Disjoint slices of `count` rows, one a fold; smaller ones of equal size if there are too few rows."""
    count = min(count, len(rows) // folds)
    return [rows[fold * count : (fold + 1) * count] for fold in range(folds)]


def load(masks: Path, table: Path, test: Tiles, fold: int | None = None) -> Tiles:
    """The selected test tiles with their pseudo-masks, of one fold or of all, in memory.

    masks, table: the two files of make_pseudo_labels
    Raises UserError if none was selected: there would be nothing to train on.
    """
    labels = pd.read_csv(table, dtype={"id": str}, keep_default_na=False)
    chosen = labels["selected"] if fold is None else labels["selected"] & labels["fold"].isin([fold, ALL_FOLDS])
    ids = labels.loc[chosen, "id"]
    if ids.empty:
        raise UserError(
            f"{table}: expected pseudo-labels to train on, found none selected of {len(labels)} tiles. Lower the set's "
            "min_confidence in the config, or train the ensemble behind it for longer. The file lists each tile's "
            "confidence; constant tiles are never selected."
        )
    records = open_records(masks)
    pseudo_masks = records["mask"][rows_of(records["id"], ids)]
    tiles = test.select(rows_of(test.ids, ids))
    return Tiles(tiles.table, tiles.images, pseudo_masks)
