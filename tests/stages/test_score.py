import pandas as pd
import pytest

from salt.data import rle
from stages import score
from tests.easy_tiles import easy_tiles
from tests.stages.conftest import write_predictions

TRAIN, TEST = easy_tiles(12), easy_tiles(6, split="test", seed=1)


@pytest.fixture
def options(run):
    labelled, truth = TRAIN.masks, (TEST.images > 120).astype("u1")
    for name, wrong in (("good", 0), ("bad", 1)):
        write_predictions(run / f"{name}_oof.npy", TRAIN.ids[1:], abs(labelled[1:] - float(wrong)))
        write_predictions(run / f"{name}_test.npy", TEST.ids, abs(truth - float(wrong)))
    texts = [rle.encode(mask) for mask in truth]
    pd.DataFrame({"id": TEST.ids, "rle_mask": texts}).to_csv(run / "truth.csv", index=False)
    return [
        *("--settings", '{"threshold": 0.5}', "--names", "good", "bad", "--tiles", f"{run}/tiles"),
        *("--out-of-fold", f"{run}/good_oof.npy", f"{run}/bad_oof.npy"),
        *("--test", f"{run}/good_test.npy", f"{run}/bad_test.npy"),
        *("--folds", f"{run}/folds.csv", "--mosaics", f"{run}/mosaics.csv"),
        *("--scores", f"{run}/scores.csv", "--threshold-curve", f"{run}/curve.csv"),
    ]


def test_every_name_has_a_score_with_and_without_tta_and_jigsaw_on_all_labels(run, options):
    score.main([*options, "--true-test-masks", f"{run}/truth.csv"])
    scores = pd.read_csv(run / "scores.csv")
    counts = ["tiles", "reached", "reached_before", "reached_after"]
    assert scores.columns.tolist() == ["name", "labels", "tta", "jigsaw", "score", "sd_folds", *counts]
    assert len(scores) == len(scores.drop_duplicates(["name", "labels", "tta", "jigsaw"])) == 2 * 2 * 2 * 3
    assert set(scores["jigsaw"]) == {"none", "published", "extended"}
    by_name = scores.groupby(["name", "labels"])["score"].agg(["min", "max"])
    assert by_name.loc[("good", "out_of_fold")].tolist() == [1, 1]
    assert by_name.loc[("good", "true_test")].tolist() == [1, 1]
    assert by_name.loc[("bad", "out_of_fold")].tolist() == [0, 0]
    curve = pd.read_csv(run / "curve.csv")
    assert curve.groupby(["name", "labels"]).size().tolist() == [49] * 4


def test_without_true_masks_the_test_tiles_have_no_scores(run, options):
    score.main([*options, "--true-test-masks"])
    assert set(pd.read_csv(run / "scores.csv")["labels"]) == {"out_of_fold"}
