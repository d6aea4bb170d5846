import base64
import re

import cv2
import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from salt.drawing import pictures

masks = arrays.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 1))


def decoded(picture):
    data = base64.b64decode(picture.image.split(",")[1])
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)


@given(masks)
def test_an_outline_is_the_edges_between_salt_and_the_rest(mask):
    drawn = set()
    for x, y, way, length in re.findall(r"M(\d+) (\d+)([hv])(\d+)", pictures.outline(mask)):
        for step in range(int(length)):
            drawn.add((int(x) + step, int(y), "h") if way == "h" else (int(x), int(y) + step, "v"))
    height, width = mask.shape
    edges = {(x, y, "h") for y in range(1, height) for x in range(width) if mask[y - 1, x] != mask[y, x]}
    edges |= {(x, y, "v") for y in range(height) for x in range(1, width) if mask[y, x - 1] != mask[y, x]}
    assert drawn == edges


def test_a_mask_has_no_border_along_the_edge_of_the_image():
    assert pictures.outline(np.ones((5, 5), bool)) == ""


def test_a_picture_holds_the_image_bit_by_bit():
    image = np.random.default_rng(0).integers(0, 256, (7, 5), np.uint8)
    picture = pictures.picture(image, true=image > 128)
    assert (picture.height, picture.width) == (7, 5)
    np.testing.assert_array_equal(decoded(picture), image)


def test_a_picture_in_colour_has_red_first():
    image = np.random.default_rng(0).integers(0, 256, (7, 5, 3), np.uint8)
    np.testing.assert_array_equal(decoded(pictures.picture(image))[..., ::-1], image)


def test_probabilities_are_blue_below_a_half_white_at_it_and_orange_above():
    blue, white, orange = pictures.probability_map(np.array([[0, 0.5, 1]], np.float16))[0]
    assert blue[2] > blue[0]
    assert len(set(white)) == 1
    assert orange[0] > orange[2]


@given(st.integers(0, 50), st.integers(2, 12))
def test_evenly_spread_positions_are_distinct_and_reach_both_ends(count, wanted):
    places = pictures.evenly_spaced(count, wanted)
    assert len(set(places)) == len(places) == min(count, wanted)
    if count:
        assert (places[0], places[-1]) == (0, count - 1)


def test_a_mosaic_shows_its_gaps_its_changed_tiles_and_its_salt_across_tiles():
    places = pd.DataFrame({"row": [0, 1, 1], "column": [0, 0, 1], "kind": ["known", "changed", "final"]})
    images = [np.full((8, 8), 200, np.uint8)] * 3
    salt = np.zeros((8, 8), np.uint8)
    salt[:, :4] = 1
    picture = pictures.draw_mosaic(places, images, [salt, salt, np.zeros_like(salt)])
    assert (picture.height, picture.width) == (16, 16)
    assert picture.outlines == {
        "gap": "M8 0h8v8h-8z",
        "labelled": "M0 0h8v8h-8z",
        "salt": "M4 0v16",
        "changed": "M0 8h8v8h-8z",
    }
    colours = decoded(picture)[[4, 12, 12], [1, 1, 9]].astype(int)  # BGR of known, of changed and of no salt
    assert colours[0, 0] > colours[0, 2]
    assert colours[1, 0] < colours[1, 2]
    assert np.ptp(colours[2]) < 20


def test_tiles_that_are_not_square_or_in_colour_make_a_mosaic_too():
    places = pd.DataFrame({"row": [0, 1], "column": [0, 1], "kind": "final"})
    red, empty = np.zeros((8, 12, 3), np.uint8), np.zeros((8, 12), np.uint8)
    red[..., 0] = 255
    picture = pictures.draw_mosaic(places, [red, red], [empty, empty])
    assert (picture.height, picture.width) == (16, 24)
    assert picture.outlines["gap"] == "M12 0h12v8h-12zM0 8h12v8h-12z"
    blue, green, bright = decoded(picture)[3, 5]
    assert bright > 240 > 10 > max(blue, green)


def test_the_picture_of_a_large_mosaic_is_made_smaller():
    count = 40
    places = pd.DataFrame({"row": 0, "column": range(count), "kind": "known"})
    tile = np.zeros((101, 101), np.uint8)
    picture = pictures.draw_mosaic(places, [tile] * count, [tile] * count)
    assert (picture.height, picture.width) == (40, 1600)
    assert decoded(picture).shape == (40, 1600, 3)
