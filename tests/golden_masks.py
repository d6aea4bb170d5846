"""The 40 pairs of masks of tests/golden/rle_metric.json, by the formulas in that file, and what it says of them."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

SIDE = 101  # px
CONTENT = json.loads(Path(__file__).with_name("golden").joinpath("rle_metric.json").read_text())
TABLE = pd.DataFrame(CONTENT["pairs"], columns=CONTENT["columns"])  # a row per pair


def pair(number):
    """The true and the predicted mask of a pair, (101, 101) bool each."""
    i, j = np.mgrid[:SIDE, :SIDE]
    k = SIDE * j + i
    nothing, everything = i < 0, i >= 0
    if number < 10:
        edge = 10 + 8 * number
        return j >= edge, j >= edge + (3 * number) % 11 - 4
    if number < 20:
        q = number - 10
        radius = (8 + 3 * q) ** 2
        truth = (i - 50) ** 2 + (j - 50) ** 2 <= radius
        return truth, (i - 50 - q) ** 2 + (j - 50 + q // 2) ** 2 <= radius
    if number < 30:
        return k < 400, k < 20 * (number - 10)
    corner = (i == 100) & (j == 100)
    border = np.isin(i, (0, 100)) | np.isin(j, (0, 100))
    return {
        30: (nothing, nothing),
        31: (nothing, (i == 0) & (j == 0)),
        32: (everything, nothing),
        33: (everything, everything),
        34: (corner, corner),
        35: (nothing, everything),
        36: ((i // 10 + j // 10) % 2 == 1, (i // 10 + (j + 5) // 10) % 2 == 1),
        37: (j % 7 < 3, j % 7 < 4),
        38: (border, (i == 0) | (j == 0)),
        39: (i >= j, i > j),
    }[number]


def pairs():
    """All pairs: true and predicted masks, (40, 101, 101) uint8 in {0, 1} each."""
    truth, predicted = zip(*(pair(number) for number in TABLE["pair"]), strict=True)
    return np.stack(truth).astype(np.uint8), np.stack(predicted).astype(np.uint8)
