"""Predictions on disk: records (id, plain, tta) of float16 probabilities of salt; of other images, 16-bit PNGs.

A 16-bit PNG opens everywhere, its steps are finer than those of float16 near 1 (1/65535 and 1/2048), and it is smaller.
"""

import numpy as np
import numpy.typing as npt

ONE = 2**16 - 1  # of 16-bit probabilities
FIELDS = ("plain", "tta")  # the tile alone; the mean of the tile and its mirror image


def in_16_bits(probabilities: npt.NDArray[np.float32]) -> npt.NDArray[np.uint16]:
    """Probabilities of any shape as whole numbers, 65535 = 1; a tie goes down, so that 0.5 is not more than 0.5."""
    return np.ceil(np.clip(probabilities, 0, 1) * np.float32(ONE) - np.float32(0.5)).astype(np.uint16)


def from_16_bits(numbers: npt.NDArray[np.uint16]) -> npt.NDArray[np.float32]:
    """The probabilities of any shape that such numbers stand for."""
    return numbers.astype(np.float32) / np.float32(ONE)
