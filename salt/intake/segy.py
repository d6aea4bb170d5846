"""SEG-Y: a line is one image, a volume is one image per inline; samples run down, traces across.

segyio, an optional dependency, reads the files; it is imported only when there is one.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from schemas.errors import UserError

SUFFIXES = (".sgy", ".segy")
INLINE, CROSSLINE = 189, 193  # byte positions in the trace header: SEG-Y revision 1

Traces = npt.NDArray[np.int64]


def images(path: Path) -> dict[str, Traces]:
    """The images of a file by name: for each, the traces that are its columns, from left to right.

    A file is a volume if traces share inlines and share crosslines. Its images are then named
    `<stem>_inline<number>`, and their columns are in the order of crosslines. Otherwise it is a line, its traces in the
    file's order. Raises ValueError for a damaged file, or for several traces at one place of a volume.
    """
    with _opened(path) as file:
        inlines, crosslines = (np.asarray(file.attributes(place)[:], np.int64) for place in (INLINE, CROSSLINE))
    if not (_shared(inlines) and _shared(crosslines)):
        return {path.stem: np.arange(len(inlines))}
    order = np.lexsort((crosslines, inlines))
    same = (np.diff(inlines[order]) == 0) & (np.diff(crosslines[order]) == 0)
    if same.any():
        at = order[same.argmax()]
        raise ValueError(f"several traces at inline {inlines[at]}, crossline {crosslines[at]}, expected stacked data")
    numbers, firsts = np.unique(inlines[order], return_index=True)
    parts = np.split(order, firsts[1:])
    return {f"{path.stem}_inline{number}": part for number, part in zip(numbers, parts, strict=True)}


def read(path: Path, traces: Traces) -> npt.NDArray[np.float32]:
    """Amplitudes of some traces, (samples, traces) float32. Raises ValueError for NaN and infinite values."""
    with _opened(path) as file:
        pixels = np.empty((len(traces), len(file.samples)), np.float32)
        for row, trace in enumerate(traces):
            pixels[row] = file.trace[trace]
    if unknown := np.count_nonzero(~np.isfinite(pixels)):
        raise ValueError(f"{unknown} samples that are not numbers (NaN, infinite)")
    return pixels.T


def _shared(numbers: Traces) -> bool:
    """Whether several traces share a number, and not all share the same one."""
    return 1 < len(np.unique(numbers)) < len(numbers)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The open segyio file. Raises UserError if segyio is not installed, ValueError if it cannot read the file."""
    try:
        import segyio
    except ImportError:
        raise UserError(
            f"Expected the package segyio, which reads SEG-Y files such as {path}, and found it not installed. "
            "Run `pip install 'segyio>=1.9.13'` in this environment, or give images instead, then type the same "
            "command again."
        ) from None
    try:
        with segyio.open(path, ignore_geometry=True) as file:
            yield file
    except (OSError, RuntimeError, ValueError) as error:
        raise ValueError(f"damaged SEG-Y: {error}") from error
