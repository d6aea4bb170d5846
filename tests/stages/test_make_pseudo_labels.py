import json

import numpy as np
import pandas as pd

from salt.data.records import open_records
from stages import make_pseudo_labels
from tests.easy_tiles import easy_tiles
from tests.stages.conftest import write_predictions


def start(run, *predictions, **more):
    settings = {"ensemble": "stage1", "folds": 2, "weights": [1], "low": 0.2, "high": 0.7, "min_confidence": 0.9} | more
    make_pseudo_labels.main(
        [
            *("--settings", json.dumps(settings), "--tiles", f"{run}/tiles"),
            *("--probabilities", *map(str, predictions)),
            *("--masks", f"{run}/masks.npy", "--table", f"{run}/labels.csv"),
        ]
    )
    return pd.read_csv(run / "labels.csv"), open_records(run / "masks.npy")


def test_sure_tiles_that_vary_are_selected_with_their_masks(run, sure_predictions):
    table, masks = start(run, sure_predictions)
    bright = easy_tiles(6, split="test", seed=1).images > 120
    # The first is constant; the fifth is sure of its salt (0.75) but not of the rest (0.25); it is empty: row 4.
    assert table["selected"].tolist() == [False, True, True, True, False, False]
    assert table["id"].tolist() == masks["id"].tolist()
    assert np.array_equal(masks["mask"][:4], bright[:4])
    assert np.allclose(table["coverage"][:4], bright[:4].mean(axis=(1, 2)), atol=1e-6)
    assert set(table["fold"]) == {-1}


def test_the_table_has_weights_only_if_they_differ(run, sure_predictions):
    assert start(run, sure_predictions)[0].columns.tolist() == ["id", "confidence", "coverage", "selected", "fold"]
    table, _ = start(run, sure_predictions, weight={"name": "confidence"})
    assert table["weight"].equals(table["confidence"])


def test_a_fold_learns_from_the_weighted_mean_of_its_models(run, sure_predictions):
    test = easy_tiles(6, split="test", seed=1)
    write_predictions(run / "other.npy", test.ids, np.full(test.images.shape, 0.5))
    table, masks = start(run, sure_predictions, run / "other.npy", scope="fold", fold=1, weights=[3, 1])
    # The second to fourth tile are at 0.125 and 0.875, the fifth at 0.31 and 0.69: where it was 0.25 and 0.75.
    assert table["selected"].tolist() == [False, True, True, True, False, False]
    assert table["confidence"].tolist()[1:] == [1, 1, 1, 0, 0]
    assert np.array_equal(masks["mask"][:5], test.images[:5] > 120)
    assert set(table["fold"]) == {1}
