"""segmentation_models_pytorch's U-Net with scSE, on any of its encoders (recipe 5.1)."""

import segmentation_models_pytorch as smp
from torch import Tensor, nn

from models import Outputs
from models.pretrained import encoder_weights, weights_error


class Unet(nn.Module):
    """U-Net on a pretrained encoder, scSE in the decoder, spatial dropout before the output; S divides by 32."""

    def __init__(self, encoder: str, weights: str, decoder_channels: tuple[int, ...], dropout: float) -> None:
        super().__init__()
        try:
            self.unet = smp.Unet(
                encoder,
                encoder_depth=len(decoder_channels),
                encoder_weights=encoder_weights(weights),
                decoder_channels=decoder_channels,
                decoder_attention_type="scse",
            )
        except Exception as error:
            raise weights_error(encoder, weights, error) from error
        output = nn.Conv2d(decoder_channels[-1], 1, kernel_size=1)
        self.unet.segmentation_head = nn.Sequential(nn.Dropout2d(dropout), output)

    def forward(self, x: Tensor) -> Outputs:
        """See `models`."""
        return {"mask": self.unet(x)}
