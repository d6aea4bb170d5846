"""The competition's score of masks: IoU against ten thresholds, 0.50, 0.55 ... 0.95, a hit being IoU > t."""

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.uint8] | npt.NDArray[np.bool_]

IOU_PERCENT = np.arange(50, 100, 5)


def tile_scores(intersection: npt.ArrayLike, union: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Scores, in 0, 0.1 ... 1, of tiles whose two masks share `intersection` px and cover `union` px.

    Takes integers of any shape, returns float64 of that shape. Two empty masks (union 0) score 1; one empty mask, 0.
    Integers are compared, so an IoU of exactly 0.55 is never a hit at 0.55.
    """
    intersection, union = np.asarray(intersection, np.int64), np.asarray(union, np.int64)
    hits = 100 * intersection[..., None] > IOU_PERCENT * union[..., None]
    return np.where(union == 0, 1.0, hits.sum(-1) / len(IOU_PERCENT))


def score(predicted: Mask, truth: Mask) -> npt.NDArray[np.float64]:
    """Score of every tile, (n,) float64 in 0..1, from masks (n, H, W) of bool or uint8 in {0, 1}.

    The score of a set of tiles is the mean. Raises ValueError if the shapes differ.
    """
    _same_shape(predicted, truth)
    intersection = np.count_nonzero(predicted & truth, axis=(1, 2))
    union = np.count_nonzero(predicted | truth, axis=(1, 2))
    return tile_scores(intersection, union)


def threshold_scores(
    probabilities: npt.NDArray[np.float16], truth: Mask, thresholds: npt.ArrayLike
) -> npt.NDArray[np.float64]:
    """Score of every tile at every threshold, (n, k) float64; pixels with p > threshold are predicted to be salt.

    probabilities: (n, H, W) float16; truth: (n, H, W) bool or uint8 in {0, 1}; thresholds: (k,), any order.
    Both arrays may be memory maps: one tile is in memory at a time. Raises ValueError if the shapes differ, or if the
    probabilities have another type, since rounding to float16 could move them across a threshold.
    """
    _same_shape(probabilities, truth)
    if probabilities.dtype != np.float16:
        raise ValueError(f"probabilities are {probabilities.dtype}, not float16")
    thresholds = np.asarray(thresholds, np.float64)
    order = np.argsort(thresholds)
    passed = _thresholds_passed(thresholds[order])
    intersection, union = np.empty((2, len(truth), len(thresholds)), np.int64)
    for tile, (probability, mask) in enumerate(zip(probabilities, truth, strict=True)):
        code = passed[np.ascontiguousarray(probability).view(np.uint16)]
        code += np.multiply(mask, len(thresholds) + 1, dtype=np.intp)
        outside, inside = np.bincount(code.ravel(), minlength=2 * len(thresholds) + 2).reshape(2, -1)
        intersection[tile, order] = _passed_at_least(inside)
        union[tile, order] = _passed_at_least(outside) + inside.sum()
    return tile_scores(intersection, union)


def _thresholds_passed(thresholds: npt.NDArray[np.float64]) -> npt.NDArray[np.intp]:
    """Number of the sorted thresholds below each float16, indexed by its bit pattern: (65,536,).

    A lookup is much cheaper than k comparisons per pixel. NaN is greater than no threshold.
    """
    values = np.arange(2**16, dtype=np.uint16).view(np.float16).astype(np.float64)
    return np.where(np.isnan(values), 0, np.searchsorted(thresholds, values, side="left"))


def _passed_at_least(pixels: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """Counts of pixels above at least 1, 2 ... k thresholds, (k,), from counts for exactly 0, 1 ... k thresholds."""
    return pixels[:0:-1].cumsum()[::-1]


def _same_shape(predicted: npt.NDArray, truth: npt.NDArray) -> None:
    if predicted.shape != truth.shape:
        raise ValueError(f"predictions have the shape {predicted.shape}, the true masks {truth.shape}")
