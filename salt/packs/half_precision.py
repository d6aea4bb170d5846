"""Weights of half precision: half the size, and what that costs, measured on tiles of the run."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.state_dicts import State, read_state
from salt.inference.trained_run import Ensemble
from salt.inference.weight_files import save_weights
from salt.runtime.paths import Run
from salt.runtime.progress import Ticker
from schemas.config import Compute
from schemas.errors import UserError
from schemas.results import TrainedEnsemble

TILES = 16  # that the loss is measured on; with all networks of the winning recipe, some minutes on a CPU


class Loss(NamedTuple):
    """What half precision changes: absolute differences of probabilities, and pixels of masks."""

    largest: float
    mean: float
    flipped: int
    pixels: int
    tiles: int


def convert(source: Path, target: Path) -> None:
    """Write a file of weights again with kernels as float16. Raises UserError if it cannot be read."""
    state, fault = read_state(source)
    if fault:
        raise UserError(
            f"Expected weights in {source}, found a file that cannot be read ({fault}). Delete it, and type the "
            "command of the run again, which makes it anew."
        )
    save_weights(target, halved(state))


def halved(state: State) -> dict[str, Tensor]:
    """Kernels, which are nearly all of the size, as float16; vectors stay float32.

    Of the two formats, float16 has 11 bits of precision and bfloat16 8. Its range, up to 65,504, would be too small
    for the running variances of batch norms, which are vectors.
    """
    return {name: value.half() if _fits(value) else value for name, value in state.items()}


def _fits(value: Tensor) -> bool:
    is_kernel = value.dtype == torch.float32 and value.ndim > 1 and value.numel() > 0
    return is_kernel and float(value.abs().max()) <= torch.finfo(torch.float16).max


def measured(ensemble: TrainedEnsemble, tiles: npt.NDArray[np.uint8], run: Run, half: Run, compute: Compute) -> Loss:
    """What changes when the networks of `half` predict tiles, (n, H, W) or (n, H, W, 3), in place of the run's own."""
    ticker = Ticker("half precision", 2 * len(tiles))
    full, other = (
        Ensemble(ensemble.models, ensemble.folds, ensemble.tile, of, compute).predict(tiles, ticker, before)
        for of, before in ((run, 0), (half, len(tiles)))
    )
    differences, threshold = np.abs(full - other), ensemble.postprocess.threshold
    flipped = int(((full > threshold) != (other > threshold)).sum())
    return Loss(float(differences.max()), float(differences.mean()), flipped, full.size, len(tiles))
