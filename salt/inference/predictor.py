"""Probabilities of salt from one or several snapshots, with and without each tile's mirror image (recipe 8)."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from salt.data.network_input import Geometry
from salt.runtime.device import autocast


class Prediction(NamedTuple):
    """Probabilities (B, H, W) float32: of the tiles alone, and averaged with those of their mirror images."""

    plain: npt.NDArray[np.float32]
    tta: npt.NDArray[np.float32]


def forward(network: nn.Module, geometry: Geometry, tiles: Tensor, depths: Tensor) -> Tensor:
    """Probabilities (B, H, W) float32 of tiles at depths (B,), all on the network's device.

    tiles: (B, H, W) grey or (B, H, W, 3) red, green, blue; uint8
    """
    with autocast(tiles.device):
        logits = network(geometry.images(tiles, depths).contiguous(memory_format=torch.channels_last))["mask"]
    return geometry.probabilities(logits)


class Predictor:
    """The weighted mean of several snapshots of one network.

    networks: the snapshots, in eval mode on `device`; weights: one per snapshot, with any sum
    """

    def __init__(
        self,
        networks: Sequence[nn.Module],
        weights: Sequence[float],
        geometry: Geometry,
        device: torch.device,
    ) -> None:
        self.networks = networks
        self.weights = [weight / sum(weights) for weight in weights]
        self.geometry = geometry
        self.device = device

    @torch.inference_mode()
    def predict(self, tiles: npt.NDArray[np.uint8], depths: npt.NDArray[np.float32]) -> Prediction:
        """Predict tiles at relative depths (B,); constant tiles show only water and get 0.

        tiles: (B, H, W) grey or (B, H, W, 3) red, green, blue; uint8
        """
        batch = torch.from_numpy(np.array(tiles)).to(self.device)  # a copy: memory maps are read-only
        at = torch.from_numpy(depths).to(self.device)
        plain, mirrored = self._mean(batch, at), self._mean(batch.flip(2), at).flip(2)
        varied = (batch != batch[:, :1, :1]).flatten(1).any(1).view(-1, 1, 1)
        plain, tta = plain * varied, (plain + mirrored) / 2 * varied
        return Prediction(plain.cpu().numpy(), tta.cpu().numpy())

    def _mean(self, batch: Tensor, depths: Tensor) -> Tensor:
        total = torch.zeros(batch.shape[:3], device=self.device)
        for network, weight in zip(self.networks, self.weights, strict=True):
            total += weight * forward(network, self.geometry, batch, depths)
        return total
