import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from salt.data.predictions import FIELDS
from salt.data.records import create_records, open_records
from salt.postprocess.jigsaw import find_changes
from salt.scores import metric, scoring
from schemas.postprocess import EmptyConstant, FillHoles, Postprocess, RemoveComponents, Threshold
from tests.easy_tiles import easy_tiles

RULES = ("none", "published", "extended")
TILES = easy_tiles(300)  # more than a chunk
IDS = np.array(TILES.ids)
FOLDS = pd.DataFrame({"id": TILES.ids, "fold": np.arange(300) % 3})
VARIED = np.zeros(300, bool)  # no tile is constant
STEPS = Postprocess((Threshold(), EmptyConstant()))
NO_MOSAICS = pd.DataFrame({"id": [], "mosaic": [], "row": [], "column": []}, dtype="int64").astype({"id": str})


@pytest.fixture
def predicted(tmp_path):
    """Plain: right in two of three tiles. TTA: right everywhere. One tile is missing; the order is not the truth's."""
    rows = np.random.default_rng(0).permutation(300)[:-1]
    with create_records(tmp_path / "p.npy", IDS[rows].tolist(), {name: np.float16 for name in FIELDS}, 32, 32) as out:
        right = TILES.masks[rows]
        out["tta"] = right
        out["plain"] = np.where((rows % 3 == 0)[:, None, None], 1 - right, right)
    return open_records(tmp_path / "p.npy")


def summaries(predicted, truth, postprocess):
    """The rows of scores.csv of a prediction."""
    return [scoring.summary(each, truth) for each in scoring.score(predicted, truth, postprocess, RULES)]


def test_scores_are_the_metrics_mean_and_the_folds_spread(predicted):
    truth = scoring.out_of_fold_truth(IDS, TILES.masks, VARIED, FOLDS, NO_MOSAICS)
    rows = pd.DataFrame(summaries(predicted, truth, STEPS))
    assert rows[["tta", "jigsaw"]].to_numpy().tolist() == [[tta, rule] for tta in (False, True) for rule in RULES]
    places = [TILES.ids.index(name) for name in predicted["id"]]
    expected = metric.score((predicted["plain"] > 0.5).astype(np.uint8), TILES.masks[places])
    assert rows["score"].tolist() == pytest.approx([expected.mean()] * 3 + [1] * 3)
    by_fold = [expected[FOLDS["fold"].to_numpy()[places] == fold].mean() for fold in range(3)]
    assert rows["sd_folds"].tolist() == pytest.approx([np.std(by_fold)] * 3 + [0] * 3)
    assert set(rows["tiles"]) == {299}
    assert set(rows["labels"]) == {"out_of_fold"}


def test_the_scores_of_tiles_are_those_with_mirror_images_that_the_summary_averages(predicted):
    truth = scoring.out_of_fold_truth(IDS, TILES.masks, VARIED, FOLDS, NO_MOSAICS)
    scored = scoring.score(predicted, truth, STEPS, RULES)
    by_tile = scoring.by_tile(scored, truth.labels)
    assert by_tile.index.names == ["labels", "jigsaw", "id"]
    assert set(by_tile.index.get_level_values("labels")) == {"out_of_fold"}
    for rule in RULES:
        tiles = by_tile[by_tile.index.get_level_values("jigsaw") == rule]
        assert tiles.index.get_level_values("id").tolist() == predicted["id"].tolist()
        row = next(each for each in scored if each.tta and each.jigsaw == rule)
        assert tiles.mean() == pytest.approx(scoring.summary(row, truth)["score"])


def test_the_threshold_curve_agrees_with_the_score(predicted):
    truth = scoring.out_of_fold_truth(IDS, TILES.masks, VARIED, FOLDS, NO_MOSAICS)
    curve = scoring.threshold_curve(predicted, truth)
    assert curve.shape == scoring.THRESHOLDS.shape
    assert curve == pytest.approx(1)


def test_the_threshold_curve_is_of_the_threshold_alone_and_scores_are_of_all_steps(tmp_path):
    with create_records(tmp_path / "p.npy", ["a"], dict.fromkeys(FIELDS, np.float16), 32, 32) as out:
        for name in FIELDS:
            out[name][:, 4:20, 4:20] = 1
            out[name][:, 6, 6] = 0  # a hole, and a speck
            out[name][:, 30, 30] = 1
    predicted, truth = open_records(tmp_path / "p.npy"), np.zeros((1, 32, 32), np.uint8)
    truth[:, 4:20, 4:20] = 1
    folds = pd.DataFrame({"id": ["a"], "fold": [0]})
    known = scoring.out_of_fold_truth(np.array(["a"]), truth, VARIED[:1], folds, NO_MOSAICS)
    cleaning = (FillHoles(smaller_than=2), RemoveComponents(smaller_than=2))
    masks = summaries(predicted, known, Postprocess((Threshold(), *cleaning)))
    assert [row["score"] for row in masks] == [1] * 6
    truth[:, 6, 6], truth[:, 30, 30] = 0, 1
    assert scoring.threshold_curve(predicted, known) == pytest.approx(1)
    constant = scoring.out_of_fold_truth(np.array(["a"]), truth, ~VARIED[:1], folds, NO_MOSAICS)
    assert [row["score"] for row in summaries(predicted, constant, STEPS)] == [0] * 6


def vertical(count):
    """One mosaic column of tiles whose masks are all the same vertical line."""
    masks = np.zeros((count, 32, 32), np.uint8)
    masks[:, :, 10:] = 1
    ids = np.array([f"v{row}" for row in range(count)])
    return ids, masks, pd.DataFrame({"id": ids, "mosaic": 0, "row": np.arange(count), "column": 0})


def wrong(path, ids):
    with create_records(path, ids.tolist(), {name: np.float16 for name in FIELDS}, 32, 32):
        pass  # no salt anywhere
    return open_records(path)


def test_the_labels_are_hidden_in_five_equal_parts_whatever_their_order():
    parts = scoring.random_parts(TILES.ids)
    assert sorted(name for part in parts for name in part) == sorted(TILES.ids)
    assert [len(part) for part in parts] == [60] * 5
    assert scoring.random_parts(TILES.ids[::-1]) == parts
    assert [len(part) for part in scoring.random_parts(TILES.ids[:7])] == [2, 2, 1, 1, 1]


def test_out_of_fold_a_rule_knows_the_masks_that_are_not_hidden_whatever_the_folds(tmp_path):
    ids, masks, mosaics = vertical(30)
    folds = pd.DataFrame({"id": ids, "fold": 0})  # a mosaic in one fold
    truth = scoring.out_of_fold_truth(ids, masks, VARIED[: len(ids)], folds, mosaics)
    for view in truth.views:
        assert set(view.known) | view.hidden == set(ids)
        assert not view.known.keys() & view.hidden
    rows = pd.DataFrame(summaries(wrong(tmp_path / "p.npy", ids), truth, STEPS)).set_index("jigsaw")
    assert rows.loc["none", "score"].tolist() == [0, 0]
    hidden_with_the_first = next(part for part in scoring.random_parts(ids.tolist()) if "v0" in part)
    before_any_known = next(row for row in range(30) if f"v{row}" not in hidden_with_the_first)
    assert rows.loc["published", "score"].tolist() == pytest.approx([1 - before_any_known / 30] * 2)


@st.composite
def columns_of_tiles(draw):
    """Masks (n, 32, 32) of tiles in one column: straight, bent, empty; and predictions, some of them empty."""
    count = draw(st.integers(2, 12))
    kinds = draw(st.lists(st.sampled_from(["straight", "bent", "empty"]), min_size=count, max_size=count))
    masks = np.zeros((count, 32, 32), np.uint8)
    for mask, kind in zip(masks, kinds, strict=True):
        start = draw(st.integers(1, 31))
        mask[0 if kind == "straight" else 30 :, start:] = kind != "empty"
    return masks, np.array(draw(st.lists(st.booleans(), min_size=count, max_size=count)))


@settings(max_examples=30)
@given(columns_of_tiles(), st.integers(0, 4))
def test_no_rule_sees_a_hidden_mask(tiles, part):
    masks, empty = tiles
    ids, _, mosaics = vertical(len(masks))
    folds = pd.DataFrame({"id": ids, "fold": 0})
    hidden = scoring.random_parts(ids.tolist())[part]
    other = np.where(np.isin(ids, list(hidden))[:, None, None], 1 - masks, masks)
    for rule in RULES:
        changed = []
        for each in (masks, other):
            truth = scoring.out_of_fold_truth(ids, each, VARIED[: len(ids)], folds, mosaics)
            changes = scoring.changes_in_view(rule, truth, set(ids), set(ids[empty]))
            changed.append({name: (change.source, change.mask.tolist()) for name, change in changes.items()})
        assert [changed[0].get(name) for name in hidden] == [changed[1].get(name) for name in hidden]


def test_the_rules_do_not_use_masks_of_constant_tiles():
    ids, masks, mosaics = vertical(10)
    constant = np.arange(10) < 5
    truth = scoring.out_of_fold_truth(ids, masks, constant, pd.DataFrame({"id": ids, "fold": 0}), mosaics)
    assert set().union(*(view.known for view in truth.views)) == set(ids[5:].tolist())
    assert set().union(*(view.hidden for view in truth.views)) == set(ids.tolist())


@settings(max_examples=30)
@given(columns_of_tiles())
def test_scores_under_a_rule_are_those_of_the_repainted_masks(tmp_path_factory, tiles):
    masks, empty = tiles
    ids, _, mosaics = vertical(len(masks))
    guess = np.where(empty[:, None, None], 0, np.arange(32) > 15).astype(np.uint8) * np.ones((32, 1), np.uint8)
    path = tmp_path_factory.mktemp("predictions") / "p.npy"
    with create_records(path, ids.tolist(), {name: np.float16 for name in FIELDS}, 32, 32) as out:
        out["plain"] = out["tta"] = guess
    folds = pd.DataFrame({"id": ids, "fold": 0})
    truth = scoring.out_of_fold_truth(ids, masks, VARIED[: len(ids)], folds, mosaics)
    for row in summaries(open_records(path), truth, STEPS):
        painted, reached = guess.copy(), []
        for hidden in scoring.random_parts(ids.tolist()):
            known = {name: mask for name, mask in zip(ids, masks, strict=True) if name not in hidden}
            for change in find_changes(row["jigsaw"], mosaics, known, hidden, set(ids[empty])):
                reached.append(ids.tolist().index(change.id))
                painted[reached[-1]] = change.mask
        assert row["score"] == pytest.approx(metric.score(painted, masks).mean())
        assert row["reached"] == len(reached)
        for column, made in (("reached_before", guess), ("reached_after", painted)):
            expected = metric.score(made[reached], masks[reached]).mean() if reached else np.nan
            assert row[column] == pytest.approx(expected, nan_ok=True)


def test_jigsaw_on_true_test_tiles_knows_all_training_masks(tmp_path):
    ids, masks, mosaics = vertical(4)
    truth = scoring.test_truth("true_test", ids[1:], masks[1:], VARIED[:3], {ids[0]: masks[0]}, mosaics)
    rows = pd.DataFrame(summaries(wrong(tmp_path / "p.npy", ids[1:]), truth, STEPS))
    assert rows["score"].tolist() == [0, 1, 1] * 2
    assert rows["reached"].tolist() == [0, 3, 3] * 2
    assert rows["reached_after"].tolist() == pytest.approx([np.nan, 1, 1] * 2, nan_ok=True)
    assert rows["sd_folds"].isna().all()
    assert set(rows["labels"]) == {"true_test"}


def test_the_truth_of_some_test_tiles_scores_these_as_if_there_were_no_others(predicted):
    """In more than one chunk, in another order than the predictions."""
    ids = predicted["id"][::-1][20:]
    places = [TILES.ids.index(name) for name in ids]
    truth = scoring.test_truth("hidden", ids, TILES.masks[places], VARIED[: len(ids)], {}, NO_MOSAICS)
    rows = pd.DataFrame(summaries(predicted, truth, STEPS))
    plain = predicted["plain"][[predicted["id"].tolist().index(name) for name in ids]]
    expected = metric.score((plain > 0.5).astype(np.uint8), TILES.masks[places])
    assert rows["score"].tolist() == pytest.approx([expected.mean()] * 3 + [1] * 3)
    assert set(rows["tiles"]) == {279}
    assert set(rows["labels"]) == {"hidden"}
    assert scoring.threshold_curve(predicted, truth) == pytest.approx(1)


def test_a_test_tile_without_a_prediction_is_refused(predicted):
    (missing,) = set(TILES.ids) - set(predicted["id"])
    truth = scoring.test_truth("hidden", IDS, TILES.masks, VARIED, {}, NO_MOSAICS)
    with pytest.raises(KeyError, match=missing):
        scoring.score(predicted, truth, STEPS, RULES)


def test_the_rules_change_a_tile_with_a_hidden_mask_as_any_other_test_tile(tmp_path):
    ids, masks, mosaics = vertical(6)
    labelled, predicted = {ids[0]: masks[0]}, wrong(tmp_path / "p.npy", ids[1:])
    truths = {
        labels: scoring.test_truth(labels, ids[first:], masks[first:], VARIED[first:6], labelled, mosaics)
        for labels, first in (("true_test", 1), ("hidden", 4))
    }
    changes = {
        labels: scoring.changes_in_view("published", truth, set(predicted["id"].tolist()), set())
        for labels, truth in truths.items()
    }
    assert set(changes["true_test"]) == set(ids[1:])
    assert set(changes["hidden"]) == set(ids[4:])
    for name, change in changes["hidden"].items():
        assert change.source == changes["true_test"][name].source == ids[0]
        np.testing.assert_array_equal(change.mask, changes["true_test"][name].mask)
