import json
from pathlib import Path

import hypothesis
import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from salt.data.predictions import FIELDS
from salt.data.records import create_records, open_records
from salt.ensembles import pseudo_labels
from schemas.errors import UserError
from schemas.results import PseudoLabels, PseudoLabelSettings
from tests.easy_tiles import easy_tiles

BY_SIZE = PseudoLabels.model_validate(
    {
        "ensemble": "any",
        "min_confidence": 0.97,
        "per_fold": [
            {"pixels": [0, 0], "count": 3, "every": 2},
            {"pixels": [20, 500], "count": 2, "min_confidence": 0.99},
            {"pixels": [501, 2550], "count": 2},
        ],
    }
)


def test_confidence_is_the_share_of_pixels_outside_low_and_high():
    probabilities = np.array([[[0.1, 0.19, 0.21, 0.5]], [[0.79, 0.81, 0.9, 1.0]]], np.float16)
    assert pseudo_labels.confidence(probabilities, 0.2, 0.8).tolist() == [0.5, 0.75]


def table(count, seed=0):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "id": [f"t{row}" for row in range(count)],
            "confidence": rng.choice([0.5, 0.96, 0.97, 0.98, 0.99, 1.0], count),
            "pixels": rng.choice([0, 10, 20, 500, 501, 2550, 2551], count),
            "constant": rng.random(count) < 0.1,
        }
    )


def test_every_confident_tile_that_varies_is_for_all_folds():
    settings = PseudoLabels(ensemble="any", min_confidence=0.97)
    found = pseudo_labels.select(table(200), settings, folds=5)
    expected = (found["confidence"] >= 0.97) & ~found["constant"]
    assert found["selected"].tolist() == expected.tolist()
    assert set(found["fold"]) == {pseudo_labels.ALL_FOLDS}


def test_empty_masks_may_need_more_confidence():
    settings = PseudoLabels(ensemble="any", min_confidence=0.97, min_confidence_empty=0.99)
    found = pseudo_labels.select(table(200), settings, folds=5)
    least = found["pixels"].map(lambda pixels: 0.97 if pixels else 0.99)
    expected = (found["confidence"] >= least) & ~found["constant"]
    assert 0 < expected[found["pixels"] == 0].sum() < expected.sum()
    assert found["selected"].tolist() == expected.tolist()


@given(st.integers(0, 300), st.integers(2, 5), st.integers(0, 1000))
def test_slices_by_size_are_disjoint_equal_and_within_their_quota(count, folds, seed):
    found = pseudo_labels.select(table(count, seed), BY_SIZE, folds)
    chosen = found[found["selected"]]
    assert set(chosen["fold"]) <= set(range(folds))
    assert not chosen["constant"].any()
    assert (chosen["confidence"] >= 0.97).all()
    assert (chosen.loc[chosen["pixels"].between(20, 500), "confidence"] >= 0.99).all()
    assert set(chosen["pixels"]) <= {0, 20, 500, 501, 2550}
    for low, high, quota in ((0, 0, 3), (20, 500, 2), (501, 2550, 2)):
        sizes = (
            chosen.loc[chosen["pixels"].between(low, high), "fold"].value_counts().reindex(range(folds), fill_value=0)
        )
        assert sizes.nunique() <= 1
        assert sizes.max() <= quota


RAW = yaml.safe_load(Path("workflow_config.yaml").read_text())["pseudo_labels"]["stage1_by_size"]
WINNING = PseudoLabels.model_validate(RAW)
EQUAL = PseudoLabels.model_validate(
    RAW | {"per_fold": [size | {"count": size["count"][0]} for size in RAW["per_fold"]]}
)


def competition(seed):
    """18,000 predicted test tiles, most of them sure; not half of them empty, the others more often small."""
    rng = np.random.default_rng(seed)
    pixels = np.where(rng.random(18000) < 0.45, 0, 101 * 101 * rng.random(18000) ** 2).astype(int)
    confident = rng.choice([0.9, 0.97, 0.99, 1.0], 18000, p=[0.1, 0.3, 0.3, 0.3])
    ids = [f"t{row}" for row in range(18000)]
    return pd.DataFrame({"id": ids, "confidence": confident, "pixels": pixels, "constant": rng.random(18000) < 0.01})


@hypothesis.settings(max_examples=10)
@given(st.integers(0, 1000), st.integers(0, 101 * 101))
def test_at_the_competitions_size_equal_counts_give_each_fold_1580_tiles_of_its_own(seed, scarce):
    tiles = competition(seed)
    found = pseudo_labels.select(tiles, EQUAL, folds=5)
    chosen = found[found["selected"]]
    assert chosen["fold"].value_counts().to_dict() == dict.fromkeys(range(5), 1580)
    for size in EQUAL.per_fold:
        assert set(chosen.loc[chosen["pixels"].between(*size.pixels), "fold"].value_counts()) == {size.count}
    assert chosen["confidence"].min() >= 0.97
    fewer = pseudo_labels.select(tiles.assign(confidence=np.where(tiles["pixels"] > scarce, 0.5, 1)), EQUAL, folds=5)
    assert fewer.loc[fewer["selected"], "fold"].value_counts().nunique() <= 1


@given(
    st.lists(st.integers(1, 9), min_size=2, max_size=6),
    st.booleans(),
    st.integers(0, 60),
)
def test_counts_of_folds_are_filled_from_the_first_on_and_a_rest_takes_what_is_left(counts, rest, tiles):
    given = [*counts[:-1], "rest"] if rest else counts
    settings = PseudoLabels(ensemble="any", per_fold=[{"pixels": [0, 0], "count": given}])
    frame = pd.DataFrame({"id": range(tiles), "confidence": 1.0, "pixels": 0, "constant": False})
    found = pseudo_labels.by_size(frame, settings, len(counts))
    waiting = list(range(tiles))
    for fold, rows in enumerate(found):
        asked = len(waiting) if given[fold] == "rest" else given[fold]
        assert rows.tolist() == waiting[:asked]
        waiting = waiting[asked:]
    assert not (rest and waiting)
    fewer = pseudo_labels.by_size(frame, settings, len(counts) - 1)
    assert [rows.tolist() for rows in fewer] == [rows.tolist() for rows in found[:-1]]


GOLDEN = json.loads(Path("tests/golden/pseudo_labels.json").read_text())


def golden_table(count):
    """The made-up predictions of the golden file, by its formulas."""
    r = np.arange(count, dtype=np.int64)
    a, s = (31 * r * r + 17 * r + 5) % 65521, (57 * r * r + 91 * r + 11) % 32749 - 14400
    sure = 10201 - (a * a * a) // (65521 * 65521 * 110)
    salt = np.where(s < 0, 0, 1 + (10200 * s * (2 * s + 18349)) // (3 * 18349 * 18349))
    sure[:14] = 10201
    salt[:14] = [0, 19, 20, 500, 501, 2550, 2551, 5100, 5101, 7650, 7651, 9180, 9181, 10201]
    sure[14:22] = [9894, 9895, 10098, 10099] * 2
    salt[14:18], salt[18:22] = 100, 3000
    ids = [f"t{row:05}" for row in r]
    frame = pd.DataFrame({"id": ids, "confidence": sure / 10201, "pixels": salt})
    return frame.assign(constant=(r % 41 == 7) & (salt == 0)), sure


@pytest.mark.parametrize("name", GOLDEN["tables"])
def test_the_winning_recipe_gives_each_fold_the_originals_tiles_in_its_order(name):
    golden = GOLDEN["tables"][name]
    frame, sure = golden_table(golden["rows"])
    sums = {"sum_of_sure_pixels": sure.sum(), "sum_of_salt": frame["pixels"].sum(), "constant": frame["constant"].sum()}
    assert sums == golden["checksums"]
    qualified = [pseudo_labels.qualified(frame, size, WINNING.min_confidence) for size in WINNING.per_fold]
    assert [len(rows) for rows in qualified] == golden["class_sizes_after_halving_class_0"]
    found = pseudo_labels.by_size(frame, WINNING, folds=5)
    assert [rows.tolist() for rows in found] == golden["rows_of_each_fold"]
    assert [len(rows) for rows in found] == golden["tiles_of_each_fold"]
    by_class = [[int(np.isin(rows, of_class).sum()) for of_class in qualified] for rows in found]
    assert by_class == golden["tiles_of_each_fold_by_class"]
    selected = pseudo_labels.select(frame, WINNING, folds=5)
    for fold, rows in enumerate(golden["rows_of_each_fold"]):
        assert selected.index[selected["selected"] & (selected["fold"] == fold)].tolist() == sorted(rows)


def test_the_places_in_each_class_are_the_originals():
    places = GOLDEN["rule_in_numbers"]["places_in_each_class_by_fold"]
    for number, size in enumerate(WINNING.per_fold):
        first = 0
        for fold, length in enumerate(size.sizes(10_000, 5)):
            last = f"{first}-{first + length - 1}" if fold < 4 else f"from {first}"
            assert places[f"fold {fold}"][number] == last
            first += length


def test_in_the_scope_of_a_fold_it_alone_gets_its_slice():
    tiles = table(300)
    shared = pseudo_labels.select(tiles, BY_SIZE, folds=3)
    for fold in range(3):
        own = pseudo_labels.select(tiles, BY_SIZE, folds=3, fold=fold)
        assert own["selected"].tolist() == (shared["selected"] & (shared["fold"] == fold)).tolist()
        assert own["selected"].any()
        assert set(own["fold"]) == {fold}


def test_in_the_scope_of_a_fold_every_confident_tile_is_for_it_alone():
    settings = PseudoLabels(ensemble="any", min_confidence=0.97)
    own = pseudo_labels.select(table(200), settings, folds=5, fold=2)
    assert own["selected"].equals(pseudo_labels.select(table(200), settings, folds=5)["selected"])
    assert set(own["fold"]) == {2}


def predictions(path, ids, probabilities):
    """Records of predictions, of which only those with mirror images make pseudo-labels."""
    with create_records(path, ids, dict.fromkeys(FIELDS, np.float16), *probabilities.shape[1:]) as records:
        records["tta"] = probabilities
    return open_records(path)


IDS = [f"{number:04d}" for number in range(600)]  # more than a chunk


def test_masks_and_confidence_are_of_the_weighted_mean_of_the_predictions(tmp_path):
    rng = np.random.default_rng(0)
    settings = PseudoLabelSettings(ensemble="any", folds=5, fold=1, weights=(3, 1), low=0.3, high=0.6)
    first, second = (rng.random((600, 6, 5)).astype(np.float16) for _ in range(2))
    members = [predictions(tmp_path / f"{n}.npy", IDS, p) for n, p in enumerate((first, second))]
    found = pseudo_labels.write_masks(members, settings, tmp_path / "masks.npy")
    mean = 0.75 * first.astype(float) + 0.25 * second.astype(float)
    masks = open_records(tmp_path / "masks.npy")
    assert masks["id"].tolist() == found["id"].tolist() == IDS
    assert np.array_equal(masks["mask"], mean > 0.5)
    assert np.allclose(found["confidence"], ((mean < 0.3) | (mean > 0.6)).mean(axis=(1, 2)))
    assert found["pixels"].tolist() == (mean > 0.5).sum(axis=(1, 2)).tolist()
    assert np.allclose(found["coverage"], (mean > 0.5).mean(axis=(1, 2)))


def test_soft_masks_are_probabilities_beside_the_hard_masks(tmp_path):
    given = {"ensemble": "any", "folds": 2, "weights": (3, 1)}
    rng = np.random.default_rng(0)
    members = [predictions(tmp_path / f"{n}.npy", IDS, rng.random((600, 6, 5)).astype(np.float16)) for n in range(2)]
    tables, records = {}, {}
    for kind in ("hard", "soft"):
        settings = PseudoLabelSettings(**given, masks=kind)
        tables[kind] = pseudo_labels.write_masks(members, settings, tmp_path / f"{kind}.npy")
        records[kind] = open_records(tmp_path / f"{kind}.npy")
    assert tables["soft"].equals(tables["hard"])
    assert np.array_equal(records["soft"]["mask"], records["hard"]["mask"])
    assert records["hard"].dtype.names == ("id", "mask")
    mean = 0.75 * members[0]["tta"].astype(float) + 0.25 * members[1]["tta"].astype(float)
    assert np.abs(records["soft"]["probability"] / 255 - mean).max() <= 0.5 / 255 + 1e-6
    assert np.array_equal(records["soft"]["probability"] > 127, records["soft"]["mask"])


def test_predictions_of_other_tiles_are_refused(tmp_path):
    settings = PseudoLabelSettings(ensemble="any", folds=2, weights=(1, 1))
    members = [
        predictions(tmp_path / f"{n}.npy", ids, np.zeros((3, 2, 2))) for n, ids in enumerate((IDS[:3], IDS[1:4]))
    ]
    with pytest.raises(ValueError, match="must hold the same tiles in the same order"):
        pseudo_labels.write_masks(members, settings, tmp_path / "masks.npy")


def test_every_second_one_is_taken_where_the_config_says_so():
    tiles = table(8).assign(confidence=1.0, pixels=0, constant=False)
    found = pseudo_labels.qualified(tiles, BY_SIZE.per_fold[0], 0.97)
    assert found.tolist() == [0, 2, 4, 6]


@pytest.fixture
def written(tmp_path):
    test = easy_tiles(4, split="test")
    masks, labels = tmp_path / "masks.npy", tmp_path / "pseudo_labels.csv"
    with create_records(masks, test.ids, {"mask": np.uint8}, 32, 32) as records:
        records["mask"] = np.arange(4)[:, None, None] % 2
    frame = pd.DataFrame({"id": test.ids, "confidence": 0.5, "selected": [False, True, True, True]})
    frame.assign(fold=[-1, 0, 1, -1]).to_csv(labels, index=False)
    return masks, labels, test


def test_a_fold_gets_its_own_pseudo_labels_and_those_for_all(written):
    assert pseudo_labels.load(*written).ids == ["test001", "test002", "test003"]
    assert pseudo_labels.load(*written, fold=1).ids == ["test002", "test003"]
    assert pseudo_labels.load(*written, fold=0).arrays[1].max(axis=(1, 2)).tolist() == [1, 1]


def test_soft_masks_are_what_a_training_learns_where_there_are_any(written):
    masks, labels, test = written
    with create_records(masks, test.ids, {"mask": np.uint8, "probability": np.uint8}, 32, 32) as records:
        records["probability"] = 50 * np.arange(4)[:, None, None]
    tiles = pseudo_labels.load(masks, labels, test, fold=1)
    assert tiles.soft
    assert tiles.masks.max(axis=(1, 2)).tolist() == [100, 150]


def test_confident_tiles_weigh_more_if_the_config_says_so():
    tiles = table(50)
    by_confidence = PseudoLabels.model_validate({"ensemble": "any", "weight": {"name": "confidence", "power": 2}})
    assert pseudo_labels.weigh(tiles, by_confidence)["weight"].tolist() == [c**2 for c in tiles["confidence"]]
    assert pseudo_labels.weigh(tiles, PseudoLabels(ensemble="any")) is tiles


def test_weights_reach_a_training(written):
    masks, labels, test = written
    assert pseudo_labels.load(*written).weights is None
    pd.read_csv(labels).assign(weight=[0.1, 0.2, 0.3, 0.4]).to_csv(labels, index=False)
    assert pseudo_labels.load(masks, labels, test, fold=1).weights.tolist() == pytest.approx([0.3, 0.4])


def test_no_pseudo_labels_at_all_are_an_error_with_a_remedy(written):
    masks, labels, test = written
    pd.read_csv(labels).assign(selected=False).to_csv(labels, index=False)
    with pytest.raises(UserError, match="none selected of 4 tiles. Lower"):
        pseudo_labels.load(masks, labels, test)
