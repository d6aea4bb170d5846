"""Scores of predictions against masks: with and without mirror images and the jigsaw rule, streaming over tiles."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from salt import jigsaw, metric, predictions
from salt.predictions import FIELDS
from salt.records import Records, chunks
from salt.tiles import rows_of

Masks = npt.NDArray[np.uint8]

THRESHOLDS = np.arange(1, 50) / 50  # of the threshold curve: 0.02 ... 0.98


@dataclass(frozen=True)
class Truth:
    """Tiles whose masks are known, and what the jigsaw rule makes of them.

    labels: what the masks are: "out_of_fold" or "true_test"
    ids: (n,); masks: (n, H, W) uint8 in {0, 1}, may be a memory map
    fold: (n,) the fold of each tile, where it has one
    lines: by id, the mask line (W,) that the jigsaw rule repeats over a tile's rows, from masks the tile's own
        prediction could know
    """

    labels: str
    ids: npt.NDArray[np.str_]
    masks: Masks
    fold: npt.NDArray[np.int64] | None
    lines: Mapping[str, npt.NDArray[np.uint8]]


def out_of_fold_truth(ids: npt.NDArray[np.str_], masks: Masks, folds: pd.DataFrame, mosaics: pd.DataFrame) -> Truth:
    """The labelled tiles; the jigsaw rule of a fold's tiles sees the masks of the other folds only."""
    fold = folds.set_index("id")["fold"].loc[ids.tolist()].to_numpy()
    lines: dict[str, npt.NDArray[np.uint8]] = {}
    for number in np.unique(fold):
        known = fold != number
        views = [masks[row] for row in np.flatnonzero(known)]  # of the memory map
        changes = jigsaw.find_changes(mosaics, ids[known].tolist(), views, set(ids[~known]))
        lines |= {change.id: change.line for change in changes}
    return Truth("out_of_fold", ids, masks, fold, lines)


def true_test_truth(
    ids: npt.NDArray[np.str_],
    masks: Masks,
    known_ids: npt.NDArray[np.str_],
    known_masks: Masks,
    mosaics: pd.DataFrame,
) -> Truth:
    """The test tiles of a survey that is known; the jigsaw rule sees all training masks, as in a submission."""
    changes = jigsaw.find_changes(mosaics, known_ids.tolist(), known_masks, set(ids))
    return Truth("true_test", ids, masks, None, {change.id: change.line for change in changes})


def score(predicted: Records, truth: Truth, threshold: float) -> list[dict[str, object]]:
    """Rows of scores.csv for one prediction: {plain, tta} x {without, with} jigsaw.

    predicted: records (id, plain, tta) of tiles that `truth` holds
    Each row: labels, tta, jigsaw, score (mean over tiles), sd_folds (spread of the folds' scores; NaN without folds),
    tiles.
    """
    places = rows_of(truth.ids, predicted["id"])
    by_field = {name: np.zeros(len(predicted)) for name in FIELDS}
    for rows in chunks(len(predicted)):
        masks = truth.masks[places[rows]]
        for name in FIELDS:
            by_field[name][rows] = metric.score(predictions.salt(predicted[name][rows], threshold), masks.astype(bool))
    ruled, ruled_scores = _jigsaw_scores(predicted["id"], places, truth)
    rows_out: list[dict[str, object]] = []
    for name in FIELDS:
        for with_jigsaw in (False, True):
            scores = by_field[name].copy()
            if with_jigsaw:
                scores[ruled] = ruled_scores
            row = {
                "labels": truth.labels,
                "tta": name == "tta",
                "jigsaw": with_jigsaw,
                "score": scores.mean(),
            }
            rows_out.append(row | {"sd_folds": _spread(scores, truth, places), "tiles": len(scores)})
    return rows_out


def _jigsaw_scores(
    ids: npt.NDArray[np.str_], places: npt.NDArray[np.int64], truth: Truth
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Positions of the tiles that the rule covers, and their scores under it, whatever was predicted."""
    ruled = np.array([row for row, name in enumerate(ids) if name in truth.lines], dtype=np.int64)
    masks = truth.masks[places[ruled]].astype(bool)
    lines = np.array([truth.lines[ids[row]] for row in ruled], dtype=bool).reshape(len(ruled), 1, masks.shape[2])
    return ruled, metric.score(np.broadcast_to(lines, masks.shape), masks)


def _spread(scores: npt.NDArray[np.float64], truth: Truth, places: npt.NDArray[np.int64]) -> float:
    if truth.fold is None:
        return float("nan")
    return float(pd.Series(scores).groupby(truth.fold[places]).mean().std(ddof=0))


def threshold_curve(predicted: Records, truth: Truth) -> npt.NDArray[np.float64]:
    """Mean score at each of THRESHOLDS, with mirror images, without jigsaw: (k,)."""
    places = rows_of(truth.ids, predicted["id"])
    total = np.zeros(len(THRESHOLDS))
    for rows in chunks(len(predicted)):
        total += metric.threshold_scores(predicted["tta"][rows], truth.masks[places[rows]], THRESHOLDS).sum(axis=0)
    return total / len(predicted)
