"""The encoder of the ResNet34 family (recipe 5.2), from any encoder with four stages."""

from pathlib import Path

import timm
import torch
from timm.models import FeatureListNet
from timm.models.efficientnet import EfficientNetFeatures
from timm.models.mobilenetv3 import MobileNetV3Features
from torch import Tensor, nn

from models.blocks import SCSE
from models.pretrained import NATIVE, TIMM, create_encoder
from schemas.errors import UserError

FITTING = ("resnet34", "se_resnext50_32x4d", "tu-efficientnet_b0", "tu-convnext_tiny")
TRIAL_SIDE = 64  # px; divisible by 32, the stride of every encoder's coarsest map


class ScseEncoder(nn.Module):
    """An encoder without its first max-pooling and with an scSE after each of its last four stages.

    full_size: replaces the first convolution by a 3x3 one of stride 1 with new weights, for a first map at full size;
        the norm after it keeps the pretrained weights, as in the original
    widths: channels of the four maps, finest first
    stride: side of the input / side of the first map: 2 for ResNets, 4 for encoders without max-pooling, 1 with
        full_size

    Raises UserError for encoders of another structure.
    """

    def __init__(self, name: str, channels: int = 3, weights: Path | None = None, full_size: bool = False) -> None:
        super().__init__()
        self.encoder = create_encoder(name, channels, weights)
        self.widths: tuple[int, ...] = tuple(self.encoder.out_channels[-4:])
        _remove_pooling(self.encoder, name)
        if full_size:
            _renew_stem(self.encoder)
        for stage, width in zip(_stages(self.encoder, name), self.widths, strict=True):
            gated = nn.Sequential(self.encoder.get_submodule(stage), SCSE(width, reduction=4))
            self.encoder.set_submodule(stage, gated)
        self.stride = self._measure_stride(name, channels)
        if full_size and self.stride > 1:
            raise UserError(
                f"The encoder '{name}' does not fit res34_pad128, which needs its first map at full size: with a first "
                f"convolution of stride 1 that map is still {self.stride} times smaller than the input. Choose another "
                "encoder, such as resnet34 or tu-convnext_tiny, or another network, such as res34_256."
            )

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, channels, S, S) -> four gated maps (B, width, s, s), finest first; s is S / stride, then halves."""
        maps: list[Tensor] = self.encoder(x)[-4:]
        return maps

    @torch.no_grad()
    def _measure_stride(self, name: str, channels: int) -> int:
        """The stride of the first map, from a trial run. Raises UserError unless every map halves the previous one."""
        device = next(self.parameters()).device
        try:
            maps = self.eval()(torch.zeros(1, channels, TRIAL_SIDE, TRIAL_SIDE, device=device))
        except (RuntimeError, AssertionError, ValueError) as error:
            raise _unfit(name, f"it accepts no input of {TRIAL_SIDE} x {TRIAL_SIDE} px", error) from error
        finally:
            self.train()
        stride = TRIAL_SIDE // maps[0].shape[-1]
        sides = [TRIAL_SIDE // (stride * factor) for factor in (1, 2, 4, 8)]
        expected = [(width, side, side) for width, side in zip(self.widths, sides, strict=True)]
        if [tuple(x.shape[1:]) for x in maps] != expected:
            raise _unfit(name, "its last four maps do not halve from one to the next")
        return stride


def _remove_pooling(encoder: nn.Module, name: str) -> None:
    """Remove the max-pooling of stride 2, if there is one. Raises UserError for several."""
    poolings = [
        path
        for path, module in encoder.named_modules()
        if isinstance(module, nn.MaxPool2d) and module.stride in (2, (2, 2))
    ]
    if len(poolings) > 1:
        raise _unfit(name, f"it has {len(poolings)} max-poolings, and only one can be removed")
    for path in poolings:
        encoder.set_submodule(path, nn.Identity())


def _renew_stem(encoder: nn.Module) -> None:
    """Replace the first convolution by a 3x3 one of stride 1 with new weights; the norm after it keeps its own."""
    path, first = next((path, module) for path, module in encoder.named_modules() if isinstance(module, nn.Conv2d))
    bias = first.bias is not None
    encoder.set_submodule(path, nn.Conv2d(first.in_channels, first.out_channels, 3, padding=1, bias=bias))


def _stages(encoder: nn.Module, name: str) -> list[str]:
    """Paths of the modules that output an encoder's last four maps."""
    if hasattr(encoder, "layer4"):  # a ResNet of segmentation_models_pytorch
        return ["layer1", "layer2", "layer3", "layer4"]
    features = getattr(encoder, "model", None)
    if isinstance(features, EfficientNetFeatures | MobileNetV3Features):
        return [f"model.{path}" for path in features.feature_info.module_name()[-4:]]
    if isinstance(features, FeatureListNet) and features.output_fmt == "NCHW":
        return [f"model.{path}" for path in list(features.return_layers)[-4:]]
    raise _unfit(name, "it does not have four stages in sequence that output maps with channels first")


def _unfit(name: str, why: str, error: Exception | None = None) -> UserError:
    twin = name.replace("-", "_")
    twins = [f"{TIMM}{twin}"] if name in NATIVE and timm.is_model(twin) and "max-pooling" not in why else []
    fitting = dict.fromkeys([*twins, *FITTING])
    reason = f" ({type(error).__name__}: {str(error).splitlines()[0]})" if error else ""
    return UserError(
        f"The encoder '{name}' does not fit the ResNet34 family: {why}{reason}. Choose one that does, such as "
        f"{', '.join(fitting)}, or the network `unet`, which takes any encoder."
    )
