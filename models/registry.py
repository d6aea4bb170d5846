"""Creates networks from the config's `network` section.

It imports a network's module only to create that network: segmentation_models_pytorch takes seconds to import, and
programs that do not need it should not wait.
"""

from pathlib import Path

from models import Network
from schemas import networks


def create_network(network: networks.Network, channels: int = 3, weights: Path | None = None) -> Network:
    """A network for inputs of (B, channels, S, S).

    weights: a file of fetch_weights with the encoder's first weights; None starts at random, which is right if
        trained weights are loaded afterwards

    Raises UserError if the encoder does not exist or does not fit the network.
    """
    match network:
        case networks.PlainUnet():
            from models.plain_unet import PlainUnet

            return PlainUnet(network.width, network.levels, channels)
        case networks.Unet():
            from models.unet import Unet

            return Unet(network.encoder, network.decoder_channels, network.dropout, channels, weights)
        case networks.UnetResNext50(decoder="published"):
            from models.unet_resnext50 import UnetResNext50

            return UnetResNext50(channels, weights)
        case networks.UnetResNext50():
            from models.unet import Unet

            # The original's last block has 8 channels, fewer than the library's scSE can divide by 16.
            return Unet(network.encoder, (128, 64, 32, 16, 16), 0.2, channels, weights)
        case networks.Res34At256() | networks.Res34At256Ds():
            from models.resnet34 import Res34At256

            return Res34At256(network.has_heads, network.encoder, channels, weights)
        case networks.Res34Pad128():
            from models.resnet34 import Res34Pad128

            return Res34Pad128(network.encoder, channels, weights)
        case networks.Res34Resize128():
            from models.resize128 import Res34Resize128

            return Res34Resize128(network.encoder, channels, weights)
