import numpy as np
import pandas as pd
import pytest

from salt import metric, scoring
from salt.predictions import FIELDS
from salt.records import create_records, open_records
from tests.easy_tiles import easy_tiles

TILES = easy_tiles(300)  # more than a chunk
IDS = np.array(TILES.ids)
FOLDS = pd.DataFrame({"id": TILES.ids, "fold": np.arange(300) % 3})
NO_MOSAICS = pd.DataFrame({"id": [], "mosaic": [], "row": [], "column": []}, dtype="int64").astype({"id": str})


@pytest.fixture
def predicted(tmp_path):
    """Plain: right in two tiles of three. TTA: right everywhere. In another order than the truth's, without one."""
    rows = np.random.default_rng(0).permutation(300)[:-1]
    with create_records(tmp_path / "p.npy", IDS[rows].tolist(), {name: np.float16 for name in FIELDS}, 32, 32) as out:
        right = TILES.masks[rows]
        out["tta"] = right
        out["plain"] = np.where((rows % 3 == 0)[:, None, None], 1 - right, right)
    return open_records(tmp_path / "p.npy")


def test_scores_are_the_metrics_mean_and_the_folds_spread(predicted):
    truth = scoring.out_of_fold_truth(IDS, TILES.masks, FOLDS, NO_MOSAICS)
    rows = pd.DataFrame(scoring.score(predicted, truth, 0.5))
    assert rows[["tta", "jigsaw"]].to_numpy().tolist() == [[False] * 2, [False, True], [True, False], [True] * 2]
    places = [TILES.ids.index(name) for name in predicted["id"]]
    expected = metric.score((predicted["plain"] > 0.5).astype(np.uint8), TILES.masks[places])
    assert rows["score"].tolist() == pytest.approx([expected.mean()] * 2 + [1, 1])
    by_fold = [expected[FOLDS["fold"].to_numpy()[places] == fold].mean() for fold in range(3)]
    assert rows["sd_folds"].tolist() == pytest.approx([np.std(by_fold)] * 2 + [0, 0])
    assert set(rows["tiles"]) == {299}
    assert set(rows["labels"]) == {"out_of_fold"}


def test_the_threshold_curve_agrees_with_the_score(predicted):
    truth = scoring.out_of_fold_truth(IDS, TILES.masks, FOLDS, NO_MOSAICS)
    curve = scoring.threshold_curve(predicted, truth)
    assert curve.shape == scoring.THRESHOLDS.shape
    assert curve == pytest.approx(1)


def vertical(count):
    """One mosaic column of tiles whose masks are all the same vertical line."""
    masks = np.zeros((count, 32, 32), np.uint8)
    masks[:, :, 10:] = 1
    ids = np.array([f"v{row}" for row in range(count)])
    return ids, masks, pd.DataFrame({"id": ids, "mosaic": 0, "row": np.arange(count), "column": 0})


def wrong(path, ids):
    with create_records(path, ids.tolist(), {name: np.float16 for name in FIELDS}, 32, 32):
        pass  # nowhere salt
    return open_records(path)


def test_out_of_fold_jigsaw_knows_the_other_folds_masks_alone(tmp_path):
    ids, masks, mosaics = vertical(4)
    same_fold = pd.DataFrame({"id": ids, "fold": [0, 0, 0, 0]})
    two_folds = pd.DataFrame({"id": ids, "fold": [1, 0, 0, 0]})
    predicted = wrong(tmp_path / "p.npy", ids)
    for folds, expected in ((same_fold, 0), (two_folds, 3 / 4)):
        truth = scoring.out_of_fold_truth(ids, masks, folds, mosaics)
        rows = pd.DataFrame(scoring.score(predicted, truth, 0.5))
        assert rows.loc[~rows["jigsaw"], "score"].tolist() == [0, 0]
        assert rows.loc[rows["jigsaw"], "score"].tolist() == pytest.approx([expected] * 2)


def test_jigsaw_on_true_test_tiles_knows_all_training_masks(tmp_path):
    ids, masks, mosaics = vertical(4)
    truth = scoring.true_test_truth(ids[1:], masks[1:], ids[:1], masks[:1], mosaics)
    rows = pd.DataFrame(scoring.score(wrong(tmp_path / "p.npy", ids[1:]), truth, 0.5))
    assert rows.loc[rows["jigsaw"], "score"].tolist() == [1, 1]
    assert rows["sd_folds"].isna().all()
    assert set(rows["labels"]) == {"true_test"}
