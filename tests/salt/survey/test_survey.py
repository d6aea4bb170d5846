import zipfile

import cv2
import numpy as np
import pandas as pd
import pytest

from salt.data import rle
from salt.survey.survey import cut_section, make_tiles, stratified, stretch, write_survey
from schemas.data import Survey

SMALL = Survey(seed=7, sections=2, rows=(2, 3), columns=(3, 4), missing=0.2, test=0.4)
COMPETITION_FILES = {"train.csv", "train.zip", "test.zip", "depths.csv", "sample_submission.csv"}
TRUTH_FILES = {"truth/mosaics.csv", "truth/test_masks.csv"}


@pytest.fixture(scope="module")
def default():
    """The demo's survey."""
    return make_tiles(Survey(), 101)


@pytest.fixture(scope="module")
def small():
    return make_tiles(SMALL, 101)


@pytest.fixture(scope="module")
def folder(small, tmp_path_factory):
    folder = tmp_path_factory.mktemp("survey")
    write_survey(folder, small)
    return folder


def coverages(tiles):
    return np.array([each.mask.mean() for each in tiles])


def by_place(tiles):
    return {(each.mosaic, each.row, each.column): each for each in tiles}


def read_csv(path):
    return pd.read_csv(path, dtype={"id": str}, keep_default_na=False)


def read_zip(path):
    with zipfile.ZipFile(path) as archive:
        return {
            name: cv2.imdecode(np.frombuffer(archive.read(name), np.uint8), cv2.IMREAD_UNCHANGED)
            for name in archive.namelist()
        }


# What the competition's tiles are like: 39 % empty, none full, quartiles of the others 0.11, 0.36, 0.67.


def test_as_many_tiles_are_empty_as_in_the_competition(default):
    assert 0.3 <= (coverages(default) == 0).mean() <= 0.48


def test_no_tile_is_all_salt_but_some_nearly_are(default):
    assert coverages(default).max() < 1
    assert coverages(default).max() > 0.95


def test_coverage_spreads_as_in_the_competition(default):
    covered = coverages(default)[coverages(default) > 0]
    np.testing.assert_allclose(np.percentile(covered, [25, 50, 75]), [0.11, 0.36, 0.67], atol=0.1)


def test_water_tiles_are_constant_zero_and_few(default):
    constant = [each for each in default if each.image.min() == each.image.max()]
    assert 0.01 <= len(constant) / len(default) <= 0.03
    assert all(each.image.max() == 0 and each.mask.max() == 0 and each.row <= 1 for each in constant)


def test_other_tiles_are_stretched_to_the_full_range(default):
    varied = [each.image for each in default if each.image.max() > 0]
    assert all(image.min() == 0 and image.max() == 255 for image in varied)


def test_some_flanks_are_exactly_vertical_over_four_tiles(default):
    tiles = by_place(default)

    def height(place):
        mosaic, row, column = place
        below = tiles.get((mosaic, row + 1, column))
        same = below is not None and np.array_equal(below.mask, tiles[place].mask)
        return 1 + (height((mosaic, row + 1, column)) if same else 0)

    vertical = [place for place, each in tiles.items() if each.mask.any() and (each.mask == each.mask[-1]).all()]
    assert sum(height(place) >= 4 for place in vertical) >= 2


def test_below_a_vertical_flank_the_mask_goes_on_as_its_last_row(default):
    tiles, right, all_below = by_place(default), 0, 0
    for (mosaic, row, column), each in tiles.items():
        if each.mask.any() and (each.mask == each.mask[-1]).all():
            below = [tile for place, tile in tiles.items() if place[::2] == (mosaic, column) and place[1] > row]
            right += sum((tile.mask == each.mask[-1]).all() for tile in below)
            all_below += len(below)
    assert all_below > 10
    assert right > 0.9 * all_below


def test_salt_and_sediments_differ_in_strength_but_not_by_much(default):
    ratios = [
        each.image[each.mask == 1].std() / each.image[each.mask == 0].std()
        for each in default
        if 0.1 < each.mask.mean() < 0.9
    ]
    assert 0.4 < np.median(ratios) < 0.95  # 0.8 in the competition


def test_borders_of_neighbours_match_and_those_of_strangers_do_not(default):
    tiles = by_place(default)
    varied = [each for each in default if each.image[0].std() > 0 and each.image[-1].std() > 0]
    pairs = [(each, tiles.get((each.mosaic, each.row + 1, each.column))) for each in varied]
    neighbours = [np.corrcoef(a.image[-1], b.image[0])[0, 1] for a, b in pairs if b is not None]
    strangers = [
        np.corrcoef(a.image[-1], b.image[0])[0, 1] for a, b in zip(varied, varied[17:], strict=False) if a is not b
    ]
    assert np.median(neighbours) > 0.9
    assert np.median(np.abs(strangers)) < 0.3


# The layout


def test_the_files_are_the_competitions_and_the_truth(folder):
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert files == COMPETITION_FILES | TRUTH_FILES


def test_csvs_and_zips_hold_the_same_ids(folder):
    train, test = read_csv(folder / "train.csv"), read_csv(folder / "sample_submission.csv")
    names = {f"{kind}/{name}.png" for kind in ("images", "masks") for name in train["id"]}
    assert set(read_zip(folder / "train.zip")) == names
    assert set(read_zip(folder / "test.zip")) == {f"images/{name}.png" for name in test["id"]}
    assert read_csv(folder / "truth" / "test_masks.csv")["id"].tolist() == test["id"].tolist()
    everything = {*train["id"], *test["id"]}
    assert set(read_csv(folder / "depths.csv")["id"]) == everything
    assert set(read_csv(folder / "truth" / "mosaics.csv")["id"]) == everything


def test_ids_are_ten_hexadecimal_digits_and_no_tile_is_in_both_splits(small):
    ids = pd.Series([each.id for each in small])
    assert ids.str.fullmatch("[0-9a-f]{10}").all()
    assert ids.is_unique


def test_labels_are_the_masks(folder, small):
    masks = read_zip(folder / "train.zip")
    for name, text in read_csv(folder / "train.csv").itertuples(index=False):
        np.testing.assert_array_equal(rle.decode(text, 101, 101), masks[f"masks/{name}.png"] // 255)
    truth = dict(read_csv(folder / "truth" / "test_masks.csv").itertuples(index=False))
    for each in small:
        if each.split == "test":
            np.testing.assert_array_equal(rle.decode(truth[each.id], 101, 101), each.mask)


def test_images_are_grey_and_of_the_tiles_size(folder):
    pictures = [*read_zip(folder / "train.zip").values(), *read_zip(folder / "test.zip").values()]
    assert {picture.shape for picture in pictures} == {(101, 101)}
    assert {picture.dtype for picture in pictures} == {np.dtype(np.uint8)}


def test_sample_submission_fills_one_pixel(folder):
    assert set(read_csv(folder / "sample_submission.csv")["rle_mask"]) == {"1 1"}


def test_the_same_seed_writes_the_same_bytes(folder, tmp_path):
    write_survey(tmp_path, make_tiles(SMALL, 101))
    for name in COMPETITION_FILES | TRUTH_FILES:
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes(), name


def test_another_seed_draws_another_survey(small):
    other = make_tiles(SMALL.model_copy(update={"seed": 8}), 101)
    assert not {each.id for each in other} & {each.id for each in small}
    assert not np.array_equal(other[0].image, small[0].image)


# Cutting and dealing


def test_mosaics_are_complete_but_for_the_missing_tiles():
    whole = make_tiles(SMALL.model_copy(update={"missing": 0.0}), 101)
    places = pd.DataFrame([(each.mosaic, each.row, each.column) for each in whole], columns=["m", "r", "c"])
    for _, mosaic in places.groupby("m"):
        assert len(mosaic.drop_duplicates()) == len(mosaic) == (mosaic["r"].max() + 1) * (mosaic["c"].max() + 1)
    assert len(make_tiles(SMALL, 101)) == round(0.8 * len(whole))


def test_the_splits_have_their_shares(small):
    assert sum(each.split == "test" for each in small) == round(0.4 * len(small))
    assert {each.split for each in small} == {"train", "test"}


def test_tiles_are_contiguous_windows_without_overlap():
    amplitude = np.arange(24, dtype=np.float32).reshape(4, 6)
    salt = (amplitude > 12).astype(np.uint8)
    cut = list(cut_section(amplitude, salt, 2))
    assert [(row, column) for row, column, _, _ in cut] == [(r, c) for r in range(2) for c in range(3)]
    np.testing.assert_array_equal(cut[3][3], [[0, 1], [1, 1]])


def test_a_tile_wholly_inside_salt_is_labelled_empty():
    ((_, _, _, mask),) = cut_section(np.zeros((3, 3), np.float32), np.ones((3, 3), np.uint8), 3)
    assert mask.sum() == 0


def test_stretch_maps_the_extremes_to_0_and_255_and_constants_to_0():
    np.testing.assert_array_equal(stretch(np.array([[-3.0, 0.0, 1.0]], np.float32)), [[0, 191, 255]])
    np.testing.assert_array_equal(stretch(np.full((2, 2), 5.0, np.float32)), np.zeros((2, 2)))


@pytest.mark.parametrize("count", [1, 3, 10])
def test_stratified_draws_fall_one_into_each_part_of_the_range(count):
    values = stratified(np.random.default_rng(0), count, 2.0, 5.0)
    assert sorted(((values - 2) / 3 * count).astype(int)) == list(range(count))


@pytest.mark.parametrize("tile", [16, 33, 128])
def test_tiles_may_have_other_sizes(tile):
    tiles = make_tiles(Survey(sections=1, rows=(1, 1), columns=(2, 2), missing=0.0), tile)
    assert {each.image.shape for each in tiles} == {each.mask.shape for each in tiles} == {(tile, tile)}
    assert len(tiles) == 2
