"""Predictions on disk: records (id, plain, tta) of float16 probabilities of salt; for other images, 16-bit PNGs.

Only scores read `plain`. So predictions of test tiles whose masks nobody knows are records (id, tta), half as large.

Every program opens 16-bit PNGs. Their steps are finer than those of float16 near 1 (1/65535 and 1/2048), and they are
smaller. Soft pseudo-labels have 8 bits, as images do.
"""

import numpy as np
import numpy.typing as npt

ONE = 2**16 - 1  # probability 1 in 16 bits
ONE_IN_8_BITS = 2**8 - 1
FIELDS = ("plain", "tta")  # the tile alone; the mean of the tile and its mirror image
UNSCORED = ("tta",)  # the field that all but scores read


def in_16_bits(probabilities: npt.NDArray[np.float32]) -> npt.NDArray[np.uint16]:
    """Probabilities of any shape as integers, 65535 = 1. Ties round down, so that 0.5 does not exceed 0.5."""
    return _scaled(probabilities, ONE).astype(np.uint16)


def in_8_bits(probabilities: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Probabilities of any shape as integers, 255 = 1; above 127 exactly where p > 0.5."""
    return _scaled(probabilities, ONE_IN_8_BITS).astype(np.uint8)


def from_16_bits(numbers: npt.NDArray[np.uint16]) -> npt.NDArray[np.float32]:
    """The inverse of `in_16_bits`, for any shape."""
    return numbers.astype(np.float32) / np.float32(ONE)


def _scaled(probabilities: npt.NDArray[np.float32], one: int) -> npt.NDArray[np.float32]:
    return np.ceil(np.clip(probabilities, 0, 1) * np.float32(one) - np.float32(0.5))
