import logging
import re

import cv2
import numpy as np
import pytest
import segyio

from salt.inference.input_images import find_images, open_images
from schemas.errors import UserError
from schemas.results import PredictImagesSettings

TILE = 8


def settings(path, **more):
    known = {"images": str(path), "pictures": "", "weights": "", "tile": TILE, "windows": {}, "models": {}, "folds": 2}
    return PredictImagesSettings.model_validate(known | {"postprocess": [{"name": "threshold", "above": 0.5}]} | more)


def save(path, pixels):
    if path.suffix == ".npy":
        np.save(path, pixels)
    else:
        path.write_bytes(cv2.imencode(path.suffix, pixels)[1].tobytes())
    return path


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (TILE, TILE), dtype=np.uint8)


def tile_of(image):
    """Its first window, as the networks get it."""
    return image.window(image.read(), 0)


def test_images_are_those_of_the_folder_itself_sorted(tmp_path, image):
    for name in ("b.png", "a.PNG", ".hidden.png", "c.csv"):
        (tmp_path / name).write_bytes(cv2.imencode(".png", image)[1].tobytes())
    (tmp_path / "deeper").mkdir()
    save(tmp_path / "deeper" / "d.png", image)
    assert [path.name for path in find_images(tmp_path)] == ["a.PNG", "b.png"]
    assert find_images(tmp_path / "b.png") == [tmp_path / "b.png"]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("nowhere", "found nothing there"),
        ("empty", "the folder is empty"),
        ("tables", "a.csv, b.csv, c.csv, d.csv, deeper ..."),
        ("tables/a.csv", "found none: a.csv"),
    ],
)
def test_without_images_the_error_lists_the_other_files(tmp_path, name, found):
    (tmp_path / "empty").mkdir()
    for folder in ("deeper", "older"):
        (tmp_path / "tables" / folder).mkdir(parents=True)
    for table in "abcd":
        (tmp_path / "tables" / f"{table}.csv").touch()
    with pytest.raises(UserError, match=re.escape(found)) as error:
        find_images(tmp_path / name)
    assert str(tmp_path / name) in str(error.value)
    assert "\n" not in str(error.value)


def test_all_faults_of_all_images_are_reported_at_once(tmp_path, image):
    save(tmp_path / "good.png", image)
    save(tmp_path / "good.bmp", image)
    (tmp_path / "bad.png").write_bytes(b"hello")
    (tmp_path / "cut.sgy").write_bytes(b"hello")
    (tmp_path / "cut.png").write_bytes((tmp_path / "good.png").read_bytes()[:40])
    save(tmp_path / "floats.npy", image.astype(np.float32) / 7)
    with pytest.raises(UserError) as error:
        open_images(settings(tmp_path))
    for words in (
        "(4): bad.png (content is not PNG), cut.png (damaged",
        "cut.sgy (damaged SEG-Y: ",
        "floats.npy (floats from 0.571429 to 35.4286, which have no range of their own; set `windows.range`",
        "(1): good",
    ):
        assert words in str(error.value)


@pytest.mark.parametrize("name", ["=cmd()", "-1", "two\nlines"])
def test_names_that_a_table_cannot_hold_safely_are_refused(tmp_path, image, name):
    save(tmp_path / f"{name}.png", image)
    with pytest.raises(UserError, match="names that begin with = . - or @"):
        open_images(settings(tmp_path))


def test_other_files_are_skipped_with_a_word(tmp_path, image, caplog):
    save(tmp_path / "a.png", image)
    for name in ("Thumbs.db", "picks.csv", ".DS_Store"):
        (tmp_path / name).touch()
    with caplog.at_level(logging.INFO):
        assert len(open_images(settings(tmp_path))) == 1
    assert "skipped 2 files that are not images: Thumbs.db, picks.csv" in caplog.text


def test_colours_become_luminance_for_grey_networks_and_grey_is_repeated_for_others(tmp_path, image):
    blue, green, red = (np.roll(image, shift) for shift in range(3))
    (found,) = open_images(settings(save(tmp_path / "a.png", np.stack([blue, green, red], axis=2))))
    expected = 0.299 * red + 0.587 * green + 0.114 * blue
    assert np.abs(tile_of(found) - expected).max() <= 0.51
    (found,) = open_images(settings(save(tmp_path / "b.png", image), colour="rgb"))
    assert np.array_equal(tile_of(found), np.stack([image] * 3, axis=2))


def test_a_tile_is_read_as_the_runs_tiles_and_a_window_by_the_range_of_windows(tmp_path, image):
    faint = save(tmp_path / "tile.png", image // 4)
    (tile,) = open_images(settings(faint, windows={"range": "tile"}))
    assert np.array_equal(tile_of(tile), image // 4)
    (tile,) = open_images(settings(faint, range="tile"))
    assert tile_of(tile).max() == 255
    wide = save(tmp_path / "wide.png", np.hstack([image // 4, image // 2]))
    (line,) = open_images(settings(wide, windows={"range": "tile"}))
    pixels = line.read()
    for number in range(len(line.windows)):
        assert (line.window(pixels, number).min(), line.window(pixels, number).max()) == (0, 255)
    (line,) = open_images(settings(wide))
    assert np.array_equal(tile_of(line), image // 4)


def test_floats_which_have_no_range_get_that_of_windows_whatever_their_size(tmp_path, image):
    floats = save(tmp_path / "tile.npy", image / np.float32(1000))
    (found,) = open_images(settings(floats, windows={"range": [0, 0.255]}))
    assert np.array_equal(tile_of(found), image)
    (found,) = open_images(settings(floats, range=[0, 0.51], windows={"range": "tile"}))
    assert np.abs(tile_of(found) - image / 2).max() <= 0.51


def test_a_volume_is_many_images(tmp_path):
    cube = np.random.default_rng(0).random((3, 9, 12), np.float32)
    segyio.tools.from_array3D(str(tmp_path / "cube.sgy"), cube, format=5)
    found = open_images(settings(tmp_path, windows={"range": "tile"}))
    assert [image.name for image in found] == ["cube_inline1", "cube_inline2", "cube_inline3"]
    assert np.array_equal(found[1].read(), cube[1].T)
    assert found[1].windows.shape == (12, 9)


def test_an_image_and_a_part_of_a_volume_may_not_share_a_name(tmp_path, image):
    segyio.tools.from_array3D(str(tmp_path / "cube.sgy"), np.zeros((2, 9, 12), np.float32), format=5)
    save(tmp_path / "cube_inline2.png", image)
    with pytest.raises(UserError, match=re.escape("names that several images share (1): cube_inline2")):
        open_images(settings(tmp_path, windows={"range": "tile"}))
