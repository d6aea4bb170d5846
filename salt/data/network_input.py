"""The geometry between tiles and networks (recipe 3): resize, pad and channels on the way in, crop and resize back.

All of it runs on the network's device, so that the loader passes on only bytes, 10 kB per tile.
"""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor
from torch.nn import functional as F

from salt.data.image_files import LUMINANCE
from salt.data.predictions import ONE_IN_8_BITS
from salt.data.tiles import Tiles
from schemas.base import Shape
from schemas.errors import UserError
from schemas.networks import Input

# ImageNet's channel statistics, which the pretrained encoders expect.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Geometry:
    """Converts tiles to a network's input and its output back to tiles. All shapes are (height, width), px."""

    settings: Input
    tile: Shape

    @classmethod
    def of(cls, settings: Input, *tiles: Tiles) -> Self:
        """The geometry of tiles of one size.

        Raises UserError if the input's settings do not fit them, or if depth is a channel and a tile has none.
        """
        for some in tiles:
            unknown = [name for name, depth in zip(some.ids, some.depths, strict=True) if depth != depth]
            if settings.channels == "depth" and unknown:
                raise UserError(
                    f"`channels: depth` needs the depth of every tile, but {len(unknown)} of {len(some)} have none "
                    f"(the first is {unknown[0]}). Add them to depths.csv, or choose `channels: ramp`."
                )
        height, width = tiles[0].images.shape[1:3]
        if fault := settings.misfit((height, width)):
            raise UserError(f"The model's input does not fit the tiles of {height} x {width} px. {fault}.")
        return cls(settings, (height, width))

    @property
    def resized(self) -> Shape:
        """The tile after resizing."""
        return self.settings.resized(self.tile)

    @property
    def shape(self) -> Shape:
        """The network's input."""
        return self.settings.shape(self.tile)

    @property
    def before(self) -> Shape:
        """Padding above and left of the tile, px; an odd pixel goes below and right."""
        top, left = ((large - small) // 2 for large, small in zip(self.shape, self.resized, strict=True))
        return top, left

    def images(self, tiles: Tensor, depths: Tensor) -> Tensor:
        """Tiles and relative depths (B,) in 0..1 -> network input (B, C, height, width) float.

        tiles: (B, H, W) grey or (B, H, W, 3) red, green, blue; uint8
        Only `channels: depth` uses depths; otherwise they may be NaN.
        """
        if self.settings.channels == "rgb":
            return self._values(tiles.permute(0, 3, 1, 2).float(), 3)
        grey = self._values(_luminance(tiles)[:, None], 3 if self.settings.channels == "grey3" else 1)
        if self.settings.channels in ("grey", "grey3"):
            return grey
        ramp = torch.linspace(0, 1, grey.shape[2], device=grey.device).view(1, 1, -1, 1).expand_as(grey)
        second = depths.view(-1, 1, 1, 1).expand_as(grey) if self.settings.channels == "depth" else ramp
        return torch.cat([grey, second, grey * ramp], dim=1)

    def _values(self, tiles: Tensor, channels: int) -> Tensor:
        """Tiles (B, 1 or channels, H, W) float in 0..255 -> what a network gets of them, (B, channels, h, w)."""
        if self.settings.values == "raw":
            return self.place(tiles).expand(-1, channels, -1, -1)
        placed = self.place(tiles / 255).expand(-1, channels, -1, -1)
        if self.settings.values == "unit":
            return placed
        mean, std = (torch.tensor(of[:channels], device=tiles.device).view(1, -1, 1, 1) for of in (MEAN, STD))
        return (placed - mean) / std

    def masks(self, tiles: Tensor, soft: bool = False) -> Tensor:
        """Masks (B, H, W) uint8 in {0, 1} -> (B, 1, height, width) float; soft: in 0..255 -> in 0..1.

        Where resizing mixes salt and background, hard masks have values of {0, 1}, or in 0..1 if the settings keep
        fractions.
        """
        placed = self.place(tiles[:, None].float())
        if soft:
            return placed / ONE_IN_8_BITS
        return placed if self.settings.mask_edges == "fractions" else (placed > 0.5).float()

    def probabilities(self, logits: Tensor) -> Tensor:
        """Mask logits (B, 1, height, width) -> probabilities (B, H, W) float32."""
        rows, columns = (slice(start, start + side) for start, side in zip(self.before, self.resized, strict=True))
        probabilities = torch.sigmoid(logits.float())[:, :, rows, columns]
        if self.resized != self.tile:
            probabilities = _resize(probabilities, self.tile)
        return probabilities[:, 0]

    def place(self, x: Tensor) -> Tensor:
        """Resize and pad maps of tiles: (B, C, H, W) float -> (B, C, height, width)."""
        if self.resized != self.tile:
            x = _resize(x, self.resized)
        if self.shape == self.resized:
            return x
        (top, left), (height, width) = self.before, x.shape[2:]
        mode = "reflect" if self.settings.pad_mode == "reflect" else "replicate"
        return F.pad(x, (left, self.shape[1] - width - left, top, self.shape[0] - height - top), mode=mode)


def _luminance(tiles: Tensor) -> Tensor:
    """(B, H, W) or (B, H, W, 3) uint8 -> (B, H, W) float in 0..255."""
    tiles = tiles.float()
    return tiles if tiles.ndim == 3 else tiles @ torch.tensor(LUMINANCE, device=tiles.device)


def _resize(x: Tensor, shape: Shape) -> Tensor:
    return F.interpolate(x, size=shape, mode="bilinear", align_corners=False)
