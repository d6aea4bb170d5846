from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from salt.data import rle
from tests import golden_masks

masks = arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.integers(0, 1))
numbers = st.integers(-3, 20) | st.sampled_from([2**63 - 1, 2**63, -(2**63), 10**40])
texts = st.text() | st.lists(numbers.map(str) | st.text(max_size=2)).map(" ".join)


def encode_slowly(mask):
    """Brute-force twin: walk down each column, left to right."""
    height, width = mask.shape
    runs, inside = [], False
    for pixel in range(height * width):
        value = mask[pixel % height, pixel // height]
        if value and not inside:
            runs.append([pixel + 1, 0])
        if value:
            runs[-1][1] += 1
        inside = bool(value)
    return " ".join(str(value) for run in runs for value in run)


@pytest.mark.parametrize(
    ("mask", "text"),
    [
        ([[0, 0], [0, 0]], ""),
        ([[1, 1], [1, 1]], "1 4"),
        ([[1, 0], [0, 0]], "1 1"),
        ([[0, 0], [1, 0]], "2 1"),  # down first
        ([[0, 1], [0, 0]], "3 1"),  # then right
        ([[0, 1, 0], [1, 0, 1]], "2 2 6 1"),  # a run goes on at the top of the next column
    ],
)
def test_examples_written_by_hand(mask, text):
    mask = np.array(mask, np.uint8)
    assert rle.encode(mask) == text
    np.testing.assert_array_equal(rle.decode(text, *mask.shape), mask)


@given(masks)
def test_decoding_gives_back_what_was_encoded(mask):
    decoded = rle.decode(rle.encode(mask), *mask.shape)
    assert decoded.dtype == np.uint8
    np.testing.assert_array_equal(decoded, mask)


@given(masks)
def test_encoding_equals_a_walk_over_the_pixels(mask):
    assert rle.encode(mask) == encode_slowly(mask)
    assert rle.encode(mask.astype(bool)) == encode_slowly(mask)
    assert rle.encode(mask * np.arange(1, mask.shape[1] + 1, dtype=np.uint8)) == encode_slowly(mask)


@given(texts)
def test_any_text_is_a_mask_or_a_value_error(text):
    with suppress(ValueError):
        mask = rle.decode(text, 5, 3)
        assert mask.shape == (5, 3)
        np.testing.assert_array_equal(rle.decode(rle.encode(mask), 5, 3), mask)


def test_runs_that_touch_are_one_area():
    np.testing.assert_array_equal(rle.decode("1 2 3 1", 4, 1)[:, 0], [1, 1, 1, 0])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 2 3", "3 values, but runs are pairs"),
        ("1 x", "'x' is not a whole number"),
        ("1 2.5", "'2.5' is not a whole number"),
        ("+1 1_0", r"'\+1' is not a whole number"),  # Python's int() takes either,
        ("1 \u0663", "'\u0663' is not a whole number"),  # and the digits of all scripts
        ("1 --2", "'--2' is not a whole number"),
        (f"1 {10**30}", f"'{10**29}' is not a whole number of at most 18 digits"),
        ("1 2 " * 1000, "4000 characters, but 6 pixels need 1000 at most"),
        ("0 2", r"run 1 \(0 2\) starts before pixel 1"),
        ("1 2 4 0", r"run 2 \(4 0\) is shorter"),
        ("5 3", "ends past the last pixel, 6"),
        (f"5 {2**63 - 1}", "ends past the last pixel, 6"),
        (f"{2**63 - 1} 5", "ends past the last pixel, 6"),
        ("1 3 3 1", "run 2 .* overlaps"),
        ("4 1 1 1", "run 2 .* not sorted"),
    ],
)
def test_what_is_wrong_is_said(text, message):
    with pytest.raises(ValueError, match=message):
        rle.decode(text, 2, 3)


def test_run_lengths_are_the_originals_both_ways():
    truth, predicted = golden_masks.pairs()
    for masks, name in ((truth, "truth"), (predicted, "predicted")):
        texts = golden_masks.TABLE[f"run lengths of {name}"]
        assert [rle.encode(mask) for mask in masks] == texts.tolist()
        np.testing.assert_array_equal(
            [rle.decode(text, *mask.shape) for text, mask in zip(texts, masks, strict=True)], masks
        )
        assert masks.sum(axis=(1, 2)).tolist() == golden_masks.TABLE[f"{name} px"].tolist()
