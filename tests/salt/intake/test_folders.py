import logging
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from salt.data import image_files
from salt.data.tiles import GreyImages
from salt.intake.folders import read_folders
from schemas.data import Data
from schemas.errors import UserError
from tests.own_images import HEIGHT, WIDTH, encoded, make_folders, npy, table, write

RNG = np.random.default_rng(8)


def read(root, files, **data):
    return read_folders(Data(layout="folders", root=str(write(root, files)), **data))


def image(height=HEIGHT, width=WIDTH, kind=np.uint8):
    return RNG.integers(0, np.iinfo(kind).max, (height, width), kind, endpoint=True)


def test_images_and_masks_are_read_in_the_order_of_their_ids(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    files = make_folders()
    train, test = read(tmp_path, files)
    assert (train.ids, test.ids) == (["a", "b", "c"], ["x", "y"])
    for tiles, split in ((train, "train"), (test, "test")):
        written = [image_files.read(files[f"{split}/images/{name}.png"], "a.png") for name in tiles.ids]
        np.testing.assert_array_equal(tiles.images, written)
    assert train.masks.mean(axis=(1, 2)).tolist() == train.table["coverage"].tolist() == [0.5, 1, 0]
    assert test.masks is None
    assert train.table["z"].isna().all()
    assert caplog.messages[0] == "masks hold 0, 255; 255 is salt (the config's data.mask_value)"
    assert all(message.startswith("Warning: ") for message in caplog.messages[1:])  # of what is odd about few tiles


def test_kinds_of_files_may_differ_between_images_and_masks(tmp_path):
    files = make_folders()
    del files["train/images/a.png"], files["train/masks/b.png"], files["test/images/y.png"]
    kept = {name: image() for name in ("a.bmp", "y.tif")}
    files |= {"train/images/a.bmp": encoded(kept["a.bmp"], ".bmp"), "test/images/y.tif": encoded(kept["y.tif"], ".tif")}
    files["train/masks/b.npy"] = npy(np.full((HEIGHT, WIDTH), 255, np.uint8))
    train, test = read(tmp_path, files)
    np.testing.assert_array_equal(train.images[0], kept["a.bmp"])
    np.testing.assert_array_equal(test.images[1], kept["y.tif"])
    assert train.masks[1].all()


def test_a_sample_gives_the_order_and_depths_are_read(tmp_path):
    files = make_folders() | {
        "sample_submission.csv": table("id,rle_mask", ["y,", "x,"]),
        "depths.csv": table("id,z", ["a,1", "b,2.5", "c,3", "x,4", "y,5"]),
    }
    train, test = read(tmp_path, files)
    assert test.ids == ["y", "x"]
    assert (train.table["z"].tolist(), test.table["z"].tolist()) == ([1, 2.5, 3], [5, 4])
    np.testing.assert_array_equal(test.images[1], image_files.read(files["test/images/x.png"], "x.png"))


def test_what_systems_leave_in_folders_is_ignored(tmp_path):
    files = make_folders()
    files |= {"train/images/.DS_Store": b"?", "train/masks/Thumbs.db": b"?", "test/images/.cache/a.png": b"?"}
    assert len(read(tmp_path, files)[0]) == 3


def test_a_large_image_and_its_mask_are_cut_into_tiles(tmp_path):
    section, mask, other = image(10, 20), (image(10, 20) > 128).astype(np.uint8), image(6, 9)
    files = {
        "train/images/line.png": encoded(section, ".png"),
        "train/masks/line.png": encoded(mask, ".png"),
        "test/images/b.png": encoded(other, ".png"),
        "test/images/a.png": encoded(other[:, :8], ".png"),
        "depths.csv": table("id,z", ["line,7", "a,1", "b,2"]),
    }
    train, test = read(tmp_path, files, tile=[6, 8])
    assert train.ids == [f"line_r{row}_c{column}" for row in range(2) for column in range(3)]
    np.testing.assert_array_equal(train.images[4], section[4:, 8:16])
    np.testing.assert_array_equal(train.masks[2], mask[:6, 12:])
    assert set(train.table["z"]) == {7}
    assert test.ids == ["a", "b_r0_c0", "b_r0_c1"]
    assert test.table["z"].tolist() == [1, 2, 2]
    np.testing.assert_array_equal(test.images[2], other[:, 1:])


def test_values_become_bytes_as_the_config_says(tmp_path):
    wide = {name: image(kind=np.uint16) // 16 for name in "xy"}
    files = make_folders() | {f"test/images/{name}.png": encoded(pixels, ".png") for name, pixels in wide.items()}
    files |= {f"train/images/{name}.png": encoded(image(kind=np.uint16), ".png") for name in "abc"}
    for values in ("type", "tile", (0, 4095)):
        _, test = read(tmp_path, files, range=values)
        expected = [image_files.to_bytes(wide[name], values) for name in "xy"]
        np.testing.assert_array_equal(test.images, expected)


def test_each_tile_of_an_image_is_stretched_on_its_own(tmp_path):
    files = make_folders() | {"test/images/x.png": encoded(np.hstack([image() // 9, image() // 3 + 99]), ".png")}
    _, test = read(tmp_path, files, tile=[HEIGHT, WIDTH], range="tile")
    assert (test.images.min(axis=(1, 2)) == 0).all()
    assert (test.images.max(axis=(1, 2)) == 255).all()


def test_colours_become_their_luminance_or_stay(tmp_path):
    colours = RNG.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    files = make_folders() | {"test/images/x.png": encoded(colours, ".png")}
    _, grey = read(tmp_path, files)
    np.testing.assert_array_equal(grey.images[0], image_files.grey(colours))
    train, rgb = read(tmp_path, files, colour="rgb")
    assert rgb.images.shape == (2, HEIGHT, WIDTH, 3)
    np.testing.assert_array_equal(rgb.images[0], colours)
    np.testing.assert_array_equal(list(GreyImages([rgb.images])), grey.images)
    assert not train.table["constant"].any()


def test_black_can_mean_salt(tmp_path):
    train, _ = read(tmp_path, make_folders(), mask_value=0)
    assert train.table["coverage"].tolist() == [0.5, 0, 1]


@settings(max_examples=60)
@given(st.data())
def test_damage_anywhere_is_an_error_of_the_user_or_harmless(tmp_path_factory, data):
    files = make_folders() | {"depths.csv": table("id,z", ["a,1", "b,2", "c,3", "x,4", "y,5"])}
    name = data.draw(st.sampled_from(sorted(files)))
    start = data.draw(st.integers(0, len(files[name]) - 1))
    end = start + data.draw(st.integers(0, 20))
    files[name] = files[name][:start] + data.draw(st.binary(max_size=3)) + files[name][end:]
    with suppress(UserError):
        read(tmp_path_factory.mktemp("data"), files, tile=data.draw(st.sampled_from([None, [4, 8]])))


@pytest.mark.parametrize("tile", [None, [HEIGHT, WIDTH]])
def test_nothing_is_written_where_the_data_are(tmp_path, tile):
    write(tmp_path, make_folders())
    before = sorted(tmp_path.rglob("*"))
    read_folders(Data(layout="folders", root=str(tmp_path), tile=tile))
    assert sorted(tmp_path.rglob("*")) == before
