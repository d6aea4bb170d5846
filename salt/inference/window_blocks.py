"""The windows of many images in one sequence, predicted block by block.

Each block is a file that appears whole. After a kill, the same command predicts only the missing blocks.
"""

import hashlib
import math
import shutil
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from salt.data.image_files import Pixels
from salt.data.predictions import from_16_bits, in_16_bits
from salt.data.records import chunks, open_array
from salt.inference.input_images import Image
from salt.inference.trained_run import Ensemble
from salt.runtime.atomic import atomic_path
from salt.runtime.progress import Ticker
from schemas.results import PredictImagesSettings

# Pixels of a block. Each block loads all networks: with small blocks that would take a large share of a GPU's time.
# On a CPU the share is negligible, and a kill loses little work if blocks are small.
BLOCK = {"cuda": 2**25, "cpu": 2**20}


class Windows:
    """The windows of many images as one sequence."""

    def __init__(self, images: Sequence[Image]) -> None:
        self.images = images
        self.firsts = np.cumsum([0, *(len(image.windows) for image in images)])
        self._open: tuple[int, Pixels] = (-1, np.empty(0))  # the last image read

    def __len__(self) -> int:
        return int(self.firsts[-1])

    def take(self, rows: slice) -> npt.NDArray[np.uint8]:
        """The pixels of some windows, (n, h, w) or (n, h, w, 3) uint8."""
        return np.stack([self._window(number) for number in range(rows.start, rows.stop)])

    def of(self, image: int) -> range:
        """The numbers of an image's windows."""
        return range(self.firsts[image], self.firsts[image + 1])

    def _window(self, number: int) -> npt.NDArray[np.uint8]:
        image = int(np.searchsorted(self.firsts, number, "right")) - 1
        if self._open[0] != image:
            self._open = image, self.images[image].read()
        return self.images[image].window(self._open[1], number - self.firsts[image])


class Blocks:
    """Predictions of windows on disk: a folder of files (n, h, w) uint16, 65535 = 1."""

    def __init__(self, folder: Path, size: int) -> None:
        """size: windows per block; the last block may have fewer."""
        self.folder, self.size = folder, size

    @classmethod
    def of(cls, checkpoints: Path, settings: PredictImagesSettings, device: str) -> Self:
        """The blocks of one prediction, in their own folder below `checkpoints`. Deletes all other folders there.

        Predictions that differ only in the steps from probabilities to masks share their blocks.
        device: its type, "cpu" or "cuda"
        """
        prediction = settings.model_dump_json(exclude={"postprocess"})
        own = checkpoints / hashlib.sha256(prediction.encode()).hexdigest()[:16]
        own.mkdir(parents=True, exist_ok=True)
        for other in checkpoints.iterdir():
            if other != own:
                shutil.rmtree(other)
        return cls(own, max(1, BLOCK[device] // math.prod(settings.tile)))

    def predict(self, windows: Windows, ensemble: Ensemble) -> None:
        """Predict the windows of all missing blocks."""
        ahead = [rows for rows in chunks(len(windows), self.size) if not self._file(rows.start).exists()]
        ticker, done = Ticker("images", sum(rows.stop - rows.start for rows in ahead), unit="windows"), 0
        for rows in ahead:
            predicted = ensemble.predict(windows.take(rows), ticker, done)
            with atomic_path(self._file(rows.start)) as path, path.open("wb") as file:
                np.save(file, in_16_bits(predicted))
            done += len(predicted)

    def read(self, windows: range) -> Iterator[npt.NDArray[np.float32]]:
        """Yield the probabilities of some windows, (h, w) each."""
        for start, numbers in groupby(windows, lambda number: number // self.size * self.size):
            file = self._file(start)
            predicted = open_array(file, f"Delete {file}: the same command predicts its windows again.")
            for number in numbers:
                yield from_16_bits(predicted[number - start])

    def _file(self, start: int) -> Path:
        return self.folder / f"{self.size}_{start}.npy"  # the size in the name keeps blocks of different sizes apart
