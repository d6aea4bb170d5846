"""Scores of predictions against masks: with and without mirror images and the jigsaw rules, streaming over tiles."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from salt.data import predictions
from salt.data.predictions import FIELDS
from salt.data.records import Records, chunks
from salt.data.tiles import rows_of
from salt.postprocess.jigsaw import Change, find_changes
from salt.scores import metric
from schemas.results import JigsawRule

Masks = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]

THRESHOLDS = np.arange(1, 50) / 50  # of the threshold curve: 0.02 ... 0.98
PARTS, DEAL = 5, 2018  # of the labelled tiles, for the jigsaw rules; seed


@dataclass(frozen=True)
class View:
    """What a jigsaw rule sees when it is scored: `known` masks (H, W) by id, none of them of the `hidden` tiles."""

    known: Mapping[str, Masks]
    hidden: frozenset[str]


@dataclass(frozen=True)
class Truth:
    """Tiles whose masks are known, and what a jigsaw rule may know of them.

    labels: what the masks are: "out_of_fold" or "true_test"
    ids: (n,); masks: (n, H, W) uint8 in {0, 1}, may be a memory map
    fold: (n,) the fold of each tile, where it has one
    mosaics: id, mosaic, row, column
    views: each tile is hidden in one of them
    """

    labels: str
    ids: npt.NDArray[np.str_]
    masks: Masks
    fold: npt.NDArray[np.int64] | None
    mosaics: pd.DataFrame
    views: tuple[View, ...]


def out_of_fold_truth(ids: npt.NDArray[np.str_], masks: Masks, folds: pd.DataFrame, mosaics: pd.DataFrame) -> Truth:
    """The labelled tiles. The jigsaw rules see four fifths of the masks at a time and are scored on the others.

    The fifths are no folds: folds by mosaic keep all neighbours together, so that no rule would reach a tile.
    """
    fold = folds.set_index("id")["fold"].loc[ids.tolist()].to_numpy()
    known = dict(zip(ids.tolist(), masks, strict=True))
    views = tuple(
        View({name: mask for name, mask in known.items() if name not in hidden}, hidden) for hidden in deal(known)
    )
    return Truth("out_of_fold", ids, masks, fold, mosaics, views)


def deal(ids: Iterable[str]) -> list[frozenset[str]]:
    """The ids in PARTS parts of about the same size, at random and always the same, whatever their order."""
    ordered = sorted(ids)
    order = np.random.default_rng(DEAL).permutation(len(ordered))
    return [frozenset(ordered[number] for number in order[part::PARTS]) for part in range(PARTS)]


def true_test_truth(
    ids: npt.NDArray[np.str_],
    masks: Masks,
    known_ids: npt.NDArray[np.str_],
    known_masks: Masks,
    mosaics: pd.DataFrame,
) -> Truth:
    """The test tiles of a survey that is known; the jigsaw rules see all training masks, as in a submission."""
    view = View(dict(zip(known_ids.tolist(), known_masks, strict=True)), frozenset(ids.tolist()))
    return Truth("true_test", ids, masks, None, mosaics, (view,))


def score(predicted: Records, truth: Truth, threshold: float, rules: Iterable[JigsawRule]) -> list[dict[str, object]]:
    """Rows of scores.csv for one prediction: {plain, tta} x jigsaw rules.

    predicted: records (id, plain, tta) of tiles that `truth` holds
    Each row: labels, tta, jigsaw, score (mean over tiles), sd_folds (spread of the folds' scores; NaN without folds),
    tiles, reached (tiles that the rule covers), reached_before and reached_after (mean score of these without and
    with the rule; NaN where it covers none).
    """
    places = rows_of(truth.ids, predicted["id"])
    without = {name: np.zeros(len(predicted)) for name in FIELDS}
    empty = {name: set[str]() for name in FIELDS}
    for rows in chunks(len(predicted)):
        masks = truth.masks[places[rows]].astype(bool)
        for name in FIELDS:
            salt = predictions.binarize(predicted[name][rows], threshold)
            without[name][rows] = metric.score(salt, masks)
            empty[name] |= set(predicted["id"][rows][~salt.any(axis=(1, 2))])
    return [
        {"labels": truth.labels, "tta": name == "tta", "jigsaw": rule}
        | _under_rule(rule, without[name], empty[name], predicted["id"], truth)
        for name in FIELDS
        for rule in rules
    ]


def _under_rule(
    rule: JigsawRule, before: Floats, empty: set[str], ids: npt.NDArray[np.str_], truth: Truth
) -> dict[str, object]:
    """Numbers of one row: what a rule makes of the tiles' scores (n,) `before` it; `empty`: predicted so."""
    changes = changes_in_view(rule, truth, set(ids), empty)
    reached, places = rows_of(ids, changes), rows_of(truth.ids, changes)
    after = before.copy()
    if changes:
        painted = np.stack([change.mask for change in changes.values()])
        after[reached] = metric.score(painted, truth.masks[places])
    return {
        "score": after.mean(),
        "sd_folds": _spread(after, truth, rows_of(truth.ids, ids)),
        "tiles": len(ids),
        "reached": len(reached),
        "reached_before": before[reached].mean() if changes else np.nan,
        "reached_after": after[reached].mean() if changes else np.nan,
    }


def changes_in_view(rule: JigsawRule, truth: Truth, targets: set[str], empty: set[str]) -> dict[str, Change]:
    """What a rule does to the tiles, each where it is hidden, by id."""
    return {
        change.id: change
        for view in truth.views
        for change in find_changes(rule, truth.mosaics, view.known, view.hidden & targets, empty)
    }


def _spread(scores: Floats, truth: Truth, places: npt.NDArray[np.int64]) -> float:
    if truth.fold is None:
        return float("nan")
    return float(pd.Series(scores).groupby(truth.fold[places]).mean().std(ddof=0))


def threshold_curve(predicted: Records, truth: Truth) -> Floats:
    """Mean score at each of THRESHOLDS, with mirror images, without jigsaw: (k,)."""
    places = rows_of(truth.ids, predicted["id"])
    total = np.zeros(len(THRESHOLDS))
    for rows in chunks(len(predicted)):
        total += metric.threshold_scores(predicted["tta"][rows], truth.masks[places[rows]], THRESHOLDS).sum(axis=0)
    return total / len(predicted)
