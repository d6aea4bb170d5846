"""`res34_resize128` (recipe 5.3), which the authors described and never published."""

from torch import Tensor, nn

from models import Outputs
from models.blocks import GlobalAttentionUpsample, GlobalConvolution, conv_bn_elu
from models.resnet34 import WIDTHS, DeepSupervisionHead, FullSizeBlock, ScseResNet34, hypercolumn


class Res34Resize128(nn.Module):
    """scSE-ResNet34, a GCN in the centre, global attention upsampling, deep supervision; S must divide by 16."""

    def __init__(self, weights: str) -> None:
        super().__init__()
        self.encoder = ScseResNet34(weights)
        self.centre = nn.Sequential(conv_bn_elu(512, 256, 3), GlobalConvolution(256, 64))
        self.blocks = nn.ModuleList(GlobalAttentionUpsample(64, skip, 64) for skip in WIDTHS[-2::-1])
        self.full_size = FullSizeBlock()
        self.dropout = nn.Dropout2d(0.4)
        self.head = DeepSupervisionHead(320)

    def forward(self, x: Tensor) -> Outputs:
        """See `models`."""
        skips = self.encoder(x)
        maps = [self.centre(skips[-1])]
        for block, skip in zip(self.blocks, skips[-2::-1], strict=True):
            maps.insert(0, block(maps[0], skip))
        return self.head(self.dropout(hypercolumn([self.full_size(maps[0]), *maps])), skips[-1])
