import itertools

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from salt.mosaics import neighbours
from salt.mosaics.neighbours import SIDES, find_neighbours, seam_lines
from schemas.data import Mosaics

SIDE = 41


def cut(rows, columns, seed=0, height=SIDE, width=SIDE):
    """(rows x columns, height, width) tiles of a smooth random section, row by row, each stretched alone."""
    noise = np.random.default_rng(seed).standard_normal((rows * height, columns * width)).astype(np.float32)
    section = cv2.GaussianBlur(noise, (0, 0), 2.0)
    tiles = section.reshape(rows, height, columns, width).swapaxes(1, 2).reshape(-1, height, width)
    low, high = tiles.min((1, 2), keepdims=True), tiles.max((1, 2), keepdims=True)
    return ((tiles - low) / (high - low) * 255).astype(np.uint8)


def find(images, groups=None, **settings):
    seams = {side: seam_lines(images, side) for side in SIDES}
    return find_neighbours(seams, np.arange(len(images)) if groups is None else groups, Mosaics(**settings))


def found(images, groups=None, **settings):
    pairs = find(images, groups, **settings)
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


def test_a_square_may_have_a_side_that_only_one_of_its_tiles_likes_best():
    seams = {side: np.zeros((5, 4), np.float32) for side in SIDES}
    seams["right"][0], seams["left"][1] = (1, 0, 0, 0), (1, 0, 0, 0)
    seams["right"][2], seams["left"][3], seams["left"][4] = (0, 1, 0, 0), (0, 0.8, 0.6, 0), (0, 0.96, 0, 0.28)
    seams["bottom"][:2], seams["top"][2:4] = np.eye(4)[:2], np.eye(4)[:2]
    pairs = find_neighbours(seams, np.arange(5), Mosaics(max_ambiguity=1e-9))
    rows = pairs[["first", "second", "down", "right", "loops"]].to_numpy().tolist()
    assert rows == [[0, 1, 0, 1, 1], [0, 2, 1, 0, 1], [1, 3, 1, 0, 1]]


def test_of_two_matches_that_are_as_good_as_perfect_neither_is_taken():
    seams = {side: np.zeros((3, 2), np.float32) for side in SIDES}
    seams["right"][0], seams["left"][1] = (1, 0), (1, 0)
    for similarity, pairs in ((0.9995, 0), (0.998, 1)):
        seams["left"][2] = similarity, np.sqrt(1 - similarity**2)
        assert len(find_neighbours(seams, np.arange(3), Mosaics())) == pairs


def test_the_squares_that_confirm_a_pair_are_counted():
    pairs = find(cut(3, 3))
    inner = {(3, 4), (4, 5), (1, 4), (4, 7)}
    assert len(pairs) == 12
    for pair in pairs.itertuples():
        assert pair.loops == (2 if (pair.first, pair.second) in inner else 1)
    assert (find(cut(1, 4))["loops"] == 0).all()


def test_the_surest_pairs_come_first_by_squares_and_then_by_similarity():
    pairs = find(cut(3, 3)[:8])  # the pair 4, 5 has lost one of its two squares
    assert (np.diff(pairs["loops"]) <= 0).all()
    assert pairs.groupby("loops")["similarity"].apply(lambda similarity: similarity.is_monotonic_decreasing).all()


def test_a_mirrored_copy_is_no_neighbour_although_its_border_is_the_same():
    image = cut(1, 1)[0]
    images = np.stack([image, image[:, ::-1], image[::-1], image[::-1, ::-1]])
    assert len(found(images, max_ambiguity=1)) > 0
    assert found(images, groups=np.zeros(4, int), max_ambiguity=1) == set()


def test_tiles_of_a_group_do_not_hide_each_others_neighbours():
    images = cut(2, 3)
    images = np.concatenate([images, images[:, :, ::-1]])
    right = {(tile, tile + 1, 0, 1) for tile in (0, 1, 3, 4)} | {(tile, tile - 1, 0, 1) for tile in (7, 8, 10, 11)}
    below = {(tile, tile + 3, 1, 0) for tile in (0, 1, 2, 6, 7, 8)}
    assert found(images, groups=np.arange(12) % 6) == right | below


@pytest.mark.parametrize(("height", "width"), [(30, 50), (50, 30)])
def test_tiles_need_not_be_square(height, width):
    assert len(found(cut(2, 3, height=height, width=width))) == 7


@pytest.mark.parametrize(("height", "width"), [(3, 3), (3, 8), (5, 4)])
def test_tiles_can_be_as_small_as_what_is_extrapolated(height, width):
    pairs = find(cut(4, 5, height=height, width=width))
    assert pairs["similarity"].between(0.5, 1.0001).all()


def by_hand(seams, groups, settings):
    """A slow twin of find_neighbours: {(first, second, down, right): (similarity, next_best, loops)}."""
    tiles = range(len(groups))
    likeness, close = {}, {}
    for step, ahead, behind in (((0, 1), "right", "left"), ((1, 0), "bottom", "top")):
        allowed = [(i, j) for i, j in itertools.product(tiles, tiles) if groups[i] != groups[j]]
        likeness[step] = {(i, j): float(seams[ahead][i] @ seams[behind][j]) for i, j in allowed}
        row = {i: [j for k, j in allowed if k == i] for i in tiles}
        column = {j: [i for i, k in allowed if k == j] for j in tiles}
        best = {(i, max(row[i], key=lambda j: likeness[step][i, j])) for i in tiles if row[i]}
        back = {(max(column[j], key=lambda i: likeness[step][i, j]), j) for j in tiles if column[j]}
        near = {pair for pair in allowed if likeness[step][pair] >= settings.min_similarity}
        close[step] = (best | back) & near, best & back & near
    pairs = {}
    for step, across in (((0, 1), (1, 0)), ((1, 0), (0, 1))):
        (candidates, mutual), (steps, _) = close[step], close[across]
        for i, j in mutual:
            after = any((i, a) in steps and (j, b) in steps for a, b in candidates)
            before = any((a, i) in steps and (b, j) in steps for a, b in candidates)
            others = [s for pair, s in likeness[step].items() if pair != (i, j) and (pair[0] == i or pair[1] == j)]
            similarity, next_best = likeness[step][i, j], max(others, default=-1)
            clear = 1 - similarity <= settings.max_ambiguity * (1 - next_best) and next_best < neighbours.PERFECT
            if after or before or clear:
                pairs[i, j, *step] = (similarity, next_best, after + before)
    return pairs


@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(2, 4), st.integers(1, 12), st.floats(0.1, 0.9))
def test_what_is_found_is_what_a_search_of_all_pairs_finds(seed, count, length, families, ambiguity):
    rng = np.random.default_rng(seed)
    seams = {side: rng.standard_normal((count, length)).astype(np.float32) for side in SIDES}
    seams = {side: lines / np.linalg.norm(lines, axis=1, keepdims=True) for side, lines in seams.items()}
    groups, wanted = rng.integers(0, families, count), Mosaics(min_similarity=0.2, max_ambiguity=ambiguity)
    pairs = find_neighbours(seams, groups, wanted)
    expected = by_hand(seams, groups, wanted)
    keys = [tuple(key) for key in pairs[["first", "second", "down", "right"]].to_numpy().tolist()]
    assert sorted(keys) == sorted(expected)
    values = pairs[["similarity", "next_best", "loops"]].to_numpy()
    np.testing.assert_allclose(values, np.array([expected[key] for key in keys]).reshape(-1, 3), atol=1e-5)


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_tiles_have_no_neighbours(count):
    assert found(cut(1, 2)[:count]) == set()


def test_the_size_of_the_blocks_does_not_matter(monkeypatch):
    images = cut(3, 4)
    whole = found(images)
    monkeypatch.setattr(neighbours, "BLOCK_BYTES", 5 * 12 * 4)
    assert found(images) == whole


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
