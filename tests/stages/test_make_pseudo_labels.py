import numpy as np
import pandas as pd

from salt.records import open_records
from stages import make_pseudo_labels
from tests.easy_tiles import easy_tiles


def test_sure_tiles_that_vary_are_selected_with_their_masks(run, sure_predictions):
    make_pseudo_labels.main(
        [
            *("--settings", '{"ensemble": "stage1", "folds": 2, "low": 0.2, "high": 0.7, "min_confidence": 0.9}'),
            *("--tiles", f"{run}/tiles", "--probabilities", str(sure_predictions)),
            *("--masks", f"{run}/masks.npy", "--table", f"{run}/labels.csv"),
        ]
    )
    table = pd.read_csv(run / "labels.csv")
    masks = open_records(run / "masks.npy")
    bright = easy_tiles(6, split="test", seed=1).images > 120
    # The first is constant; the fifth is sure of its salt (0.75) but not of the rest (0.25); it is empty: row 4.
    assert table["selected"].tolist() == [False, True, True, True, False, False]
    assert table["id"].tolist() == masks["id"].tolist()
    assert np.array_equal(masks["mask"][:4], bright[:4])
    assert np.allclose(table["coverage"][:4], bright[:4].mean(axis=(1, 2)), atol=1e-6)
    assert set(table["fold"]) == {-1}
