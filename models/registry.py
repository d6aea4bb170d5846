"""From the config's `network` section to a network.

A network's module is imported when it is made: segmentation_models_pytorch takes seconds to import, and a program
whose network does not need it does not wait.
"""

from torch import nn

from schemas import config


def create_network(network: config.Network, pretrained: bool = True) -> nn.Module:
    """A network with its first weights; `pretrained=False` where trained weights are loaded into it anyway.

    Raises ConfigError where pretrained weights cannot be had.
    """
    if isinstance(network, config.PlainUnet):
        from models.plain_unet import PlainUnet

        return PlainUnet(network.width, network.levels)
    weights = network.weights if pretrained else "none"
    if isinstance(network, config.ResNet34Family):
        return _resnet34_family(network.name, weights)
    from models.unet import Unet

    if isinstance(network, config.UnetResNext50):
        # The original's last block has 8 channels, fewer than the library's scSE can divide by 16.
        return Unet("resnext50_32x4d", weights, (128, 64, 32, 16, 16), dropout=0.2)
    return Unet(network.encoder, weights, network.decoder_channels, network.dropout)


def _resnet34_family(name: str, weights: str) -> nn.Module:
    from models.resize128 import Res34Resize128
    from models.resnet34 import Res34At256, Res34Pad128

    match name:
        case "res34_256":
            return Res34At256(weights, deep_supervision=False)
        case "res34_256_ds":
            return Res34At256(weights, deep_supervision=True)
        case "res34_pad128":
            return Res34Pad128(weights)
        case "res34_resize128":
            return Res34Resize128(weights)
        case _:
            raise ValueError(f"there is no network '{name}' in the ResNet34 family")
