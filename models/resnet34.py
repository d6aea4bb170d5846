"""The ResNet34 family of the recipe (5.2): stage 1 `res34_256`, stage 2 `res34_256_ds`, stage 3 `res34_pad128`.

The recipe's encoder is ResNet34; here it can be any encoder that `models.scse_encoder` accepts.
"""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models import Network, Outputs
from models.blocks import SCSE, DecoderBlock, FeaturePyramidAttention, conv_bn_elu, upsample
from models.scse_encoder import ScseEncoder


class PyramidDecoder(nn.Module):
    """Centre and decoder blocks 5, 4, 3, 2: feature pyramid attention, then 64 channels at the size of each skip."""

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.centre = FeaturePyramidAttention(widths[-1], 256)
        self.blocks = nn.ModuleList(
            DecoderBlock(deeper, skip) for deeper, skip in zip((256, 64, 64, 64), widths[::-1], strict=True)
        )

    def forward(self, skips: list[Tensor]) -> list[Tensor]:
        """Four skips, finest first -> the outputs of blocks 2, 3, 4, 5, finest first."""
        x = F.max_pool2d(self.centre(skips[-1]), 2)
        maps = []
        for block, skip in zip(self.blocks, skips[::-1], strict=True):
            x = block(x, skip)
            maps.append(x)
        return maps[::-1]


class FullSizeBlock(nn.Module):
    """Decoder block 1: upsamples block 2's map by `stride` to full size, where there is no skip."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.convs = nn.Sequential(conv_bn_elu(64, 32, 3), conv_bn_elu(32, 64, 3), SCSE(64, reduction=16))

    def forward(self, x: Tensor) -> Tensor:
        """(B, 64, S/stride, S/stride) -> (B, 64, S, S)."""
        return self.convs(upsample(x, self.stride))


def hypercolumn(maps: list[Tensor]) -> Tensor:
    """All maps at the size of the first, concatenated: n x (B, 64, ...) -> (B, 64 n, S, S)."""
    side = maps[0].shape[-1]
    return torch.cat([upsample(x, side // x.shape[-1]) for x in maps], dim=1)


class DeepSupervisionHead(nn.Module):
    """Heads of stage 2: a mask for non-empty tiles, whether the tile is empty, and the final mask from both."""

    def __init__(self, channels: int, deepest: int) -> None:
        super().__init__()
        self.pixel_features = conv_bn_elu(channels, 64, 3)
        self.pixel = nn.Conv2d(64, 1, 1, bias=False)
        self.image_features = nn.Sequential(nn.Dropout(0.4), nn.Linear(deepest, 64), nn.ELU())
        self.empty = nn.Linear(64, 1)
        self.mask = nn.Sequential(
            nn.Conv2d(128, 64, 3, padding=1, bias=False), nn.ELU(), nn.Conv2d(64, 1, 1, bias=False)
        )

    def forward(self, pixels: Tensor, deepest: Tensor) -> Outputs:
        """Hypercolumn (B, channels, S, S) and last encoder map (B, deepest, s, s) -> all three logits."""
        pixel = self.pixel_features(pixels)
        image = self.image_features(deepest.mean(dim=(2, 3)))
        both = torch.cat([pixel, image[:, :, None, None].expand(-1, -1, *pixel.shape[2:])], dim=1)
        return {"mask": self.mask(both), "pixel": self.pixel(pixel), "empty": self.empty(image)}


class Res34At256(Network):
    """Stage 1 (`deep_supervision=False`) and stage 2 (True); S is 256 in the recipe."""

    def __init__(
        self, deep_supervision: bool, encoder: str = "resnet34", channels: int = 3, weights: Path | None = None
    ) -> None:
        super().__init__()
        self.encoder = ScseEncoder(encoder, channels, weights)
        self.stride = 32 * self.encoder.stride
        self.decoder = PyramidDecoder(self.encoder.widths)
        self.full_size = FullSizeBlock(self.encoder.stride)
        self.deep_supervision = deep_supervision
        if deep_supervision:
            self.dropout: nn.Module = nn.Dropout2d(0.4)
            self.head: nn.Module = DeepSupervisionHead(320, self.encoder.widths[-1])
        else:
            self.dropout = nn.Identity()
            self.head = nn.Sequential(nn.Conv2d(320, 64, 3, padding=1), nn.ELU(), nn.Conv2d(64, 1, 1, bias=False))

    def forward(self, x: Tensor) -> Outputs:
        """See `models`."""
        skips = self.encoder(x)
        maps = self.decoder(skips)
        pixels = self.dropout(hypercolumn([self.full_size(maps[0]), *maps]))
        return self.head(pixels, skips[-1]) if self.deep_supervision else {"mask": self.head(pixels)}


class Res34Pad128(Network):
    """Stage 3: a stem of stride 1, so that block 2 is already at full size; S is 128 in the recipe."""

    stride = 32

    def __init__(self, encoder: str = "resnet34", channels: int = 3, weights: Path | None = None) -> None:
        super().__init__()
        self.encoder = ScseEncoder(encoder, channels, weights, full_size=True)
        self.decoder = PyramidDecoder(self.encoder.widths)
        self.head = nn.Sequential(
            nn.Dropout2d(0.4),  # off at test time, unlike the original's
            nn.Conv2d(256, 32, 3, padding=1),
            nn.ELU(),
            nn.Conv2d(32, 1, 1, bias=False),
        )

    def forward(self, x: Tensor) -> Outputs:
        """See `models`."""
        return {"mask": self.head(hypercolumn(self.decoder(self.encoder(x))))}
