import numpy as np
import pandas as pd
import pytest

from salt.data import rle
from salt.data.records import open_records
from salt.scores import metric
from stages import score_pseudo_labels
from tests.easy_tiles import easy_tiles
from tests.stages.test_make_pseudo_labels import start

TEST = easy_tiles(6, split="test", seed=1)


def test_every_set_is_scored_for_each_scope_against_the_known_masks(run, sure_predictions):
    table, masks = start(run, sure_predictions)
    truth = (TEST.images > 140).astype("u1")
    texts = [rle.encode(mask) for mask in truth]
    pd.DataFrame({"id": TEST.ids, "rle_mask": texts}).to_csv(run / "truth.csv", index=False)
    both = [f"{run}/masks.npy"] * 2, [f"{run}/labels.csv"] * 2
    score_pseudo_labels.main(
        [
            *("--sets", "sure/fold0", "sure/fold1", "--tiles", f"{run}/tiles", "--masks", *both[0]),
            *("--tables", *both[1], "--true-test-masks", f"{run}/truth.csv", "--out", f"{run}/quality.csv"),
        ]
    )
    found = pd.read_csv(run / "quality.csv")
    columns = ["labels", "predicted", "low", "high", "tiles", "score", "selected", "selected_score"]
    assert found.columns.tolist() == ["set", "scope", *columns]
    assert list(dict.fromkeys(zip(found["set"], found["scope"], strict=True))) == [("sure", "fold0"), ("sure", "fold1")]
    of = found.query("scope == 'fold1' and predicted == 'all'")
    assert of["tiles"].sum() == 6
    assert of["selected"].sum() == table["selected"].sum() == 3
    scores = metric.score(masks["mask"], truth)
    assert np.average(of["score"], weights=of["tiles"]) == pytest.approx(scores.mean(), abs=1e-6)
    chosen = of[of["selected"] > 0]
    mean = np.average(chosen["selected_score"], weights=chosen["selected"])
    assert mean == pytest.approx(scores[table["selected"]].mean(), abs=1e-6)
    assert open_records(run / "masks.npy")["id"].tolist() == TEST.ids
