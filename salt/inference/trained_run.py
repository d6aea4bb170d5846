"""The networks of a trained run, which predict together: a mean over models, folds and snapshots, with mirroring.

They do not fit into memory together. So they are loaded one at a time, and each predicts many tiles before the next.
"""

import copy
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models.registry import create_network
from salt.data.network_input import Geometry
from salt.data.records import chunks
from salt.inference.predictor import Predictor, ready
from salt.inference.snapshots import read_members
from salt.inference.weight_files import load_weights
from salt.runtime import device
from salt.runtime.paths import Run
from salt.runtime.progress import Ticker
from schemas.base import Shape
from schemas.config import Compute
from schemas.results import EnsembleMember, Stretch

Floats = npt.NDArray[np.float32]


class Ensemble:
    """The networks of a trained run: the snapshots of all folds of an ensemble's models."""

    def __init__(
        self, members: Mapping[str, EnsembleMember], folds: int, tile: Shape, run: Run, compute: Compute
    ) -> None:
        self.members, self.folds, self.tile, self.run = members, folds, tile, run
        self.device, self.batch = device.set_up(compute), compute.predict_batch
        self.dtype = device.prediction_dtype(self.device, compute)
        self.shares = {name: self._shares(name) for name in members}  # of each file of weights in its model's mean

    def __len__(self) -> int:
        return len(self.files)

    @property
    def files(self) -> list[Path]:
        """The files of weights, one per network."""
        return [path for name in self.members for path in self.shares[name]]

    def predict(self, tiles: npt.NDArray[np.uint8], ticker: Ticker, before: int = 0) -> Floats:
        """Probabilities (n, H, W) of tiles (n, H, W) or (n, H, W, 3) uint8; 0 for constant tiles.

        They are stretched by the run's numbers, so those of other images than the run's tiles may exceed 1 slightly.

        ticker: gets, after each batch, the number of tiles done plus `before`; a tile counts once all networks
            have predicted it
        """
        total, done = np.zeros(tiles.shape[:3], np.float32), 0
        depths = np.full(len(tiles), np.nan, np.float32)  # unknown
        for predictor, share, stretch in self._networks():
            for rows in chunks(len(tiles), self.batch):
                total[rows] += share * stretch.of(predictor.predict(tiles[rows], depths[rows]).tta)
                done += rows.stop - rows.start
                ticker.tick(before + done // len(self))
        return np.maximum(total, 0)

    def _networks(self) -> Iterator[tuple[Predictor, np.float32, Stretch]]:
        """Yield each network alone, its share in the mean, and how its model is stretched."""
        whole = sum(member.weight for member in self.members.values())
        for name, member in self.members.items():
            channels, geometry = member.input.channel_count, Geometry(member.input, self.tile)
            untrained = create_network(member.network, channels)
            for path, share in self.shares[name].items():
                network = copy.deepcopy(untrained)
                load_weights(network, path)
                trained = [ready(network, channels, self.device, self.dtype)]
                predictor = Predictor(trained, [1], geometry, self.device, self.dtype)
                yield predictor, np.float32(share * member.weight / whole), member.stretch

    def _shares(self, name: str) -> dict[Path, float]:
        """A model's files of weights and their shares: folds weigh equally, snapshots as in their fold's prediction."""
        shares: dict[Path, float] = {}
        for fold in (self.run.fold(name, number) for number in range(self.folds)):
            members = read_members(fold.members)
            whole = sum(member.weight for member in members)
            shares |= {fold.snapshots / member.file: member.weight / whole / self.folds for member in members}
        return shares
