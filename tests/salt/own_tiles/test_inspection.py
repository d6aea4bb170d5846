from collections import Counter

import numpy as np
import pytest

from salt.own_tiles.inspection import Statistics, inspect, range_for, tile_for
from schemas.errors import UserError
from tests.own_images import HEIGHT, WIDTH, encoded, make_folders, npy, table, write

RNG = np.random.default_rng(2)


def statistics(*images):
    found = Statistics()
    for image in images:
        found.add(image)
    return found


@pytest.mark.parametrize(
    ("sizes", "tile"),
    [
        ({(64, 96): 9}, (64, 96)),
        ({(101, 101): 4000}, (101, 101)),
        ({(320, 256): 9}, (320, 256)),
        ({(700, 1500): 1}, (128, 128)),
        ({(700, 1500): 1, (900, 101): 2}, (101, 101)),
        ({(64, 96): 9, (64, 64): 1}, (64, 64)),
        ({}, None),
    ],
)
def test_images_of_one_size_are_tiles_and_others_are_cut(sizes, tile):
    assert tile_for(Counter(sizes)) == tile


def test_the_range_is_that_of_the_bits_that_are_used():
    dark, bright = np.array([[0, 4000]], np.uint16), np.array([[9, 40_000]], np.uint16)
    assert range_for(statistics(dark)) == (0, 4095)
    assert range_for(statistics(dark, bright)) == "type"
    assert range_for(statistics(dark.astype(np.uint8))) == "type"
    assert range_for(statistics(dark, dark.astype(np.uint8))) == "tile"


def test_the_range_of_floats_leaves_out_the_outermost():
    low, high = range_for(statistics(*(RNG.normal(0, 10, (300, 400)).astype(np.float32) for _ in range(3))))
    assert low == pytest.approx(-25.8, abs=1.5)  # the deviations that a half per cent lies beyond
    assert high == pytest.approx(25.8, abs=1.5)
    assert range_for(statistics(np.ones((3, 3), np.float32))) == "tile"


def test_what_the_folders_hold_is_reported(tmp_path):
    colours = RNG.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    found = inspect(write(tmp_path, make_folders() | {"test/images/x.png": encoded(colours, ".png")}))
    assert (found.data.layout, found.data.shape, found.tile) == ("folders", (HEIGHT, WIDTH), (HEIGHT, WIDTH))
    assert not found.has_depths
    assert found.lines[0] == "images: 6 x 8 px (5)"
    assert found.lines[1].startswith("pixels: uint8 (5), from ")
    assert found.lines[1].endswith("; 1 images in colour")
    assert found.lines[2:] == [
        "masks: values 0, 255; the larger is salt",
        "tiles of 6 x 8 px: 3 labelled, 33 % of them without salt, and 2 others; 0 are constant",
        "depths: none",
    ]


def test_the_competitions_layout_is_known_by_its_table(tmp_path):
    folders = make_folders()
    files = {name: data for name, data in folders.items() if "/images/" in name} | {
        "train.csv": table("id,rle_mask", ["a,1 3", "b,", "c,1 48"]),
        "depths.csv": table("id,z", ["a,1", "b,2", "c,3", "x,4", "y,5"]),
    }
    found = inspect(write(tmp_path, files))
    assert (found.data.layout, found.data.shape) == ("competition", (HEIGHT, WIDTH))
    assert found.has_depths


def test_what_cannot_be_used_is_an_error_with_all_faults(tmp_path):
    files = make_folders() | {"train/images/a.png": b"", "train/masks/b.npy": npy(np.ones((2, 2)))}
    with pytest.raises(UserError, match=r"a.png \(content is not PNG\)"):
        inspect(write(tmp_path, files))
    with pytest.raises(UserError, match="make demo"):
        inspect(tmp_path / "nowhere")
