"""A U-Net without a pretrained encoder, as in many tutorials; small ones train on a CPU."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models import Network, Outputs


class PlainUnet(Network):
    """U-Net (Ronneberger et al. 2015) with batch norm and padded convolutions."""

    def __init__(self, width: int, levels: int, channels: int = 3) -> None:
        super().__init__()
        self.stride = 2 ** (levels - 1)
        widths = [width * 2**level for level in range(levels)]
        self.down = nn.ModuleList(
            _two_convs(inputs, outputs) for inputs, outputs in zip([channels, *widths[:-1]], widths, strict=True)
        )
        self.up = nn.ModuleList(_two_convs(3 * outputs, outputs) for outputs in widths[-2::-1])
        self.head = nn.Conv2d(width, 1, kernel_size=1)

    def forward(self, x: Tensor) -> Outputs:
        """See `models`."""
        skips = []
        for level, block in enumerate(self.down):
            x = block(x if level == 0 else F.max_pool2d(x, 2))
            skips.append(x)
        for block, skip in zip(self.up, skips[-2::-1], strict=True):
            x = F.interpolate(x, scale_factor=2.0, mode="nearest")
            x = block(torch.cat([x, skip], dim=1))
        return {"mask": self.head(x)}


def _two_convs(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
        nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )
