"""Images of any size: cut into overlapping windows of a tile's size, blended from their predictions.

Windows are spread evenly over an axis, from border to border. A network is surest in the middle of its window, so
predictions weigh by a Hann window, which falls off to the border (Pielawski and Wählby 2020), and weights are divided
by their sum. Each axis does this on its own, and so weights add to 1 at every pixel of the image.

An image smaller than a tile is mirrored at its lower and right border until it fills one.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from schemas.section import Shape

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Axis:
    """Windows along one axis of an image.

    length: of the image, px; window: of a window, px; overlap: least share that neighbours have in common, 0..<1
    """

    length: int
    window: int
    overlap: float

    @cached_property
    def starts(self) -> npt.NDArray[np.int64]:
        """Where the windows begin, px, (n,) and sorted."""
        last = max(0, self.length - self.window)
        step = max(1, math.floor(self.window * (1 - self.overlap)))
        return np.rint(np.linspace(0, last, 1 + math.ceil(last / step))).astype(np.int64)

    @cached_property
    def weights(self) -> Floats:
        """Weights of each window's pixels, (n, window) in 0..1: those of all windows that hold a pixel add to 1."""
        hann = np.sin(np.pi * (np.arange(self.window) + 0.5) / self.window) ** 2  # 0 half a pixel outside
        places = self.starts[:, None] + np.arange(self.window)
        total = np.bincount(places.ravel(), np.tile(hann, len(self.starts)))
        return (hann / total[places]).astype(np.float32)


@dataclass(frozen=True)
class SlidingWindow:
    """The windows of one image, numbered down the first column of windows, then down the next.

    shape: height and width of the image, px; tile: those of a window; overlap: of neighbours, share of the window
    """

    shape: Shape
    tile: Shape
    overlap: float

    @cached_property
    def rows(self) -> Axis:
        """Windows from top to bottom."""
        return Axis(self.shape[0], self.tile[0], self.overlap)

    @cached_property
    def columns(self) -> Axis:
        """Windows from left to right."""
        return Axis(self.shape[1], self.tile[1], self.overlap)

    def __len__(self) -> int:
        return len(self.rows.starts) * len(self.columns.starts)

    @property
    def is_cut(self) -> bool:
        """Whether the image is larger than a tile."""
        return len(self) > 1

    def window(self, image: npt.NDArray, number: int) -> npt.NDArray:
        """One window of the image, (H, W) or (H, W, 3): (h, w) or (h, w, 3) of the same type."""
        column, row = divmod(number, len(self.rows.starts))
        top, left = self.rows.starts[row], self.columns.starts[column]
        cut = image[top : top + self.tile[0], left : left + self.tile[1]]
        missing = [(0, side - there) for side, there in zip(self.tile, cut.shape[:2], strict=True)]
        return np.pad(cut, [*missing, *[(0, 0)] * (cut.ndim - 2)], "reflect")

    def blend(self, predictions: Iterable[npt.NDArray]) -> Iterator[Floats]:
        """The image's probabilities from those of its windows, (h, w) each, by number.

        Yields strips (H, some columns), from left to right, as soon as no later window adds to them: what is in memory
        is as wide as a window.
        """
        windows = iter(predictions)
        height, width = self.shape
        starts = self.columns.starts
        strip = np.zeros((max(height, self.tile[0]), self.tile[1]), np.float32)
        for start, end, across in zip(starts, [*starts[1:], width], self.columns.weights, strict=True):
            for top, down in zip(self.rows.starts, self.rows.weights, strict=True):
                strip[top : top + self.tile[0]] += down[:, None] * across * next(windows)
            yield strip[:height, : end - start].copy()
            strip = np.pad(strip[:, end - start :], [(0, 0), (0, end - start)])
