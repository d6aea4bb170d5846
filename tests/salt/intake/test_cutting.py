import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from salt.intake.cutting import Place, cut, names, places

sides = st.tuples(st.integers(1, 40), st.integers(1, 40))


@given(sides, sides)
def test_tiles_cover_all_of_an_image_and_nothing_else(image, tile):
    drawn = np.zeros(image, int)
    for part in cut(drawn, tile):
        assert part.shape == tile
        part += 1
    smaller = image[0] < tile[0] or image[1] < tile[1]
    assert (drawn >= 1).all() != smaller
    if image[0] % tile[0] == image[1] % tile[1] == 0:
        assert (drawn <= 1).all()


@given(sides, sides)
def test_no_tile_could_be_left_out(image, tile):
    found = places(image, tile)
    assert len(found) in (0, -(-image[0] // tile[0]) * -(-image[1] // tile[1]))
    assert len({(place.row, place.column) for place in found}) == len(found)


def test_the_last_row_and_column_end_with_the_image():
    assert places((7, 5), (3, 5)) == [Place(0, 0, 0, 0), Place(1, 0, 3, 0), Place(2, 0, 4, 0)]
    assert places((2, 9), (3, 3)) == []


def test_an_image_of_one_tile_keeps_its_name():
    assert names("a", places((3, 3), (3, 3))) == ["a"]
    assert names("a", places((3, 5), (3, 3))) == ["a_r0_c0", "a_r0_c1"]


def test_colours_are_cut_with_their_pixels():
    image = np.arange(4 * 6 * 3).reshape(4, 6, 3)
    np.testing.assert_array_equal(cut(image, (4, 3))[1], image[:, 3:])
