"""From the config's `network` section to a network."""

from torch import nn

from models.resize128 import Res34Resize128
from models.resnet34 import Res34At256, Res34Pad128
from models.unet import PlainUnet, Unet
from schemas import config


def create_network(network: config.Network, pretrained: bool = True) -> nn.Module:
    """A network with its first weights; `pretrained=False` where trained weights are loaded into it anyway.

    Raises ConfigError where pretrained weights cannot be had.
    """
    if isinstance(network, config.PlainUnet):
        return PlainUnet(network.width, network.levels)
    weights = network.weights if pretrained else "none"
    match network.name:
        case "unet":
            return Unet(network.encoder, weights, network.decoder_channels, network.dropout)
        case "unet_resnext50":
            # The original's last block has 8 channels, fewer than the library's scSE can divide by 16.
            return Unet("resnext50_32x4d", weights, (128, 64, 32, 16, 16), dropout=0.2)
        case "res34_256":
            return Res34At256(weights, deep_supervision=False)
        case "res34_256_ds":
            return Res34At256(weights, deep_supervision=True)
        case "res34_pad128":
            return Res34Pad128(weights)
        case "res34_resize128":
            return Res34Resize128(weights)
