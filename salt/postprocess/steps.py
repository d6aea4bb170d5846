"""The steps of schemas/postprocess.py that need only the tile itself: from probabilities to a cleaned mask.

Salt is 8-connected and background 4-connected, the usual pair: a diagonal line of salt is one component, and
separates the background on its two sides.
"""

import cv2
import numpy as np
import numpy.typing as npt

from salt.data.predictions import ONE
from schemas.postprocess import Cleaning, EmptyConstant, FillHoles, Postprocess, RemoveComponents

Probabilities = npt.NDArray[np.float16] | npt.NDArray[np.uint16]
Bools = npt.NDArray[np.bool_]
Masks = npt.NDArray[np.uint8]

SALT_CONNECTIVITY, BACKGROUND_CONNECTIVITY = 8, 4


def masks(probabilities: Probabilities, constant: Bools, steps: Postprocess) -> Masks:
    """Masks (n, H, W) uint8 in {0, 1} of tiles or of other images, without the jigsaw rule.

    probabilities: (n, H, W), float16 or 16-bit numbers (65535 = 1); constant: (n,), whether a tile has one grey value
    """
    found = threshold(probabilities, steps.threshold)
    for step in steps.cleaning:
        found = _clean(found, constant, step)
    return found


def _clean(found: Masks, constant: Bools, step: Cleaning) -> Masks:
    """Masks (n, H, W) after one step."""
    match step:
        case EmptyConstant():
            return empty_constant(found, constant)
        case RemoveComponents(smaller_than=size):
            return remove_components(found, size)
        case FillHoles(smaller_than=size):
            return fill_holes(found, size)


def threshold(probabilities: Probabilities, above: float) -> Masks:
    """Whether p > above, any shape. Compares in float32: in float16, NumPy would round `above`."""
    if probabilities.dtype == np.uint16:
        return (probabilities > above * ONE).astype(np.uint8)
    return (probabilities.astype(np.float32) > above).astype(np.uint8)


def empty_constant(found: Masks, constant: Bools) -> Masks:
    """Masks (n, H, W), emptied for constant tiles; constant: (n,)."""
    return np.where(constant[:, None, None], np.uint8(0), found)


def remove_components(found: Masks, smaller_than: int) -> Masks:
    """Masks (n, H, W) without components of salt of fewer than `smaller_than` pixels."""
    cleaned = found.copy()
    for mask in cleaned:
        labels, stats = _components(mask, SALT_CONNECTIVITY)
        small = stats[:, cv2.CC_STAT_AREA] < smaller_than
        mask[small[labels]] = 0
    return cleaned


def fill_holes(found: Masks, smaller_than: int) -> Masks:
    """Masks (n, H, W) with holes of fewer than `smaller_than` pixels filled.

    A hole is a component of background that does not touch the border.
    """
    height, width = found.shape[1:]
    filled = found.copy()
    for mask in filled:
        labels, stats = _components(1 - mask, BACKGROUND_CONNECTIVITY)
        left, top, across, down, area = stats.T
        inside = (left > 0) & (top > 0) & (left + across < width) & (top + down < height)
        mask[(inside & (area < smaller_than))[labels]] = 1
    return filled


def _components(mask: Masks, connectivity: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Labels (H, W) of the components of ones in a mask (H, W), and the box and area of each label, (k, 5).

    Label 0 covers all zeros. Callers may treat it as a component, since they would set it to the value that it has.
    """
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=connectivity)
    return np.asarray(labels, np.int32), np.asarray(stats, np.int32)
