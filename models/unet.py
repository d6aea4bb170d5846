"""segmentation_models_pytorch's U-Net with scSE, on any of its encoders (recipe 5.1)."""

from pathlib import Path

import segmentation_models_pytorch as smp
from timm.models.efficientnet import EfficientNetFeatures
from timm.models.mobilenetv3 import MobileNetV3Features
from torch import Tensor, nn

from models import Network, Outputs
from models.pretrained import encoder_error, load_encoder


class Unet(Network):
    """U-Net on a named encoder, with scSE in the decoder and spatial dropout before the output."""

    def __init__(
        self,
        encoder: str,
        decoder_channels: tuple[int, ...],
        dropout: float,
        channels: int = 3,
        weights: Path | None = None,
    ) -> None:
        super().__init__()
        self.stride = 2 ** len(decoder_channels)
        try:
            self.unet = smp.Unet(
                encoder,
                encoder_depth=len(decoder_channels),
                encoder_weights=None,
                decoder_channels=decoder_channels,
                decoder_attention_type="scse",
                in_channels=channels,
            )
        except Exception as error:
            raise encoder_error(encoder, error) from error
        _leave_out_idle_stages(self.unet.encoder)
        if weights:
            load_encoder(self.unet.encoder, weights, channels)
        output = nn.Conv2d(decoder_channels[-1], 1, kernel_size=1)
        self.unet.segmentation_head = nn.Sequential(nn.Dropout2d(dropout), output)

    def forward(self, x: Tensor) -> Outputs:
        """See `models`."""
        return {"mask": self.unet(x)}


def _leave_out_idle_stages(encoder: nn.Module) -> None:
    """Remove the stages behind the last feature that a decoder reads; timm computes them for these two families."""
    model = getattr(encoder, "model", None)
    if isinstance(model, EfficientNetFeatures | MobileNetV3Features):
        last = model.feature_info.get_dicts()[-1]["stage"]
        model.blocks = model.blocks[:last]
