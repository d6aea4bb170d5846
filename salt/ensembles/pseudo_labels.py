"""Pseudo-labels (recipe 8): masks of test tiles, the confidence of their predictions, and the selection of tiles."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from salt.data.predictions import in_8_bits
from salt.data.records import chunks, create_records, open_records
from salt.data.tables import read_table
from salt.data.tiles import Tiles, rows_of
from salt.ensembles.blending import Member, mean, same_tiles
from schemas.errors import UserError
from schemas.results import ConfidenceWeight, PseudoLabels, PseudoLabelSettings, SizeClass

ALL_FOLDS = -1  # `fold` of a pseudo-label that every fold trains on


def confidence(probabilities: npt.NDArray[np.floating], low: float, high: float) -> npt.NDArray[np.float64]:
    """Share of each tile's pixels with p < low or p > high: (n, H, W) -> (n,) in 0..1."""
    probabilities = probabilities.astype(np.float32)  # float16 would round the bounds themselves
    return ((probabilities < low) | (probabilities > high)).mean(axis=(1, 2))


def write_masks(predictions: Sequence[Member], settings: PseudoLabelSettings, out: Path | str) -> pd.DataFrame:
    """Write the masks of the predictions' weighted mean as records (id, mask), chunk by chunk.

    predictions: records (id, tta) of the test tiles, of an ensemble or of the models of one fold
    Soft masks are one more field, `probability`, in 0..255; `mask` stays in {0, 1} for everything but trainings.
    Returns a table of id, confidence (0..1), pixels (of salt) and coverage (their share), one row per tile.
    Raises ValueError if the predictions differ in their tiles or in the order of tiles.
    """
    if not same_tiles(predictions):
        raise ValueError("the predictions behind pseudo-labels must hold the same tiles in the same order")
    ids = predictions[0]["id"]
    height, width = predictions[0]["tta"].shape[1:]
    confidences, pixels = np.zeros(len(ids)), np.zeros(len(ids), np.int64)
    fields = ["mask", "probability"] if settings.masks == "soft" else ["mask"]
    with create_records(out, ids.tolist(), dict.fromkeys(fields, np.uint8), height, width) as records:
        for rows in chunks(len(ids)):
            probabilities = mean(predictions, settings.weights, "tta", rows)
            records["mask"][rows] = probabilities > 0.5
            if settings.masks == "soft":
                records["probability"][rows] = in_8_bits(probabilities)
            confidences[rows] = confidence(probabilities, settings.low, settings.high)
            pixels[rows] = records["mask"][rows].sum(axis=(1, 2), dtype=np.int64)
    coverage = pixels / (height * width)
    return pd.DataFrame({"id": ids, "confidence": confidences, "pixels": pixels, "coverage": coverage})


def select(table: pd.DataFrame, settings: PseudoLabels, folds: int, fold: int | None = None) -> pd.DataFrame:
    """Select tiles, each for one fold or for all.

    table: id, confidence (0..1), pixels (of salt), constant, one row per test tile
    fold: the only fold that trains on this table; None: all folds do
    Returns the table with two more columns: `selected` (bool) and `fold`. The fold is k, or ALL_FOLDS for a tile of
    all folds and, in a table for all folds, for a tile that is not selected. Constant tiles are never selected: a
    network learns nothing from them.
    """
    table = table.assign(selected=False, fold=ALL_FOLDS if fold is None else fold)
    if settings.per_fold is None:
        return table.assign(selected=(table["confidence"] >= least_confidence(table, settings)) & ~table["constant"])
    for number, rows in enumerate(by_size(table, settings, folds)):
        if fold in (None, number):
            table.loc[rows, "selected"] = True
            table.loc[rows, "fold"] = number
    return table


def least_confidence(table: pd.DataFrame, settings: PseudoLabels) -> npt.NDArray[np.float64]:
    """The confidence that each tile needs to be selected, (n,) in 0..1: empty masks may have a limit of their own."""
    usual, empty = settings.min_confidence, settings.min_confidence_empty
    return np.where(table["pixels"] == 0, usual if empty is None else empty, usual)


def weigh(table: pd.DataFrame, settings: PseudoLabels) -> pd.DataFrame:
    """Add the column `weight`, 0..1, to a table of confidences, unless all tiles weigh the same."""
    if not isinstance(settings.weight, ConfidenceWeight):
        return table
    return table.assign(weight=table["confidence"] ** settings.weight.power)


def qualified(table: pd.DataFrame, size: SizeClass, min_confidence: float) -> npt.NDArray[np.int64]:
    """Row labels of every n-th confident tile in a size class, in table order."""
    least = min_confidence if size.min_confidence is None else size.min_confidence
    fits = table["pixels"].between(*size.pixels) & (table["confidence"] >= least) & ~table["constant"]
    return table.index[fits].to_numpy()[:: size.every]


def by_size(table: pd.DataFrame, settings: PseudoLabels, folds: int) -> list[npt.NDArray[np.int64]]:
    """Row labels for each fold: one slice after the other of each size class, in the order of classes and table.

    The slices are disjoint; `SizeClass.sizes` gives their lengths.
    """
    parts = []
    for size in settings.per_fold or ():
        rows = qualified(table, size, settings.min_confidence)
        ends = np.cumsum(size.sizes(len(rows), folds))
        parts.append(np.split(rows, ends)[:folds])
    return [np.concatenate(of_fold) for of_fold in zip(*parts, strict=True)]


def load(masks: Path, table: Path, test: Tiles, fold: int | None = None) -> Tiles:
    """Load the selected test tiles with their pseudo-masks, for one fold or for all.

    masks, table: the two files of make_pseudo_labels
    Raises UserError if no tile is selected: there would be nothing to train on.
    """
    labels, records = selected(table, fold), open_records(masks)
    soft = "probability" in (records.dtype.names or ())
    pseudo_masks = records["probability" if soft else "mask"][rows_of(records["id"], labels["id"])]
    tiles = test.select(rows_of(test.ids, labels["id"]))
    weights = {"weight": labels["weight"].to_numpy()} if "weight" in labels else {}
    return Tiles(tiles.table.assign(split="pseudo", **weights), tiles.images, pseudo_masks, soft)


def load_table(path: Path) -> pd.DataFrame:
    """Read pseudo_labels.csv: id (str), confidence, coverage, selected (bool), fold; weight if weights differ."""
    types = {"id": str, "confidence": float, "selected": bool, "fold": int}
    return read_table(path, types, keep_default_na=False)


def selected(table: Path, fold: int | None = None) -> pd.DataFrame:
    """The rows of the selected test tiles, for one fold or for all. Raises UserError if there are none."""
    labels = load_table(table)
    chosen = labels["selected"] if fold is None else labels["selected"] & labels["fold"].isin([fold, ALL_FOLDS])
    labels = labels[chosen]
    if labels.empty:
        raise UserError(
            f"{table}: expected pseudo-labels to train on, found none selected of {len(chosen)} tiles. Lower the set's "
            "min_confidence in the config, or train the ensemble behind it longer. The file lists each tile's "
            "confidence; constant tiles are never selected."
        )
    return labels
