import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from salt import pseudo_labels
from salt.program import UserError
from salt.records import create_records
from schemas.config import PseudoLabels
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
            "salt": rng.choice([0, 10, 20, 500, 501, 2550, 2551], count),
            "constant": rng.random(count) < 0.1,
        }
    )


def test_every_confident_tile_that_varies_is_for_all_folds():
    settings = PseudoLabels(ensemble="any", min_confidence=0.97)
    found = pseudo_labels.select(table(200), settings, folds=5)
    expected = (found["confidence"] >= 0.97) & ~found["constant"]
    assert found["selected"].tolist() == expected.tolist()
    assert set(found["fold"]) == {pseudo_labels.ALL_FOLDS}


@given(st.integers(0, 300), st.integers(2, 5), st.integers(0, 1000))
def test_slices_by_size_are_disjoint_equal_and_within_their_quota(count, folds, seed):
    found = pseudo_labels.select(table(count, seed), BY_SIZE, folds)
    chosen = found[found["selected"]]
    assert set(chosen["fold"]) <= set(range(folds))
    assert not chosen["constant"].any()
    assert (chosen["confidence"] >= 0.97).all()
    assert (chosen.loc[chosen["salt"].between(20, 500), "confidence"] >= 0.99).all()
    assert set(chosen["salt"]) <= {0, 20, 500, 501, 2550}
    for low, high, quota in ((0, 0, 3), (20, 500, 2), (501, 2550, 2)):
        sizes = chosen.loc[chosen["salt"].between(low, high), "fold"].value_counts().reindex(range(folds), fill_value=0)
        assert sizes.nunique() <= 1
        assert sizes.max() <= quota


def test_every_second_one_is_taken_where_the_config_says_so():
    tiles = table(8).assign(confidence=1.0, salt=0, constant=False)
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


def test_no_pseudo_labels_at_all_are_an_error_with_a_remedy(written):
    masks, labels, test = written
    pd.read_csv(labels).assign(selected=False).to_csv(labels, index=False)
    with pytest.raises(UserError, match="none selected of 4 tiles. Lower"):
        pseudo_labels.load(masks, labels, test)
