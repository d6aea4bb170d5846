import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from salt.data import image_files
from salt.data.tiles import GreyImages, concatenate, load_table, load_tiles, rows_of, save_tiles
from schemas.errors import UserError
from tests.easy_tiles import easy_tiles


@pytest.fixture
def folder(tmp_path):
    save_tiles(tmp_path, easy_tiles(5), easy_tiles(3, split="test"))
    return tmp_path


def test_tiles_come_back_as_they_were(folder):
    train, test = load_tiles(folder, "train"), load_tiles(folder, "test")
    assert train.ids == easy_tiles(5).ids
    assert np.array_equal(train.arrays[0], easy_tiles(5).images)
    assert np.array_equal(train.arrays[1], easy_tiles(5).masks)
    assert test.masks is None
    assert test.table["coverage"].isna().all()
    assert load_table(folder)["constant"].tolist() == [True, False, False, False, False, True, False, False]


def test_depths_are_relative_to_those_of_both_splits(tmp_path):
    train, test = easy_tiles(3), easy_tiles(2, split="test")
    train.table["z"], test.table["z"] = [100, 300, np.nan], [500, 200]
    save_tiles(tmp_path, train, test)
    assert load_tiles(tmp_path, "train").depths.tolist() == pytest.approx([0, 0.5, np.nan], nan_ok=True)
    assert load_tiles(tmp_path, "test").depths.tolist() == [1, 0.25]
    train.table["z"], test.table["z"] = 7.0, 7.0
    save_tiles(tmp_path, train, test)
    assert load_tiles(tmp_path, "train").depths.tolist() == [0, 0, 0]


def test_a_tile_may_be_called_na(tmp_path):
    train = easy_tiles(2)
    train.table["id"] = ["NA", "null"]
    save_tiles(tmp_path, train, easy_tiles(1, split="test"))
    assert load_tiles(tmp_path, "train").ids == ["NA", "null"]


def test_arrays_that_do_not_fit_the_table_are_refused(folder):
    np.save(folder / "test_images.npy", np.zeros((4, 32, 32), np.uint8))
    with pytest.raises(UserError, match=r"test_images.npy: .* found a damaged one \(4 images, but .*tiles.csv lists 3"):
        load_tiles(folder, "test")


def test_select_and_concatenate_keep_rows_together():
    tiles = easy_tiles(6)
    picked = tiles.select(rows_of(tiles.ids, ["train004", "train001"]))
    both = concatenate(picked, tiles.select(np.array([0])))
    assert both.ids == ["train004", "train001", "train000"]
    assert np.array_equal(both.images, tiles.images[[4, 1, 0]])
    assert np.array_equal(both.arrays[1], tiles.arrays[1][[4, 1, 0]])


def test_an_unknown_id_is_named():
    with pytest.raises(KeyError, match="x"):
        rows_of(["a", "b"], ["b", "x"])


def test_tiles_with_soft_masks_make_those_of_others_soft():
    hard, soft = easy_tiles(5), easy_tiles(3).softened
    for both in (concatenate(hard, soft), concatenate(soft, hard)):
        assert both.soft
        assert sorted(np.unique(both.masks)) == [0, 255]
    assert np.array_equal(concatenate(hard, soft).masks[:5], hard.masks * 255)
    assert np.array_equal(concatenate(hard, soft).masks[5:], soft.masks)
    assert concatenate(soft, soft).select(np.array([1])).soft
    assert not concatenate(hard, hard).soft


@given(st.lists(st.integers(0, 4), min_size=1, max_size=4), st.booleans())
def test_grey_images_of_splits_are_those_of_all_tiles_together(sizes, coloured):
    shape = (sum(sizes), 3, 4, 3) if coloured else (sum(sizes), 3, 4)
    together = np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)
    images = GreyImages(np.split(together, np.cumsum(sizes)[:-1]))
    assert len(images) == len(together)
    for row, expected in enumerate(together):
        np.testing.assert_array_equal(images[row], image_files.grey(expected) if coloured else expected)


def test_a_part_of_tiles_is_a_view_of_them():
    tiles = easy_tiles(6)
    part = tiles.part(slice(2, 5))
    assert part.ids == tiles.ids[2:5]
    assert np.shares_memory(part.images, tiles.images)
    np.testing.assert_array_equal(part.arrays[1], tiles.arrays[1][2:5])
