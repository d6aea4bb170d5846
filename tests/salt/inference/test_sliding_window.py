import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from salt.inference.sliding_window import Axis, SlidingWindow

sides = st.integers(1, 40)
sliding_windows = st.builds(
    SlidingWindow, st.tuples(sides, sides), st.tuples(st.integers(1, 12), st.integers(1, 12)), st.floats(0, 0.9)
)


def blended(windows, predictions):
    return np.concatenate(list(windows.blend(predictions)), axis=1)


def brute_force(windows, predictions, order):
    """All windows added to a whole image, and divided by all their weights."""
    hann = [np.sin(np.pi * (np.arange(side) + 0.5) / side) ** 2 for side in windows.tile]
    weights = np.outer(*hann)
    total = np.zeros(np.maximum(windows.shape, windows.tile))
    summed = np.zeros_like(total)
    for number in order:
        column, row = divmod(number, len(windows.rows.starts))
        top, left = windows.rows.starts[row], windows.columns.starts[column]
        summed[top : top + windows.tile[0], left : left + windows.tile[1]] += weights * predictions[number]
        total[top : top + windows.tile[0], left : left + windows.tile[1]] += weights
    return (summed / total)[: windows.shape[0], : windows.shape[1]]


@given(st.integers(1, 300), st.integers(1, 60), st.floats(0, 0.95))
def test_windows_reach_from_border_to_border_and_overlap_as_asked(length, window, overlap):
    starts = Axis(length, window, overlap).starts
    assert starts[0] == 0
    assert starts[-1] == max(0, length - window)
    assert (np.diff(starts) > 0).all()
    assert (np.diff(starts) <= max(1, window * (1 - overlap)) + 1).all()  # starts are whole pixels


@given(st.integers(1, 300), st.integers(1, 60), st.floats(0, 0.95))
def test_weights_add_to_one_at_every_pixel(length, window, overlap):
    axis = Axis(length, window, overlap)
    total = np.zeros(max(length, window))
    for start, weights in zip(axis.starts, axis.weights, strict=True):
        assert (weights > 0).all()
        total[start : start + window] += weights
    assert np.abs(total - 1).max() < 1e-6


@given(sliding_windows, st.floats(0, 1, width=32))
def test_a_constant_prediction_stays_as_it_is(windows, value):
    found = blended(windows, [np.full(windows.tile, value, np.float32)] * len(windows))
    assert found.shape == windows.shape
    assert np.abs(found - value).max() < 1e-6


@given(sliding_windows, st.integers(0, 99))
def test_a_blend_is_that_of_all_windows_at_once_in_any_order(windows, seed):
    rng = np.random.default_rng(seed)
    predictions = rng.random((len(windows), *windows.tile), np.float32)
    expected = brute_force(windows, predictions, rng.permutation(len(windows)))
    assert np.abs(blended(windows, predictions) - expected).max() < 1e-5


@given(sliding_windows, st.integers(0, 99))
def test_windows_of_an_image_blend_to_the_image(windows, seed):
    image = np.random.default_rng(seed).random(windows.shape, np.float32)
    found = blended(windows, [windows.window(image, number) for number in range(len(windows))])
    assert np.abs(found - image).max() < 1e-5


def test_an_image_of_a_tiles_size_is_one_window_and_its_blend_the_prediction():
    windows = SlidingWindow((101, 101), (101, 101), 0.5)
    prediction = np.random.default_rng(0).random((101, 101), np.float32)
    assert len(windows) == 1
    assert not windows.is_cut
    assert np.array_equal(blended(windows, [prediction]), prediction)


def test_a_smaller_image_is_mirrored_below_and_to_the_right():
    image = np.arange(6, dtype=np.uint8).reshape(2, 3)
    windows = SlidingWindow((2, 3), (4, 5), 0.5)
    assert windows.window(image, 0).tolist() == [[0, 1, 2, 1, 0], [3, 4, 5, 4, 3]] * 2
    colours = np.stack([image] * 3, axis=2)
    assert np.array_equal(windows.window(colours, 0)[..., 1], windows.window(image, 0))


def test_the_middle_of_a_window_weighs_more_than_its_border():
    weights = Axis(300, 100, 0.5).weights[2]
    assert weights.argmax() in (49, 50)
    assert weights[0] < 0.001
    assert (np.diff(weights[:50]) > 0).all()


@pytest.mark.parametrize("overlap", [0, 0.5, 0.75])
def test_a_window_is_the_part_of_the_image_where_it_begins(overlap):
    image = np.arange(20 * 30).reshape(20, 30)
    windows = SlidingWindow((20, 30), (8, 10), overlap)
    for number in range(len(windows)):
        window = windows.window(image, number)
        top, left = divmod(int(window[0, 0]), 30)
        assert top in windows.rows.starts
        assert left in windows.columns.starts
        assert np.array_equal(window, image[top : top + 8, left : left + 10])
