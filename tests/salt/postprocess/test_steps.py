import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from salt.data.predictions import ONE
from salt.postprocess import steps
from schemas.postprocess import EmptyConstant, FillHoles, Jigsaw, Postprocess, RemoveComponents, Threshold

some_masks = arrays.arrays(
    np.uint8, st.tuples(st.integers(0, 3), st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 1)
)
sizes = st.integers(0, 12)
EDGE = [(0, 1), (1, 0), (0, -1), (-1, 0)]
CORNER = [(1, 1), (1, -1), (-1, 1), (-1, -1)]


def flooded(mask, value, neighbours):
    """The components of a value in a mask, each a set of places, by a flood fill."""
    left = set(map(tuple, np.argwhere(mask == value).tolist()))
    while left:
        component, waiting = set(), [left.pop()]
        while waiting:
            place = waiting.pop()
            component.add(place)
            near = {(place[0] + down, place[1] + right) for down, right in neighbours} & left
            left -= near
            waiting += near
        yield component


def flipped(masks, value, neighbours, is_small):
    """All components of a value that are small get the other value."""
    expected = masks.copy()
    for before, after in zip(masks, expected, strict=True):
        for component in flooded(before, value, neighbours):
            if is_small(component, before.shape):
                after[tuple(zip(*component, strict=True))] = 1 - value
    return expected


@given(some_masks, sizes)
def test_components_are_those_of_a_flood_fill_over_edges_and_corners(masks, size):
    expected = flipped(masks, 1, EDGE + CORNER, lambda component, shape: len(component) < size)
    assert np.array_equal(steps.remove_components(masks, size), expected)


@given(some_masks, sizes)
def test_holes_are_those_of_a_flood_fill_over_edges_that_stays_off_the_border(masks, size):
    def is_small_hole(component, shape):
        inside = all(0 < row < shape[0] - 1 and 0 < column < shape[1] - 1 for row, column in component)
        return inside and len(component) < size

    assert np.array_equal(steps.fill_holes(masks, size), flipped(masks, 0, EDGE, is_small_hole))


cleanings = pytest.mark.parametrize("clean", [steps.remove_components, steps.fill_holes])


@cleanings
@given(masks=some_masks, size=sizes)
def test_a_second_time_changes_nothing_and_the_argument_stays_as_it_was(clean, masks, size):
    before = masks.copy()
    once = clean(masks, size)
    assert (once.dtype, once.shape) == (np.uint8, masks.shape)
    assert np.array_equal(clean(once, size), once)
    assert np.array_equal(masks, before)


@cleanings
@given(masks=some_masks, size=st.integers(0, 1))
def test_fewer_than_one_pixel_changes_nothing(clean, masks, size):
    assert np.array_equal(clean(masks, size), masks)


@pytest.mark.parametrize("size", [10, 10**12])
@given(masks=some_masks.filter(lambda masks: masks[0].size < 10 if len(masks) else True))
def test_a_size_beyond_the_tiles_removes_all_salt_and_leaves_holes_at_the_border_alone(size, masks):
    assert not steps.remove_components(masks, size).any()
    padded = np.pad(masks, ((0, 0), (1, 1), (1, 1)), constant_values=1)
    assert steps.fill_holes(padded, size).all()
    around = np.pad(masks, ((0, 0), (1, 1), (1, 1)))
    assert not steps.fill_holes(around, size)[:, 0].any()


def test_salt_that_touches_at_a_corner_is_one_component_and_parts_the_background():
    ring = np.array([[[0, 1, 0], [1, 0, 1], [0, 1, 0]]], np.uint8)
    assert np.array_equal(steps.remove_components(ring, 4), ring)
    assert not steps.remove_components(ring, 5).any()
    assert steps.fill_holes(ring, 2).tolist() == [[[0, 1, 0], [1, 1, 1], [0, 1, 0]]]


def test_constant_tiles_are_emptied_and_no_others():
    masks = np.ones((3, 2, 2), np.uint8)
    assert steps.empty_constant(masks, np.array([False, True, False])).sum(axis=(1, 2)).tolist() == [4, 0, 4]


# The threshold


ALL_HALVES = np.arange(2**16, dtype=np.uint16).view(np.float16)
ALL_HALVES = ALL_HALVES[np.isfinite(ALL_HALVES)]
THRESHOLDS = st.floats(0, 1, exclude_min=True, exclude_max=True)


@given(THRESHOLDS)
def test_every_float16_is_compared_in_float32(above):
    found = steps.threshold(ALL_HALVES, above)
    assert found.dtype == np.uint8
    assert np.array_equal(found, ALL_HALVES.astype(np.float64) > float(np.float32(above)))


@given(THRESHOLDS)
def test_every_16_bit_number_is_compared_exactly(above):
    numbers = np.arange(2**16, dtype=np.uint16)
    assert np.array_equal(steps.threshold(numbers, above), numbers.astype(np.float64) > above * ONE)


def test_the_threshold_is_not_rounded_to_the_arrays_precision():
    just_above = np.float16(0.7)  # 0.7002 in float16
    assert steps.threshold(np.array([just_above]), 0.7).tolist() == [1]
    assert (np.array([just_above]) > 0.7).tolist() == [False]  # what NumPy does by itself


def test_the_threshold_itself_is_not_salt():
    assert steps.threshold(np.array([0.5], np.float16), 0.5).tolist() == [0]
    assert steps.threshold(np.array([0, 2**15 - 1, 2**15, ONE], np.uint16), 0.5).tolist() == [0, 0, 1, 1]


# All of them


HOLED = np.array([[0, 1, 1, 1, 0], [0, 1, 0, 1, 0], [0, 1, 1, 1, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]], np.float16)


def made(*cleaning, constant=False):
    """The mask of a ring of 8 px around a hole."""
    (mask,) = steps.masks(HOLED[None], np.array([constant]), Postprocess((Threshold(), *cleaning)))
    return mask


def test_the_steps_come_in_the_order_of_the_list():
    fill, remove = FillHoles(smaller_than=2), RemoveComponents(smaller_than=9)
    assert made(fill, remove).sum() == 9
    assert made(remove, fill).sum() == 0


def test_a_threshold_alone_changes_nothing_else_and_the_jigsaw_rule_is_left_to_others():
    assert np.array_equal(made(), HOLED > 0.5)
    assert np.array_equal(made(Jigsaw(rule="extended")), HOLED > 0.5)
    assert np.array_equal(made(constant=True), HOLED > 0.5)
    assert not made(EmptyConstant(), constant=True).any()


def test_an_image_of_16_bit_numbers_gets_the_mask_of_its_probabilities():
    cleaning = (RemoveComponents(smaller_than=4), FillHoles(smaller_than=4))
    rng = np.random.default_rng(0)
    for height, width in itertools.product((5, 40), (6, 70)):
        numbers = rng.integers(0, 2**16, (1, height, width), dtype=np.uint16)
        found = steps.masks(numbers, np.zeros(1, bool), Postprocess((Threshold(), *cleaning)))
        expected = steps.fill_holes(steps.remove_components((numbers > ONE / 2).astype(np.uint8), 4), 4)
        assert np.array_equal(found, expected)
