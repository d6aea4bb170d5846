import json

import numpy as np
import pandas as pd
import pytest

from salt.data import rle
from salt.data.records import create_records, open_records
from salt.scores import metric, verdict
from stages import postprocess, score
from tests.easy_tiles import easy_tiles
from tests.stages.conftest import write_predictions

SETTINGS = '{"postprocess": [{"name": "threshold", "above": 0.5}, {"name": "empty_constant"}]}'
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
        *("--settings", SETTINGS, "--names", "good", "bad", "--tiles", f"{run}/tiles"),
        *("--out-of-fold", f"{run}/good_oof.npy", f"{run}/bad_oof.npy"),
        *("--test", f"{run}/good_test.npy", f"{run}/bad_test.npy"),
        *("--folds", f"{run}/folds.csv", "--mosaics", f"{run}/mosaics.csv"),
        *("--scores", f"{run}/scores.csv", "--threshold-curve", f"{run}/curve.csv"),
        *("--tile-scores", f"{run}/tile_scores.csv", "--differences", f"{run}/differences.csv"),
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


def test_tiles_with_hidden_masks_are_scored_apart_from_the_other_test_tiles(run, options):
    """Of six test tiles, four are of the survey; the other two had labels."""
    pd.read_csv(run / "truth.csv", keep_default_na=False)[:4].to_csv(run / "truth.csv", index=False)
    truth = (TEST.images > 120).astype("u1")
    with create_records(run / "hidden.npy", TEST.ids[4:], {"mask": np.uint8}, *truth.shape[1:]) as records:
        records["mask"] = truth[4:]
    score.main([*options, "--true-test-masks", f"{run}/truth.csv", "--hidden-masks", f"{run}/hidden.npy"])
    scores = pd.read_csv(run / "scores.csv")
    assert scores["labels"].unique().tolist() == ["out_of_fold", "true_test", "hidden"]
    assert scores.groupby("labels")["tiles"].unique().map(list).to_dict() == {
        "out_of_fold": [11],
        "true_test": [4],
        "hidden": [2],
    }
    by_name = scores.groupby(["name", "labels"])["score"].agg(["min", "max"])
    assert by_name.loc[("good", "hidden")].tolist() == [1, 1]
    assert by_name.loc[("bad", "hidden")].tolist() == [0, 0]
    assert set(pd.read_csv(run / "curve.csv")["labels"]) == {"out_of_fold", "true_test", "hidden"}


def with_pairs(*pairs):
    comparisons = [dict(zip(("name", "than", "role"), pair, strict=True)) for pair in pairs]
    return json.dumps(json.loads(SETTINGS) | {"comparisons": comparisons})


def test_scores_of_tiles_are_what_scores_average_and_differences_are_between_these(run, options):
    rng = np.random.default_rng(5)
    noise = np.where(rng.random(TRAIN.masks[1:].shape) < 0.2, 1 - TRAIN.masks[1:], TRAIN.masks[1:])
    order = rng.permutation(11)  # files need not hold the tiles in one order
    write_predictions(run / "bad_oof.npy", [TRAIN.ids[1:][row] for row in order], noise[order].astype(float))
    settings = with_pairs(("good", "bad", "before"), ("good", "bad", "control"))
    score.main([*options, "--settings", settings, "--true-test-masks", f"{run}/truth.csv"])
    tiles = pd.read_csv(run / "tile_scores.csv")
    assert tiles.columns.tolist() == ["labels", "jigsaw", "id", "good", "bad"]
    assert set(tiles.loc[tiles["labels"] == "out_of_fold", "id"]) == set(TRAIN.ids[1:])
    scores = pd.read_csv(run / "scores.csv").query("tta").set_index(["labels", "jigsaw", "name"])["score"]
    for (labels, jigsaw), of in tiles.groupby(["labels", "jigsaw"]):
        for name in ("good", "bad"):
            assert of[name].mean() == pytest.approx(scores[labels, jigsaw, name], abs=1e-6)
    found = pd.read_csv(run / "differences.csv")
    columns = ["labels", "jigsaw", "name", "than", "role", "difference", "low", "high", "tiles"]
    assert found.columns.tolist() == columns
    assert len(found) == 2 * 3 * 2
    for row in found.itertuples():
        expected = scores[row.labels, row.jigsaw, "good"] - scores[row.labels, row.jigsaw, "bad"]
        assert row.difference == pytest.approx(expected, abs=2e-6)
        assert row.low <= row.difference <= row.high


def test_nothing_to_compare_leaves_a_table_without_rows(run, options):
    score.main([*options, "--true-test-masks"])
    assert verdict.load(run / "differences.csv") == []


def test_without_true_masks_the_test_tiles_have_no_scores(run, options):
    score.main([*options, "--true-test-masks", "--hidden-masks"])
    assert set(pd.read_csv(run / "scores.csv")["labels"]) == {"out_of_fold"}


def test_a_score_is_that_of_the_masks_that_postprocess_writes(run, options):
    """On test tiles whose true masks are known: in a mosaic, with specks to remove and holes to fill."""
    rng = np.random.default_rng(3)
    truth = (TEST.images > 120).astype("u1")
    noise = np.where(rng.random(truth.shape) < 0.1, 1 - truth, truth).astype(np.float16)
    write_predictions(run / "good_test.npy", TEST.ids, noise)
    places = [(name, 0, row, 0) for row, name in enumerate((TRAIN.ids[3], *TEST.ids))]
    pd.DataFrame(places, columns=["id", "mosaic", "row", "column"]).to_csv(run / "mosaics.csv", index=False)
    cleaning = [{"name": "remove_components", "smaller_than": 6}, {"name": "fill_holes", "smaller_than": 4}]
    scores = {}
    for chosen in ([], cleaning):
        steps = [{"name": "threshold", "above": 0.5}, {"name": "empty_constant"}, *chosen]
        settings = json.dumps({"postprocess": steps})
        score.main([*options, "--settings", settings, "--true-test-masks", f"{run}/truth.csv"])
        rows = pd.read_csv(run / "scores.csv").query("name == 'good' and labels == 'true_test' and tta")
        for rule in ("none", "published", "extended"):
            scores[len(chosen), rule] = rows.set_index("jigsaw")["score"][rule]
            jigsaw = [] if rule == "none" else [{"name": "jigsaw", "rule": rule}]
            postprocess.main(
                [
                    *("--settings", json.dumps([*steps, *jigsaw]), "--probabilities", f"{run}/good_test.npy"),
                    *("--tiles", f"{run}/tiles", "--mosaics", f"{run}/mosaics.csv"),
                    *("--masks-out", f"{run}/masks.npy", "--changes-out", f"{run}/changes.csv"),
                ]
            )
            masks = open_records(run / "masks.npy")["mask"]
            assert scores[len(chosen), rule] == pytest.approx(metric.score(masks, truth).mean(), abs=1e-6)
    assert len(set(scores.values())) > 2
