"""The report's table of how good pseudo-labels are where the true masks are known."""

from typing import Any

import pandas as pd

from salt.data.tables import read_table
from salt.runtime.paths import Run
from salt.scores.pseudo_label_scores import PREDICTED
from schemas.config import Config

Row = dict[str, float]


def about(config: Config, run: Run) -> dict[str, Any]:
    """What report/pseudo_label_quality.html shows; nothing if no true mask is known.

    quality: for each set and kind of labels, the numbers of each kind of mask by class of confidence; (0, 1) is all
    classes together, and the scopes of a set are counted together
    """
    if not config.scores_pseudo_labels:
        return {"quality": {}}
    table = read_table(run.pseudo_label_scores, columns=["set", "labels", "low", "high", "predicted"])
    found = {}
    for name in config.pseudo_labels:
        for labels, of in table[table["set"] == name].groupby("labels"):
            classes = {(low, high): by_mask(part) for (low, high), part in of.groupby(["low", "high"])}
            found[name, labels] = classes | {(0, 1): by_mask(of)}
    return {"quality": found}


def by_mask(table: pd.DataFrame) -> dict[str, Row]:
    """Tiles, their mean score, how many are selected, and the mean score of these, for each kind of mask."""
    return {predicted: together(table[table["predicted"] == predicted]) for predicted in PREDICTED}


def together(table: pd.DataFrame) -> Row:
    """The numbers of several rows of pseudo_label_scores.csv taken together; scores are NaN without tiles."""
    tiles, selected = int(table["tiles"].sum()), int(table["selected"].sum())
    score = (table["score"] * table["tiles"]).sum()
    of_selected = (table["selected_score"].fillna(0) * table["selected"]).sum()
    return {
        "tiles": tiles,
        "score": score / tiles if tiles else float("nan"),
        "selected": selected,
        "selected_score": of_selected / selected if selected else float("nan"),
    }
