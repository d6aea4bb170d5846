"""Blocks of the ResNet34 family (recipe 5.2). Shapes are (B, C, H, W); convolutions before a BN have no bias."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def upsample(x: Tensor, factor: int) -> Tensor:
    """Bilinear upsampling with aligned corners, as everywhere in this family."""
    return F.interpolate(x, scale_factor=float(factor), mode="bilinear", align_corners=True) if factor > 1 else x


def conv_bn_elu(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Convolution, batch norm, ELU; keeps H and W at stride 1 and halves them at stride 2."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ELU(),
    )


class SCSE(nn.Module):
    """Concurrent spatial and channel squeeze and excitation (Roy et al. 2018): x * spatial gate + x * channel gate."""

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        self.spatial = nn.Conv2d(channels, 1, 1, bias=False)
        self.squeeze = nn.Linear(channels, channels // reduction)
        self.excite = nn.Linear(channels // reduction, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        channel = self.excite(F.relu(self.squeeze(x.mean(dim=(2, 3)))))
        return x * torch.sigmoid(self.spatial(x)) + x * torch.sigmoid(channel)[:, :, None, None]


class FeaturePyramidAttention(nn.Module):
    """Feature pyramid attention (Li et al. 2018) without its 7 x 7 branch; H and W must be divisible by 4."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.down1 = conv_bn_elu(inputs, inputs, kernel=5, stride=2)
        self.down2 = conv_bn_elu(inputs, inputs, kernel=3, stride=2)
        self.out1 = conv_bn_elu(inputs, outputs, kernel=5)
        self.out2 = conv_bn_elu(inputs, outputs, kernel=3)
        self.main = conv_bn_elu(inputs, outputs, kernel=1)
        self.whole = nn.Conv2d(inputs, outputs, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H, W)."""
        level1 = self.down1(x)
        level2 = self.down2(level1)
        attention = upsample(self.out1(level1) + upsample(self.out2(level2), 2), 2)
        return self.main(x) * attention + self.whole(x.mean(dim=(2, 3), keepdim=True))


class DecoderBlock(nn.Module):
    """Upsample the deeper map, concatenate the skip, gate: 64 channels at the skip's size."""

    def __init__(self, deeper: int, skip: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(deeper, 32, kernel_size=2, stride=2)
        self.skip = nn.Conv2d(skip, 32, 1, bias=False)
        self.norm = nn.BatchNorm2d(64)
        self.gate = SCSE(64, reduction=16)

    def forward(self, deeper: Tensor, skip: Tensor) -> Tensor:
        """(B, deeper, H, W) and (B, skip, 2H, 2W) -> (B, 64, 2H, 2W)."""
        return self.gate(F.relu(self.norm(torch.cat([self.up(deeper), self.skip(skip)], dim=1))))


class GlobalConvolution(nn.Module):
    """Global convolutional network (Peng et al. 2017): k x k from k x 1 and 1 x k, in both orders, summed."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 7) -> None:
        super().__init__()
        high, wide = (kernel, 1), (1, kernel)
        self.high_first = nn.Sequential(_same(inputs, outputs, high), _same(outputs, outputs, wide))
        self.wide_first = nn.Sequential(_same(inputs, outputs, wide), _same(outputs, outputs, high))

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H, W)."""
        return self.high_first(x) + self.wide_first(x)


def _same(inputs: int, outputs: int, kernel: tuple[int, int]) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, padding=(kernel[0] // 2, kernel[1] // 2))


class GlobalAttentionUpsample(nn.Module):
    """Global attention upsampling (Li et al. 2018): the deeper map weights the channels of the skip.

    As described for `resize_128` (recipe 5.3): the skip's convolution is a GCN, and its gate has the two paths of an
    scSE, with the deeper map as input of the channel path.
    """

    def __init__(self, deeper: int, skip: int, outputs: int, reduction: int = 16) -> None:
        super().__init__()
        self.low = GlobalConvolution(skip, outputs)
        self.high = nn.Conv2d(deeper, outputs, 1, bias=False)
        self.spatial = nn.Conv2d(outputs, 1, 1, bias=False)
        self.squeeze = nn.Linear(deeper, outputs // reduction)
        self.excite = nn.Linear(outputs // reduction, outputs)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, deeper: Tensor, skip: Tensor) -> Tensor:
        """(B, deeper, H, W) and (B, skip, 2H, 2W) -> (B, outputs, 2H, 2W)."""
        low = self.low(skip)
        channel = self.excite(F.relu(self.squeeze(deeper.mean(dim=(2, 3)))))
        gated = low * torch.sigmoid(self.spatial(low)) + low * torch.sigmoid(channel)[:, :, None, None]
        return F.relu(self.norm(upsample(self.high(deeper), 2) + gated))
