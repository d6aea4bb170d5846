"""How good pseudo-labels are where the true masks are known, by confidence and by whether the mask is empty."""

import numpy as np
import pandas as pd

from salt.data.records import Records, chunks
from salt.data.tiles import rows_of
from salt.scores import metric
from salt.scores.known_masks import KnownMasks

EDGES = (0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 1)  # of the classes of confidence; each but the last without its upper
PREDICTED = ("empty", "salt", "all")
COLUMNS = ["labels", "predicted", "low", "high", "tiles", "score", "selected", "selected_score"]


def table(pseudo_masks: Records, labels: pd.DataFrame, known: KnownMasks) -> pd.DataFrame:
    """Scores of a set's masks, a row for each kind of mask (PREDICTED) and class of confidence that has tiles.

    pseudo_masks: records (id, mask) of test tiles; labels: pseudo_labels.csv: id, confidence, coverage, selected
    Columns: COLUMNS. low and high are the confidences of the class; score is the mean over all its tiles with known
    masks, selected the number of those that are pseudo-labels, selected_score their mean score (NaN if none is).
    """
    scores = pd.Series(_scores(pseudo_masks, known), known.ids)
    tiles = labels.set_index("id").loc[known.ids.tolist()].assign(score=scores)
    tiles["class"] = np.searchsorted(EDGES[1:-1], tiles["confidence"], side="right")
    empty, rows = tiles["coverage"] == 0, []
    for predicted, part in zip(PREDICTED, (tiles[empty], tiles[~empty], tiles), strict=True):
        for number, of in part.groupby("class"):
            chosen, (low, high) = of[of["selected"]], EDGES[int(number) : int(number) + 2]
            means = of["score"].mean(), len(chosen), chosen["score"].mean()
            rows.append((known.labels, predicted, low, high, len(of), *means))
    return pd.DataFrame(rows, columns=COLUMNS)


def _scores(pseudo_masks: Records, known: KnownMasks) -> np.ndarray:
    """Score of each tile with a known mask, (n,)."""
    places, scores = rows_of(pseudo_masks["id"].tolist(), known.ids.tolist()), np.zeros(len(known.ids))
    for rows in chunks(len(places)):
        scores[rows] = metric.score(pseudo_masks["mask"][places[rows]], known.masks[rows])
    return scores
