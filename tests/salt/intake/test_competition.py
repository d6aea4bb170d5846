from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from salt.intake.competition import read_competition
from schemas.errors import UserError
from tests.competition_files import (
    SIDE,
    as_folders,
    as_one_zip,
    as_one_zip_of_folders,
    as_zips,
    make_files,
    make_masks,
    make_pixels,
    png,
    table,
    without,
    write,
)

REAL = Path(__file__).parents[4] / "shared" / "data" / "tgs"


@pytest.fixture
def pixels():
    return make_pixels()


@pytest.fixture
def masks():
    return make_masks()


@pytest.fixture
def files():
    return make_files()


@pytest.mark.parametrize("form", [as_folders, as_zips, as_one_zip, as_one_zip_of_folders])
def test_every_form_of_the_data_gives_the_same_tiles(tmp_path, files, pixels, masks, form):
    train, test = read_competition(write(tmp_path, form(files)), (SIDE, SIDE))
    assert train.ids == ["c", "a", "b"]  # in the order of train.csv
    assert test.ids == ["z", "x", "y"]  # in the order of sample_submission.csv
    np.testing.assert_array_equal(train.images, [pixels[name] for name in train.ids])
    np.testing.assert_array_equal(train.masks, [masks[name] for name in train.ids])
    np.testing.assert_array_equal(test.images, [pixels[name] for name in test.ids])
    assert test.masks is None
    assert train.table["z"].tolist() == [102, 100, 101]
    assert train.table["constant"].tolist() == [False, True, False]
    assert train.table["coverage"].tolist() == pytest.approx([12 / 36, 0, 1])
    assert test.table["z"].tolist() == [105, 103, 104]
    assert test.table["coverage"].isna().all()


def test_nothing_is_written_where_the_data_are(tmp_path, files):
    write(tmp_path, as_one_zip(files))
    read_competition(tmp_path, (SIDE, SIDE))
    assert [path.name for path in tmp_path.rglob("*")] == ["tgs-salt-identification-challenge.zip"]


def test_masks_come_from_pngs_where_train_csv_has_none(tmp_path, files, masks):
    files["train.csv"] = table("id", [("c",), ("a",), ("b",)])
    train, _ = read_competition(write(tmp_path, files), (SIDE, SIDE))
    np.testing.assert_array_equal(train.masks, [masks[name] for name in "cab"])


def test_without_tables_tiles_are_in_the_order_of_their_ids(tmp_path, files, masks):
    pngs = without(files, "train.csv", "sample", "depths")
    train, test = read_competition(write(tmp_path, pngs), (SIDE, SIDE))
    assert (train.ids, test.ids) == (["a", "b", "c"], ["x", "y", "z"])
    np.testing.assert_array_equal(train.masks, [masks[name] for name in "abc"])
    assert train.table["z"].isna().all()


def test_masks_come_from_train_csv_where_there_are_no_pngs(tmp_path, files, masks):
    train, _ = read_competition(write(tmp_path, as_zips(without(files, "train/masks"))), (SIDE, SIDE))
    np.testing.assert_array_equal(train.masks, [masks[name] for name in "cab"])


@pytest.mark.parametrize("salt", [1, 255, 65535])
def test_masks_may_be_of_8_or_16_bits(tmp_path, files, masks, salt):
    kind = np.uint16 if salt > 255 else np.uint8
    files["train/masks/c.png"] = png(masks["c"].astype(kind) * kind(salt))
    train, _ = read_competition(write(tmp_path, files), (SIDE, SIDE))
    np.testing.assert_array_equal(train.masks[0], masks["c"])


@pytest.mark.parametrize("channels", [3, 4])
def test_images_of_equal_colours_are_grey(tmp_path, files, pixels, channels):
    image = np.full((SIDE, SIDE, channels), 255, np.uint8)
    image[..., :3] = pixels["x"][..., None]
    files["test/images/x.png"] = png(image)
    _, test = read_competition(write(tmp_path, files), (SIDE, SIDE))
    np.testing.assert_array_equal(test.images[1], pixels["x"])


def test_what_an_archiver_adds_is_ignored(tmp_path, files):
    files["train/__MACOSX/images/._a.png"] = b"?"
    files["train/images/.DS_Store"] = b"?"
    train, _ = read_competition(write(tmp_path, as_zips(files)), (SIDE, SIDE))
    assert len(train) == 3


def test_ids_and_depths_are_texts_and_numbers_as_they_stand(tmp_path, files):
    names = {"c": "007", "z": "NA"}
    for old, new in names.items():
        for name in [name for name in files if name.endswith(f"/{old}.png")]:
            files[name.replace(f"/{old}.", f"/{new}.")] = files.pop(name)
        for name in ("train.csv", "depths.csv", "sample_submission.csv"):
            files[name] = files[name].replace(f"\n{old},".encode(), f"\n{new},".encode())
    train, test = read_competition(write(tmp_path, files), (SIDE, SIDE))
    assert (train.ids[0], test.ids[0]) == ("007", "NA")


def test_what_is_odd_is_said_and_read_all_the_same(tmp_path, files, caplog):
    caplog.set_level("INFO")
    files["train.csv"] += b"a,\n"
    files["depths.csv"] += b"elsewhere,5\n"
    train, _ = read_competition(write(tmp_path, files), (SIDE, SIDE))
    assert train.ids == ["c", "a", "b"]
    assert caplog.messages == [
        "Warning: ids that appear more than once in train.csv, with equal rows (1): a. One of each is used.",
        "Warning: ids in depths.csv without a tile (1): elsewhere. Their depths are ignored.",
        "Warning: masks that are entirely salt (1): b. Check that salt and background are not swapped.",
    ]


def test_tiles_may_lie_on_another_disk(tmp_path, files, masks):
    """Linked one by one or by their folders; the data folder is a link as well."""
    disk, data = write(tmp_path / "disk", files), tmp_path / "data"
    (data / "train").mkdir(parents=True)
    (data / "test").symlink_to(disk / "test")
    (data / "train/masks").symlink_to(disk / "train/masks")
    (data / "train/images").mkdir()
    for name in masks:
        (data / f"train/images/{name}.png").symlink_to(disk / f"train/images/{name}.png")
    (tmp_path / "link").symlink_to(data)
    train, test = read_competition(tmp_path / "link", (SIDE, SIDE))
    assert (train.ids, test.ids) == (["a", "b", "c"], ["x", "y", "z"])


@settings(max_examples=60)
@given(st.data())
def test_damage_anywhere_is_an_error_of_the_user_or_harmless(tmp_path_factory, files, data):
    form = data.draw(st.sampled_from([as_folders, as_zips, as_one_zip]))
    packed = dict(form(files))
    name = data.draw(st.sampled_from(sorted(packed)))
    start = data.draw(st.integers(0, len(packed[name]) - 1))
    end = start + data.draw(st.integers(0, 20))
    packed[name] = packed[name][:start] + data.draw(st.binary(max_size=3)) + packed[name][end:]
    with suppress(UserError):
        read_competition(write(tmp_path_factory.mktemp("data"), packed), (SIDE, SIDE))


@pytest.mark.skipif(not REAL.is_dir(), reason="the competition's tiles are not at ../shared/data/tgs")
def test_the_real_tiles_are_as_their_description_says():
    train, test = read_competition(REAL, (101, 101))
    assert (len(train), len(test)) == (3201, 1999)
    assert (train.table["constant"].sum(), test.table["constant"].sum()) == (63, 17)
    assert train.images.shape == train.masks.shape == (3201, 101, 101)
    assert not train.table["z"].isna().any()
