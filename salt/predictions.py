"""Predictions on disk: records (id, plain, tta) of float16 probabilities of salt."""

import numpy as np
import numpy.typing as npt

FIELDS = ("plain", "tta")  # the tile alone; the mean of the tile and its mirror image


def salt(probabilities: npt.NDArray[np.float16], threshold: float) -> npt.NDArray[np.bool_]:
    """Where p > threshold, of any shape. In float32: NumPy would round the threshold to the array's float16."""
    return probabilities.astype(np.float32) > threshold
