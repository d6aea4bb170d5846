"""Images of any size: cut into overlapping windows of a tile's size, and blended from the windows' predictions.

Windows spread evenly over an axis, from border to border. Networks predict best in the middle of a window, so
predictions are weighted by a Hann window, which falls off to the border (Pielawski and Wählby 2020), and weights are
divided by their sum. Each axis is normalised on its own, so weights add to 1 at every pixel of the image.

An image smaller than a tile is mirrored at its lower and right border until it fills one.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from schemas.base import Shape

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Axis:
    """Windows along one axis of an image.

    length: of the image, px; window: length of a window, px; overlap: least share that neighbours overlap, 0..<1
    """

    length: int
    window: int
    overlap: float

    @cached_property
    def starts(self) -> npt.NDArray[np.int64]:
        """Starts of the windows, px, (n,), ascending."""
        last = max(0, self.length - self.window)
        step = max(1, math.floor(self.window * (1 - self.overlap)))
        return np.rint(np.linspace(0, last, 1 + math.ceil(last / step))).astype(np.int64)

    @cached_property
    def weights(self) -> Floats:
        """Weights of each window's pixels, (n, window) in 0..1; at every pixel, the weights of its windows add to 1."""
        hann = np.sin(np.pi * (np.arange(self.window) + 0.5) / self.window) ** 2  # reaches 0 half a pixel outside
        positions = self.starts[:, None] + np.arange(self.window)
        total = np.bincount(positions.ravel(), np.tile(hann, len(self.starts)))
        return (hann / total[positions]).astype(np.float32)


@dataclass(frozen=True)
class SlidingWindow:
    """The windows of one image, numbered down the first column of windows, then down the next.

    shape: height and width of the image, px; tile: height and width of a window, px
    overlap: least share that neighbouring windows overlap, 0..<1
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
        """One window of an image (H, W) or (H, W, 3): (h, w) or (h, w, 3) of the same dtype."""
        column, row = divmod(number, len(self.rows.starts))
        top, left = self.rows.starts[row], self.columns.starts[column]
        cut = image[top : top + self.tile[0], left : left + self.tile[1]]
        missing = [(0, side - there) for side, there in zip(self.tile, cut.shape[:2], strict=True)]
        return np.pad(cut, [*missing, *[(0, 0)] * (cut.ndim - 2)], "reflect")

    def blend(self, predictions: Iterable[npt.NDArray]) -> Iterator[Floats]:
        """Blend the predictions of all windows, (h, w) each, in the order of their numbers.

        Yields strips (H, some columns) from left to right, each as soon as no later window adds to it. So memory
        holds only the width of one window.
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
