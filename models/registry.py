"""From the config's `network` section to a network.

A network's module is imported when it is made: segmentation_models_pytorch takes seconds to import, and a program
whose network does not need it does not wait.
"""

from pathlib import Path

from models import Network
from schemas import networks


def create_network(network: networks.Network, channels: int = 3, weights: Path | None = None) -> Network:
    """A network for inputs of (B, channels, S, S).

    weights: a file of fetch_weights that its encoder starts from; without one it starts at random, as is right where
        trained weights are loaded into it anyway

    Raises UserError where there is no such encoder or it does not fit the network.
    """
    if isinstance(network, networks.PlainUnet):
        from models.plain_unet import PlainUnet

        return PlainUnet(network.width, network.levels, channels)
    if isinstance(network, networks.ResNet34Family):
        return _resnet34_family(network, channels, weights)
    from models.unet import Unet

    if isinstance(network, networks.UnetResNext50):
        # The original's last block has 8 channels, fewer than the library's scSE can divide by 16.
        return Unet(network.encoder, (128, 64, 32, 16, 16), 0.2, channels, weights)
    return Unet(network.encoder, network.decoder_channels, network.dropout, channels, weights)


def _resnet34_family(network: networks.ResNet34Family, channels: int, weights: Path | None) -> Network:
    from models.resize128 import Res34Resize128
    from models.resnet34 import Res34At256, Res34Pad128

    match network.name:
        case "res34_256" | "res34_256_ds" as name:
            return Res34At256(name == "res34_256_ds", network.encoder, channels, weights)
        case "res34_pad128":
            return Res34Pad128(network.encoder, channels, weights)
        case "res34_resize128":
            return Res34Resize128(network.encoder, channels, weights)
