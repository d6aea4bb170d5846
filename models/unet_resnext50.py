"""The ResNeXt50 author's U-Net (recipe 5.1), from what is known of it; `models.unet` is the library's.

Known: the batch norm of the input, without a scale; the names of the skips in Keras' ResNeXt50 (`relu0` and
`stage2_unit1_relu1` to `stage4_unit1_relu1`); transposed convolutions of 4 x 4, one convolution of 3 x 3 in a block,
128, 64, 32, 16 and 8 channels; scSE with reduction 2 and a spatial gate of as many channels as the map; the spatial
dropout; 6.17 million parameters in decoder and head.

Derived: the skips lie inside the units (`Encoder`), from their names alone, since the output of a stage has as many
channels as the next stage inside. The number of parameters confirms the rest: this reading has 6,167,573; a spatial
gate of one channel, or a reduction of 16, gives 6.15 million, two convolutions in a block 6.36, skips of half the
width, as inside the basic units of smaller ResNets, 5.39.

Assumed, since the number is too coarse to show it: gates and the output of 1 x 1 have biases, convolutions before a
norm have none.

New layers start as Keras starts them by default: weights after Glorot & Bengio (2010), eq. 16, biases of 0, norms with
epsilon 1e-3 and 1 % of each batch in the running statistics. The encoder has torchvision's weights and norms.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models import Network, Outputs
from models.blocks import SCSE
from models.pretrained import create_encoder

ENCODER = "resnext50_32x4d"
SKIPS = (64, 256, 512, 1024)  # channels, finest first
DEEPEST = 2048
BLOCKS = (128, 64, 32, 16, 8)  # channels, deepest first


class UnetResNext50(Network):
    """U-Net on ResNeXt50 32x4d as in the original; its first norm takes inputs of any scale."""

    stride = 32

    def __init__(self, channels: int = 3, weights: Path | None = None) -> None:
        super().__init__()
        self.input_norm = InputNorm(channels)
        self.encoder = Encoder(channels, weights)
        widths = zip((DEEPEST, *BLOCKS[:-1]), (*SKIPS[::-1], 0), BLOCKS, strict=True)
        self.blocks = nn.ModuleList(DecoderBlock(*width) for width in widths)
        self.head = nn.Sequential(nn.Dropout2d(0.2), nn.Conv2d(BLOCKS[-1], 1, kernel_size=1))
        self.blocks.apply(_start_as_keras_does)
        self.head.apply(_start_as_keras_does)

    def forward(self, x: Tensor) -> Outputs:
        """See `models`."""
        *skips, x = self.encoder(self.input_norm(x))
        for block, skip in zip(self.blocks, (*skips[::-1], None), strict=True):
            x = block(x, skip)
        return {"mask": self.head(x)}


class InputNorm(nn.Module):
    """Batch norm with an offset and without a scale: Keras' `bn_data`, through which raw values may come in."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.offset = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) -> the same shape, each channel with mean `offset` and variance 1 over the batch."""
        normalised: Tensor = self.norm(x)
        return normalised + self.offset


class Encoder(nn.Module):
    """ResNeXt50 32x4d with the skips of Keras' segmentation models of 2018, which lie inside the units.

    `stageK_unit1_relu1` is the ReLU behind the first 1 x 1 convolution of stage K's first unit, whose 3 x 3
    convolution halves the sides: the map is as large as stage K - 1's output, and has as many channels.
    """

    def __init__(self, channels: int, weights: Path | None) -> None:
        super().__init__()
        self.encoder = create_encoder(ENCODER, channels, weights)

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, channels, S, S) -> skips of S/2, S/4, S/8, S/16, then the output of S/32; channels: SKIPS, DEEPEST."""
        resnet = self.encoder
        stem = resnet.relu(resnet.bn1(resnet.conv1(x)))
        maps, x = [stem], resnet.layer1(resnet.maxpool(stem))
        for stage in (resnet.layer2, resnet.layer3, resnet.layer4):
            skip, x = first_relu_and_output(stage[0], x)
            maps.append(skip)
            for unit in stage[1:]:
                x = unit(x)
        return [*maps, x]


def first_relu_and_output(unit: Any, x: Tensor) -> tuple[Tensor, Tensor]:
    """The first activation inside a unit, (B, width, H, W), and what the unit returns.

    unit: a torchvision Bottleneck, the first of its stage
    """
    inner = unit.relu(unit.bn1(unit.conv1(x)))
    output = unit.bn3(unit.conv3(unit.relu(unit.bn2(unit.conv2(inner)))))
    return inner, unit.relu(output + unit.downsample(x))


class FullSCSE(SCSE):
    """scSE whose spatial gate has a value for each channel, with a bias."""

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__(channels, reduction)
        self.spatial = nn.Conv2d(channels, channels, 1)


class DecoderBlock(nn.Module):
    """Transposed convolution of the deeper map, the skip beside it if there is one, convolution, scSE."""

    def __init__(self, deeper: int, skip: int, outputs: int) -> None:
        super().__init__()
        self.up = _norm_relu(nn.ConvTranspose2d(deeper, outputs, 4, stride=2, padding=1, bias=False))
        self.conv = _norm_relu(nn.Conv2d(outputs + skip, outputs, 3, padding=1, bias=False))
        self.gate = FullSCSE(outputs, reduction=2)

    def forward(self, deeper: Tensor, skip: Tensor | None) -> Tensor:
        """(B, deeper, H, W) and (B, skip, 2H, 2W) -> (B, outputs, 2H, 2W)."""
        x = self.up(deeper)
        return self.gate(self.conv(x if skip is None else torch.cat([x, skip], dim=1)))


def _norm_relu(convolution: nn.Conv2d | nn.ConvTranspose2d) -> nn.Sequential:
    """A convolution with norm and ReLU behind it."""
    return nn.Sequential(convolution, nn.BatchNorm2d(convolution.out_channels, eps=1e-3, momentum=0.01), nn.ReLU())


def _start_as_keras_does(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
