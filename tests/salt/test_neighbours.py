import cv2
import numpy as np
import pytest

from salt import neighbours
from salt.neighbours import find_neighbours, seam_lines
from salt.survey import make_tiles
from schemas.config import Mosaics, Survey

SIDE = 41


def cut(rows, columns, seed=0):
    """(rows x columns, SIDE, SIDE) tiles of a smooth random section, row by row, each stretched alone."""
    noise = np.random.default_rng(seed).standard_normal((rows * SIDE, columns * SIDE)).astype(np.float32)
    section = cv2.GaussianBlur(noise, (0, 0), 2.0)
    tiles = section.reshape(rows, SIDE, columns, SIDE).swapaxes(1, 2).reshape(-1, SIDE, SIDE)
    low, high = tiles.min((1, 2), keepdims=True), tiles.max((1, 2), keepdims=True)
    return ((tiles - low) / (high - low) * 255).astype(np.uint8)


def found(images, **settings):
    pairs = find_neighbours(images, Mosaics(**settings))
    return {tuple(row) for row in pairs[["first", "second", "down", "right"]].to_numpy().tolist()}


def test_all_neighbours_of_a_section_are_found_and_no_others():
    right = {(tile, tile + 1, 0, 1) for tile in (0, 1, 3, 4)}
    below = {(tile, tile + 3, 1, 0) for tile in (0, 1, 2)}
    assert found(cut(2, 3)) == right | below


def test_sections_are_not_joined():
    both = found(np.concatenate([cut(2, 2, seed=1), cut(2, 2, seed=2)]))
    assert all((first < 4) == (second < 4) for first, second, _, _ in both)
    assert len(both) == 8


def test_gain_and_offset_of_a_tile_do_not_matter():
    images = cut(2, 2)
    images[1] = images[1] // 3 + 100
    assert len(found(images)) == 4


def test_constant_tiles_have_no_neighbours():
    images = cut(1, 4)
    images[1:3] = 0
    assert found(images) == set()


def test_of_two_equal_tiles_neither_is_a_neighbour_unless_a_square_decides():
    images = cut(1, 2)
    assert found(np.concatenate([images, images[1:]])) == set()


def test_a_square_confirms_what_alone_would_be_ambiguous():
    images = cut(2, 2)
    assert len(found(images, max_ambiguity=1e-6)) == 4
    assert found(images[:3], max_ambiguity=1e-6) == set()


def test_pairs_of_squares_come_first_then_the_most_similar():
    pairs = find_neighbours(cut(2, 3)[:5], Mosaics())  # a square, and one tile beside it
    assert pairs.iloc[-1][["first", "second"]].tolist() == [1, 2]
    assert (np.diff(pairs["similarity"][:4]) <= 0).all()


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_tiles_have_no_neighbours(count):
    assert found(cut(1, 2)[:count]) == set()


def test_the_size_of_the_blocks_does_not_matter(monkeypatch):
    images = cut(3, 4)
    whole = find_neighbours(images, Mosaics())
    monkeypatch.setattr(neighbours, "BLOCK", 5)
    assert found(images) == {tuple(row) for row in whole.iloc[:, :4].to_numpy().tolist()}


@pytest.mark.parametrize(("side", "expected"), [("left", -0.5), ("right", 6.5), ("top", -0.5), ("bottom", 4.5)])
def test_a_parabola_is_extended_to_the_seam_exactly(side, expected):
    rows, columns = np.mgrid[0:5, 0:7]
    # Along the seam the value changes with the other coordinate; across it, it is a parabola.
    across, along = (columns, rows) if side in ("left", "right") else (rows, columns)
    image = (across**2 + 2 * across + 20 * along * along % 83 + 3 * along * across).astype(np.uint8)
    along = np.arange(5 if side in ("left", "right") else 7)
    line = expected**2 + 2 * expected + 20 * along * along % 83 + 3 * along * expected
    line = line - line.mean()
    np.testing.assert_allclose(seam_lines(image[None], side)[0], line / np.linalg.norm(line), rtol=1e-4)


def test_most_neighbours_of_a_synthetic_survey_are_found_and_nearly_all_that_are_found_are_right():
    tiles = make_tiles(Survey(sections=3, rows=(4, 4), columns=(5, 5), missing=0.1), tile=101)
    at = {(tile.mosaic, tile.row, tile.column): number for number, tile in enumerate(tiles)}
    flat = {number for number, tile in enumerate(tiles) if tile.image.min() == tile.image.max()}
    truth = {
        (tile, at[mosaic, row + down, column + right], down, right)
        for (mosaic, row, column), tile in at.items()
        for down, right in ((0, 1), (1, 0))
        if (mosaic, row + down, column + right) in at
    }
    truth = {pair for pair in truth if not flat & set(pair[:2])}
    pairs = found(np.stack([tile.image for tile in tiles]))
    assert len(pairs & truth) >= 0.99 * len(pairs)
    assert len(pairs & truth) >= 0.8 * len(truth)
