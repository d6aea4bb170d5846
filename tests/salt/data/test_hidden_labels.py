import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from salt.data import hidden_labels
from salt.data.records import open_records
from salt.data.tiles import Tiles
from schemas.data import HideLabels
from schemas.errors import UserError
from tests.easy_tiles import easy_tiles

IDS = st.sets(st.text("ab01._-", min_size=1, max_size=6), min_size=1, max_size=60)
SHARES = st.floats(0, 1, exclude_min=True, exclude_max=True)
SEEDS = st.integers(0, 2**63)


@given(IDS, SHARES, SEEDS, st.randoms(use_true_random=False))
def test_the_choice_is_a_function_of_the_set_of_ids_the_share_and_the_seed(ids, share, seed, random):
    settings = HideLabels(share=share, seed=seed)
    shuffled = random.sample(sorted(ids), len(ids))
    chosen = hidden_labels.choose(shuffled, settings)
    assert chosen == hidden_labels.choose(sorted(ids), settings)
    assert chosen <= ids
    assert len(chosen) == settings.count(len(ids)) == round(share * len(ids))


def test_another_seed_hides_other_labels_and_a_larger_share_hides_more_of_the_same():
    ids = [f"t{number}" for number in range(100)]

    def chosen(share, seed):
        return hidden_labels.choose(ids, HideLabels(share=share, seed=seed))

    assert chosen(0.3, 0) != chosen(0.3, 1)
    assert chosen(0.2, 0) < chosen(0.3, 0)


TRAIN, TEST = easy_tiles(24), easy_tiles(6, split="test", seed=1)


@given(st.floats(0.1, 0.8), SEEDS)
def test_no_tile_is_lost_and_each_keeps_its_image_and_its_depth(share, seed):
    labelled, test, hidden = hidden_labels.hide(TRAIN, TEST, HideLabels(share=share, seed=seed))
    assert len(hidden) == round(share * 24)
    assert sorted(labelled.ids + hidden.ids) == TRAIN.ids
    assert test.ids == TEST.ids + hidden.ids
    for moved in (labelled, hidden):
        rows = [TRAIN.ids.index(name) for name in moved.ids]
        assert rows == sorted(rows)
        np.testing.assert_array_equal(moved.images, TRAIN.images[rows])
        np.testing.assert_array_equal(moved.masks, TRAIN.masks[rows])
        pd.testing.assert_frame_equal(moved.table, TRAIN.table.iloc[rows].reset_index(drop=True))
    np.testing.assert_array_equal(test.images, np.concatenate([TEST.images, hidden.images]))
    assert test.table["z"].tolist() == TEST.table["z"].tolist() + hidden.table["z"].tolist()


@given(SEEDS)
def test_no_tile_in_use_depends_on_the_hidden_masks(seed):
    settings = HideLabels(share=0.5, seed=seed)
    chosen = TRAIN.table["id"].isin(hidden_labels.choose(TRAIN.ids, settings)).to_numpy()
    masks = np.where(chosen[:, None, None], 1 - TRAIN.masks, TRAIN.masks)
    table = TRAIN.table.assign(coverage=masks.mean(axis=(1, 2)))
    (labelled, test, _), (other_labelled, other, _) = (
        hidden_labels.hide(train, TEST, settings) for train in (TRAIN, Tiles(table, TRAIN.images, masks))
    )
    assert test.masks is None
    assert set(test.table["split"]) == {"test"}
    assert test.table["coverage"].isna().all()
    pd.testing.assert_frame_equal(test.table, other.table)
    pd.testing.assert_frame_equal(labelled.table, other_labelled.table)
    np.testing.assert_array_equal(labelled.masks, other_labelled.masks)


def test_the_hidden_masks_are_kept_with_their_ids(tmp_path):
    _, _, hidden = hidden_labels.hide(TRAIN, TEST, HideLabels(share=0.3))
    hidden_labels.save_masks(tmp_path / "masks.npy", hidden)
    kept = open_records(tmp_path / "masks.npy")
    assert kept["id"].tolist() == hidden.ids
    np.testing.assert_array_equal(kept["mask"], hidden.masks)


@pytest.mark.parametrize(
    ("share", "words"),
    [
        (0.01, "hide at least one of the 24 labelled tiles, and found that a share of 0.01 hides none. Raise"),
        (0.94, r"at least two tiles to learn from, .* found 1, \d with salt, after 23 of 24 .* Lower"),
    ],
)
def test_a_share_that_leaves_nothing_to_score_or_to_learn_from_is_refused(share, words):
    with pytest.raises(UserError, match=words):
        hidden_labels.hide(TRAIN, TEST, HideLabels(share=share))


def test_labels_without_salt_are_too_little_to_learn_from():
    empty = Tiles(TRAIN.table.assign(coverage=0.0), TRAIN.images, np.zeros_like(TRAIN.masks))
    with pytest.raises(UserError, match=r"one of them with salt, .* found \d+, 0 with salt, after 7 of 24"):
        hidden_labels.hide(empty, TEST, HideLabels(share=0.3))
