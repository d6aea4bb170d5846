"""`res34_resize128` (recipe 5.3), which the authors described but never published."""

from pathlib import Path

from torch import Tensor, nn

from models import Network, Outputs
from models.blocks import GlobalAttentionUpsample, GlobalConvolution, conv_bn_elu
from models.resnet34 import DeepSupervisionHead, FullSizeBlock, hypercolumn
from models.scse_encoder import ScseEncoder


class Res34Resize128(Network):
    """An scSE encoder, a GCN in the centre, global attention upsampling, deep supervision."""

    def __init__(self, encoder: str = "resnet34", channels: int = 3, weights: Path | None = None) -> None:
        super().__init__()
        self.encoder = ScseEncoder(encoder, channels, weights)
        self.stride = 8 * self.encoder.stride
        widths = self.encoder.widths
        self.centre = nn.Sequential(conv_bn_elu(widths[-1], 256, 3), GlobalConvolution(256, 64))
        self.blocks = nn.ModuleList(GlobalAttentionUpsample(64, skip, 64) for skip in widths[-2::-1])
        self.full_size = FullSizeBlock(self.encoder.stride)
        self.dropout = nn.Dropout2d(0.4)
        self.head = DeepSupervisionHead(320, widths[-1])

    def forward(self, x: Tensor) -> Outputs:
        """See `models`."""
        skips = self.encoder(x)
        maps = [self.centre(skips[-1])]
        for block, skip in zip(self.blocks, skips[-2::-1], strict=True):
            maps.insert(0, block(maps[0], skip))
        return self.head(self.dropout(hypercolumn([self.full_size(maps[0]), *maps])), skips[-1])
