"""Arrays of pixels that need not fit into memory: in files without names, which vanish with the program."""

import math
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Allocate = Callable[[tuple[int, ...]], Bytes]  # a shape -> zeros of that shape


def in_memory(shape: tuple[int, ...]) -> Bytes:
    """Zeros in memory."""
    return np.zeros(shape, np.uint8)


def in_folder(folder: Path) -> Allocate:
    """Allocates zeros in files of a folder, or of its nearest parent that exists, so that none is left behind."""
    folder = next(parent for parent in (folder, *folder.parents) if parent.is_dir())

    def allocate(shape: tuple[int, ...]) -> Bytes:
        if not math.prod(shape):  # an empty file cannot be mapped
            return in_memory(shape)
        with tempfile.TemporaryFile(dir=folder) as file:
            os.posix_fallocate(file.fileno(), 0, math.prod(shape))  # a full disk is an error here, not a SIGBUS later
            return np.memmap(file, np.uint8, "r+", shape=shape)

    return allocate
