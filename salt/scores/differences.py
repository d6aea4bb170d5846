"""Paired differences of tiles' scores, and their 95 % intervals.

All intervals are of a mean over n values, by Student's t with n - 1 degrees of freedom (scipy.stats). They take the
values as independent draws. Over tiles, they hold for the trainings of a run: other seeds are another source of chance.
"""

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from salt.data.damage import reading
from salt.scores.verdict import Difference
from schemas.results import Pair

LEVEL = 0.95
KEYS = ["labels", "jigsaw", "id"]  # of a row of tile scores


class Interval(NamedTuple):
    """A mean and its 95 % interval."""

    mean: float
    low: float
    high: float


def interval(values: npt.ArrayLike) -> Interval:
    """The mean of values, (n,) with n > 0, and its 95 % interval; if all are equal, as is a single one, no width."""
    values = np.asarray(values, np.float64)
    if np.ptp(values) == 0:
        return Interval(*[float(values[0])] * 3)
    mean, half = values.mean(), stats.t.ppf((1 + LEVEL) / 2, len(values) - 1) * stats.sem(values)
    return Interval(float(mean), float(mean - half), float(mean + half))


def differences(tile_scores: pd.DataFrame, pairs: Iterable[Pair]) -> list[Difference]:
    """The differences of all pairs on each kind of labels and with each jigsaw rule.

    tile_scores: one row a tile, indexed by KEYS; one column a model or ensemble
    """
    pairs = list(pairs)
    return [
        Difference(str(labels), str(jigsaw), pair.name, pair.than, pair.role, *found, tiles=len(of))
        for (labels, jigsaw), of in tile_scores.groupby(level=KEYS[:2], sort=False)
        for pair in pairs
        for found in [interval(of[pair.name] - of[pair.than])]
    ]


def load_tile_scores(path: Path) -> pd.DataFrame:
    """Read tile_scores.csv: scores in 0..1, indexed by KEYS, one column a model or ensemble.

    Raises UserError if it is missing or damaged.
    """
    with reading(path):
        with path.open(newline="", encoding="utf-8") as file:
            names = next(csv.reader(file))  # pandas would rename a model called `id`
        types: dict[int, type] = dict.fromkeys(range(len(KEYS)), str)
        table = pd.read_csv(path, header=0, names=range(len(names)), dtype=types, keep_default_na=False)
        return table.set_index([*types]).rename_axis(KEYS).set_axis(names[len(KEYS) :], axis=1).astype(float)
