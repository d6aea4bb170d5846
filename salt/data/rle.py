"""Run-length encoding of masks, as the competition writes it.

Pixels are numbered from 1, down the first column, then down the next. A mask is
`start length start length ...`; the empty string is an empty mask.
"""

import re
from contextlib import suppress

import numpy as np
import numpy.typing as npt

DIGITS = re.compile(r"[-0-9\s]*")  # int() also accepts 1_0, +1 and the digits of all scripts
INTEGER = re.compile(r"-?[0-9]{1,18}")


def encode(mask: npt.NDArray[np.uint8]) -> str:
    """The nonzero pixels of a mask, (H, W) uint8 or bool, in the fewest possible runs."""
    height, width = mask.shape
    column_major = np.zeros(height * width + 2, np.bool_)  # padded with False, so that every run has two ends
    column_major[1:-1].reshape(width, height)[:] = mask.T
    starts_and_ends = np.flatnonzero(column_major[1:] != column_major[:-1]) + 1
    starts_and_ends[1::2] -= starts_and_ends[::2]
    return " ".join(map(str, starts_and_ends.tolist()))


def decode(text: str, height: int, width: int) -> npt.NDArray[np.uint8]:
    """The mask, (height, width) uint8 in {0, 1}, that `text` describes.

    Raises ValueError for more text than the pixels can need, an odd number of values, values that are not integers,
    starts or lengths below 1, runs past the last pixel, and runs that overlap or are not sorted.
    """
    size = height * width
    values = _integers(text, size)
    starts, lengths = values[::2], values[1::2]
    gaps_and_runs = np.append(values, size + 1)
    gaps_and_runs[0] -= 1
    gaps_and_runs[2::2] -= starts + lengths  # a gap is a start minus the end of the previous run
    # A fast check of all runs; `_fault` finds the run and the reason only if it fails.
    if len(values) and (values.min() < 1 or values.max() > size or gaps_and_runs.min() < 0):
        raise ValueError(_fault(starts, lengths, size))
    column_major = np.repeat(np.arange(len(gaps_and_runs), dtype=np.uint8) & 1, gaps_and_runs)
    return np.ascontiguousarray(column_major.reshape(width, height).T)


def _integers(text: str, size: int) -> npt.NDArray[np.int64]:
    """The values of a text. A text longer than `size` pixels can need raises ValueError before it is split."""
    longest = max(1000, (size + 1) // 2 * 2 * (len(str(size)) + 1))  # if every other pixel is a run
    if len(text) > longest:
        raise ValueError(f"{len(text)} characters, but {size} pixels need {longest} at most")
    words = text.split()
    if len(words) % 2:
        raise ValueError(f"{len(words)} values, but runs are pairs of a start and a length")
    with suppress(ValueError, OverflowError):
        if DIGITS.fullmatch(text):
            return np.fromiter(map(int, words), np.int64, len(words))
    wrong = next(word for word in words if not INTEGER.fullmatch(word))
    raise ValueError(f"{wrong[:30]!r} is not a whole number of at most 18 digits")


def _fault(starts: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64], size: int) -> str:
    """The first kind of fault found, with its first run."""
    faults = (
        (starts < 1, "starts before pixel 1"),
        (lengths < 1, "is shorter than one pixel"),
        (lengths > size + 1 - starts, f"ends past the last pixel, {size}"),
        (np.append(False, np.diff(starts) < lengths[:-1]), "overlaps the run before it or is not sorted"),
    )
    wrong, what = next(fault for fault in faults if fault[0].any())
    run = int(wrong.argmax())
    return f"run {run + 1} ({starts[run]} {lengths[run]}) {what}"
