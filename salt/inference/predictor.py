"""Probabilities of salt from one or several snapshots, with and without each tile's mirror image (recipe 8)."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from models import Network
from salt.data.network_input import Geometry
from salt.inference.folding import folded
from salt.runtime.device import autocast

# Input pixels that a CPU computes at once: their feature maps stay in its caches and in memory that it has already.
# Measured: 16 to 28 tiles of 96 px are a third faster than 64; 4 to 8 tiles of 256 px and 64 of 48 px are the best.
CPU_PIXELS = 2**18


class Prediction(NamedTuple):
    """Probabilities (B, H, W) float32: of the tiles alone, and averaged with those of their mirror images."""

    plain: npt.NDArray[np.float32]
    tta: npt.NDArray[np.float32]


def ready(network: Network, channels: int, device: torch.device, dtype: torch.dtype = torch.float32) -> nn.Module:
    """A trained network, on the CPU, in the form in which `device` predicts fastest.

    channels: of its input; dtype: what it will compute in. Batch norm is folded in float32 alone: rounded to bf16, the
    folded weights double the mean error of probabilities, for a twentieth of the time.
    """
    network = folded(network.eval(), channels) if dtype == torch.float32 else network.eval()
    return network.to(device).to(memory_format=torch.channels_last)


class Predictor:
    """The weighted mean of several snapshots of one network.

    networks: the snapshots, from `ready`; weights: one per snapshot, with any sum; dtype: what convolutions compute in
    """

    def __init__(
        self,
        networks: Sequence[nn.Module],
        weights: Sequence[float],
        geometry: Geometry,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.networks = networks
        self.weights = [weight / sum(weights) for weight in weights]
        self.geometry = geometry
        self.device, self.dtype = device, dtype

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
        """The snapshots' mean of tiles (B, H, W) or (B, H, W, 3) uint8 at depths (B,): (B, H, W) float32."""
        slices = math.ceil(len(batch) * math.prod(self.geometry.shape) / CPU_PIXELS) if self.device.type == "cpu" else 1
        pairs = zip(batch.tensor_split(slices), depths.tensor_split(slices), strict=True)
        return torch.cat([self._mean_of_slice(*pair) for pair in pairs])

    def _mean_of_slice(self, tiles: Tensor, depths: Tensor) -> Tensor:
        images = self.geometry.images(tiles, depths).contiguous(memory_format=torch.channels_last)
        total = torch.zeros(tiles.shape[:3], device=self.device)
        for network, weight in zip(self.networks, self.weights, strict=True):
            with autocast(self.device, self.dtype):
                logits = network(images)["mask"]
            total += weight * self.geometry.probabilities(logits)
        return total
