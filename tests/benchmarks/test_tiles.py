import cv2
import numpy as np

from benchmarks import tiles
from salt.mosaics.layout import lay_out
from schemas.data import Mosaics


def test_tiles_are_like_the_competitions_and_the_same_each_time():
    found = tiles.make(450)
    assert found.images.shape == found.arrays[1].shape == (450, 101, 101)
    assert len(set(found.ids)) == 450
    assert (found.images.std(axis=(1, 2)) > 10).all()
    assert 0.1 < (found.table["coverage"] == 0).mean() < 0.6
    assert np.array_equal(tiles.make(450).images, found.images)


def test_tiles_side_by_side_are_found_to_be_neighbours():
    found = tiles.make(40)
    mosaics = lay_out(found.ids, found.images, Mosaics()).mosaics
    assert len(mosaics) == 40
    assert mosaics["mosaic"].nunique() == 1


def test_files_hold_the_pixels(tmp_path):
    found = tiles.make(3)
    tiles.write_pngs(tmp_path, found)
    last = f"{found.ids[2]}.png"
    assert np.array_equal(cv2.imread(str(tmp_path / "images" / last), cv2.IMREAD_GRAYSCALE), found.images[2])
    assert np.array_equal(cv2.imread(str(tmp_path / "masks" / last), cv2.IMREAD_GRAYSCALE), 255 * found.arrays[1][2])
