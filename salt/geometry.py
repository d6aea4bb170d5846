"""Between tiles and networks: resize, pad and channels on the way in, crop and resize on the way back (recipe 3).

All of it runs on the network's device: the loader hands over bytes, 10 kB a tile.
"""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional as F

from salt.program import UserError
from salt.tiles import Tiles
from schemas.config import Input

# ImageNet's channel statistics, which the pretrained encoders expect.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Geometry:
    """The way of a tile of `tile` x `tile` px to a network's input of `side` x `side` and back."""

    settings: Input
    tile: int

    @classmethod
    def of(cls, settings: Input, *tiles: Tiles) -> Self:
        """The geometry of tiles of one size.

        Raises UserError where depth is an input channel and a tile has none.
        """
        for some in tiles:
            unknown = [name for name, depth in zip(some.ids, some.depths, strict=True) if depth != depth]
            if settings.channels == "depth" and unknown:
                raise UserError(
                    f"`channels: depth` needs the depth of every tile, but {len(unknown)} of {len(some)} have none "
                    f"(the first is {unknown[0]}). Add them to depths.csv, or choose `channels: ramp`."
                )
        return cls(settings, tile=tiles[0].images.shape[1])

    @property
    def resized(self) -> int:
        """Side after resizing, px."""
        return self.settings.resize or self.tile

    @property
    def side(self) -> int:
        """Side of the network's input, px."""
        return self.settings.pad or self.resized

    @property
    def before(self) -> int:
        """Padding above and left of the tile, px; below and right take the odd pixel."""
        return (self.side - self.resized) // 2

    def images(self, tiles: Tensor, depths: Tensor) -> Tensor:
        """Grey tiles (B, tile, tile) uint8, relative depths (B,) in 0..1 -> network input (B, C, side, side) float.

        Depths are used by `channels: depth` alone and may be NaN otherwise.
        """
        grey = self._place(tiles[:, None].float() / 255)
        mean, std = (torch.tensor(values, device=grey.device).view(1, 3, 1, 1) for values in (MEAN, STD))
        if self.settings.channels == "grey3":
            return (grey - mean) / std
        grey = (grey - mean[:, :1]) / std[:, :1]
        if self.settings.channels == "grey":
            return grey
        ramp = torch.linspace(0, 1, self.side, device=grey.device).view(1, 1, -1, 1).expand_as(grey)
        second = depths.view(-1, 1, 1, 1).expand_as(grey) if self.settings.channels == "depth" else ramp
        return torch.cat([grey, second, grey * ramp], dim=1)

    def masks(self, tiles: Tensor) -> Tensor:
        """Masks (B, tile, tile) uint8 in {0, 1} -> (B, 1, side, side) float in {0, 1}."""
        return (self._place(tiles[:, None].float()) > 0.5).float()

    def probabilities(self, logits: Tensor) -> Tensor:
        """Mask logits (B, 1, side, side) -> probabilities (B, tile, tile) float32."""
        inside = slice(self.before, self.before + self.resized)
        probabilities = torch.sigmoid(logits.float())[:, :, inside, inside]
        if self.resized != self.tile:
            probabilities = _resize(probabilities, self.tile)
        return probabilities[:, 0]

    def _place(self, x: Tensor) -> Tensor:
        if self.resized != self.tile:
            x = _resize(x, self.resized)
        after = self.side - self.resized - self.before
        mode = "reflect" if self.settings.pad_mode == "reflect" else "replicate"
        return F.pad(x, (self.before, after, self.before, after), mode=mode) if after else x


def _resize(x: Tensor, side: int) -> Tensor:
    return F.interpolate(x, size=(side, side), mode="bilinear", align_corners=False)
