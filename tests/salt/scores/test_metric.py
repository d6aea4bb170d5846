from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from salt.scores import metric
from tests import golden_masks

THRESHOLDS = [Fraction(percent, 100) for percent in range(50, 100, 5)]


def score_slowly(predicted, truth):
    """Brute-force twin: one tile, sets of pixels, exact fractions."""
    predicted = {tuple(pixel) for pixel in np.argwhere(predicted)}
    truth = {tuple(pixel) for pixel in np.argwhere(truth)}
    if not predicted or not truth:
        return float(predicted == truth)
    iou = Fraction(len(predicted & truth), len(predicted | truth))
    return sum(iou > threshold for threshold in THRESHOLDS) / 10


@pytest.mark.parametrize(
    ("intersection", "union", "expected"),
    [
        (0, 0, 1.0),  # both empty
        (0, 7, 0.0),  # one empty
        (7, 7, 1.0),
        (1, 2, 0.0),  # 0.50 is not above 0.50
        (11, 20, 0.1),  # 0.55 is above 0.50 only
        (7, 10, 0.4),  # 0.70, where 0.7 and 14 * 0.05 differ as floats
        (19, 20, 0.9),
        (5101, 10201, 0.1),
    ],
)
def test_examples_written_by_hand(intersection, union, expected):
    assert metric.tile_scores(np.array([intersection]), np.array([union])) == pytest.approx([expected])


def test_an_iou_of_exactly_a_threshold_is_no_hit_there():
    for hits, threshold in enumerate(THRESHOLDS):
        unions = np.arange(threshold.denominator, 10202, threshold.denominator)
        scores = metric.tile_scores(unions * threshold.numerator // threshold.denominator, unions)
        np.testing.assert_array_equal(scores, hits / 10)


def random_pairs(count, side):
    """Masks of all kinds: empty, full, equal, and everything from nearly equal to unrelated."""
    rng = np.random.default_rng(0)
    truth = rng.random((count, side, side)) < rng.random((count, 1, 1))
    flipped = rng.random((count, side, side)) < rng.random((count, 1, 1)) ** 2
    predicted = truth ^ flipped
    truth[::7], predicted[::11], truth[::13], predicted[::17] = False, False, True, True
    predicted[::19] = truth[::19]
    return predicted, truth


def test_scores_equal_those_of_sets_of_pixels_on_a_thousand_pairs():
    predicted, truth = random_pairs(1000, 5)
    expected = [score_slowly(*pair) for pair in zip(predicted, truth, strict=True)]
    assert len(set(expected)) == 11  # every score that there is
    np.testing.assert_array_equal(metric.score(predicted, truth), expected)
    np.testing.assert_array_equal(metric.score(predicted.astype(np.uint8), truth.astype(np.uint8)), expected)


@given(
    arrays(np.float16, (3, 4, 5), elements=st.floats(0, 1, width=16)),
    arrays(np.uint8, (3, 4, 5), elements=st.integers(0, 1)),
    st.lists(st.floats(0, 1) | st.floats(0, 1, width=16), max_size=6),
)
def test_every_column_of_threshold_scores_is_the_score_of_p_above_it(probabilities, truth, thresholds):
    scores = metric.threshold_scores(probabilities, truth, thresholds)
    assert scores.shape == (3, len(thresholds))
    for column, threshold in enumerate(thresholds):
        predicted = probabilities.astype(np.float64) > threshold
        np.testing.assert_array_equal(scores[:, column], metric.score(predicted, truth))


def test_a_probability_of_exactly_the_threshold_is_not_above_it():
    half = np.full((1, 1, 1), 0.5, np.float16)
    truth = np.ones((1, 1, 1), np.uint8)
    assert metric.threshold_scores(half, truth, [0.5, 0.4999]).tolist() == [[0.0, 1.0]]


def test_hundreds_of_thresholds_do_not_overflow():
    probabilities = np.linspace(0, 1, 16, dtype=np.float16).reshape(1, 4, 4)
    truth = (probabilities > 0.5).astype(np.uint8)
    scores = metric.threshold_scores(probabilities, truth, np.linspace(0, 1, 700))
    assert scores.max() == 1
    assert scores[0, -1] == 0


def test_nan_is_above_no_threshold():
    nan = np.full((1, 2, 2), np.nan, np.float16)
    assert metric.threshold_scores(nan, np.zeros((1, 2, 2), np.uint8), [0.5]) == 1


def test_no_tiles_have_no_scores():
    none = np.zeros((0, 4, 4), np.uint8)
    assert metric.score(none, none).shape == (0,)
    assert metric.threshold_scores(none.astype(np.float16), none, [0.5]).shape == (0, 1)


def test_different_shapes_are_refused():
    with pytest.raises(ValueError, match=r"\(2, 4, 4\), the true masks \(1, 4, 4\)"):
        metric.score(np.zeros((2, 4, 4), np.uint8), np.zeros((1, 4, 4), np.uint8))


def test_probabilities_that_would_be_rounded_are_refused():
    with pytest.raises(ValueError, match="float32, not float16"):
        metric.threshold_scores(np.zeros((1, 4, 4), np.float32), np.zeros((1, 4, 4), np.uint8), [0.5])


def test_the_scores_are_the_originals():
    golden, (truth, predicted) = golden_masks.TABLE, golden_masks.pairs()
    scores = metric.score(predicted, truth)
    assert len(scores) == 40
    assert scores.tolist() == pytest.approx(golden["score"].tolist(), abs=1e-9)
    assert scores.tolist() == pytest.approx(golden["score_in_training_of_bes"].tolist(), abs=1e-7)  # float32
    assert scores.mean() == pytest.approx(golden_masks.CONTENT["mean_score"], abs=1e-9)
    assert metric.tile_scores(golden["intersection"], golden["union"]).tolist() == scores.tolist()
    assert (predicted & truth).sum(axis=(1, 2)).tolist() == golden["intersection"].tolist()
    assert (predicted | truth).sum(axis=(1, 2)).tolist() == golden["union"].tolist()
