"""Scores of predictions, with and without mirror images and each jigsaw rule, computed on chunks of tiles."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from salt.data.predictions import FIELDS
from salt.data.records import Records, chunks
from salt.data.tiles import rows_of
from salt.postprocess import steps
from salt.postprocess.jigsaw import Change, find_changes, usable_masks
from salt.scores import metric
from schemas.postprocess import JigsawRule, Postprocess

Masks = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.int64]

THRESHOLDS = np.arange(1, 50) / 50  # of the threshold curve: 0.02 ... 0.98
PARTS, PARTS_SEED = 5, 2018  # of the labelled tiles; the masks of one part at a time are hidden from the jigsaw rules


@dataclass(frozen=True)
class View:
    """Input of a jigsaw rule that is scored: `known` masks (H, W) by id, without those of the `hidden` tiles."""

    known: Mapping[str, Masks]
    hidden: frozenset[str]


@dataclass(frozen=True)
class Truth:
    """Tiles with known masks, and the part of them that a jigsaw rule may use.

    labels: the kind of masks: "out_of_fold", "true_test" or "hidden"
    ids: (n,); masks: (n, H, W) uint8 in {0, 1}, may be a memory map
    constant: (n,), whether a tile has a single grey value
    fold: (n,), the fold of each tile; None for test tiles
    mosaics: id, mosaic, row, column
    views: each tile is hidden in exactly one of them
    """

    labels: str
    ids: npt.NDArray[np.str_]
    masks: Masks
    constant: Bools
    fold: npt.NDArray[np.int64] | None
    mosaics: pd.DataFrame
    views: tuple[View, ...]


def out_of_fold_truth(
    ids: npt.NDArray[np.str_], masks: Masks, constant: Bools, folds: pd.DataFrame, mosaics: pd.DataFrame
) -> Truth:
    """The labelled tiles. The jigsaw rules see four fifths of the masks at a time and are scored on the rest.

    The fifths are not the folds: folds by mosaic keep all neighbours together, so a rule would reach no tile.
    """
    fold = folds.set_index("id")["fold"].loc[ids.tolist()].to_numpy()
    known = usable_masks(ids.tolist(), masks, constant)
    views = tuple(
        View({name: mask for name, mask in known.items() if name not in hidden}, hidden)
        for hidden in random_parts(ids.tolist())
    )
    return Truth("out_of_fold", ids, masks, constant, fold, mosaics, views)


def random_parts(ids: Iterable[str]) -> list[frozenset[str]]:
    """The ids split at random into PARTS parts of about equal size; independent of their order, the same each time."""
    ordered = sorted(ids)
    order = np.random.default_rng(PARTS_SEED).permutation(len(ordered))
    return [frozenset(ordered[number] for number in order[part::PARTS]) for part in range(PARTS)]


def test_truth(
    labels: str,
    ids: npt.NDArray[np.str_],
    masks: Masks,
    constant: Bools,
    known: Mapping[str, Masks],
    mosaics: pd.DataFrame,
) -> Truth:
    """Some or all of the test tiles. The jigsaw rules see the masks of all labelled tiles, as in a submission.

    labels: the kind of their masks; known: of the labelled tiles (salt.postprocess.jigsaw.usable_masks)
    """
    view = View(known, frozenset(ids.tolist()))
    return Truth(labels, ids, masks, constant, None, mosaics, (view,))


def scored_rows(predicted: Records, truth: Truth) -> tuple[Rows, Rows]:
    """The rows of `predicted` that are scored, ascending, and the rows of the same tiles in `truth`.

    Out of fold, these are all predictions: constant tiles have none. Of the test tiles, these are all in `truth`.
    Raises KeyError if a prediction has no truth, or the truth of a test tile no prediction.
    """
    rows = np.sort(rows_of(predicted["id"], truth.ids)) if truth.fold is None else np.arange(len(predicted))
    return rows, rows_of(truth.ids, predicted["id"][rows])


@dataclass(frozen=True)
class Scores:
    """Scores of a prediction's tiles: of their masks as they would be submitted with one jigsaw rule.

    tta: whether with mirror images
    ids: (n,); before, after: (n,) in 0..1, without and with the rule; reached: (k,) rows of the tiles that it covers
    """

    tta: bool
    jigsaw: JigsawRule
    ids: npt.NDArray[np.str_]
    before: Floats
    after: Floats
    reached: npt.NDArray[np.int64]


def score(predicted: Records, truth: Truth, postprocess: Postprocess, rules: Iterable[JigsawRule]) -> list[Scores]:
    """The scores of one prediction: {plain, tta} x jigsaw rules.

    predicted: records (id, plain, tta); of test tiles, only those in `truth` are scored
    postprocess: the steps; each of `rules` follows them, in place of their own jigsaw rule
    """
    rows, places = scored_rows(predicted, truth)
    ids = predicted["id"][rows]
    without = {name: np.zeros(len(rows)) for name in FIELDS}
    empty = {name: set[str]() for name in FIELDS}
    for chunk in chunks(len(rows)):
        true, constant = truth.masks[places[chunk]], truth.constant[places[chunk]]
        for name in FIELDS:
            masks = steps.masks(predicted[name][rows[chunk]], constant, postprocess)
            without[name][chunk] = metric.score(masks, true)
            empty[name] |= set(ids[chunk][~masks.any(axis=(1, 2))])
    rules = list(rules)
    return [
        Scores(name == "tta", rule, ids, without[name], *_with_rule(rule, ids, truth, without[name], empty[name]))
        for name in FIELDS
        for rule in rules
    ]


def _with_rule(
    rule: JigsawRule, ids: npt.NDArray[np.str_], truth: Truth, before: Floats, empty: set[str]
) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Scores (n,) with a rule, and the rows that it covers. before: without it; empty: ids of tiles predicted empty."""
    changes = changes_in_view(rule, truth, set(ids), empty)
    reached, places = rows_of(ids, changes), rows_of(truth.ids, changes)
    after = before.copy()
    if changes:
        painted = np.stack([change.mask for change in changes.values()])
        after[reached] = metric.score(painted, truth.masks[places])
    return after, reached


def summary(scores: Scores, truth: Truth) -> dict[str, object]:
    """A row of scores.csv, without the name of the prediction.

    labels, tta, jigsaw, score (mean over tiles), sd_folds (standard deviation of the folds' scores; NaN without folds),
    tiles, reached (tiles that the rule covers), reached_before and reached_after (their mean score without and with
    the rule; NaN if there are none).
    """
    before, after = scores.before[scores.reached], scores.after[scores.reached]
    return {
        "labels": truth.labels,
        "tta": scores.tta,
        "jigsaw": scores.jigsaw,
        "score": scores.after.mean(),
        "sd_folds": _deviation_over_folds(scores.after, truth, rows_of(truth.ids, scores.ids)),
        "tiles": len(scores.ids),
        "reached": len(scores.reached),
        "reached_before": before.mean() if len(before) else np.nan,
        "reached_after": after.mean() if len(after) else np.nan,
    }


def by_tile(scores: Iterable[Scores], labels: str) -> "pd.Series[float]":
    """The scores of tiles with mirror images, indexed by labels (their kind), jigsaw and id."""
    columns = {(labels, each.jigsaw): pd.Series(each.after, pd.Index(each.ids)) for each in scores if each.tta}
    return pd.concat(columns, names=["labels", "jigsaw", "id"])


def changes_in_view(rule: JigsawRule, truth: Truth, targets: set[str], empty: set[str]) -> dict[str, Change]:
    """The changes by a rule, by id, each computed in the view that hides the tile."""
    return {
        change.id: change
        for view in truth.views
        for change in find_changes(rule, truth.mosaics, view.known, view.hidden & targets, empty)
    }


def _deviation_over_folds(scores: Floats, truth: Truth, places: Rows) -> float:
    if truth.fold is None:
        return float("nan")
    return float(pd.Series(scores).groupby(truth.fold[places]).mean().std(ddof=0))


def threshold_curve(predicted: Records, truth: Truth) -> Floats:
    """Mean score at each of THRESHOLDS, (k,), with mirror images; masks are made by the threshold alone."""
    rows, places = scored_rows(predicted, truth)
    total = np.zeros(len(THRESHOLDS))
    for chunk in chunks(len(rows)):
        probabilities, true = predicted["tta"][rows[chunk]], truth.masks[places[chunk]]
        total += metric.threshold_scores(probabilities, true, THRESHOLDS).sum(axis=0)
    return total / len(rows)
