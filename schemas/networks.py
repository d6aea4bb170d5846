"""Config sections about networks, and about the input that they get from a tile."""

import hashlib
import re
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from schemas.base import Count, InputSize, Section, Shape, Share, Text
from schemas.packages import PACKAGE, PACKAGES, Package


class PretrainedEncoder(Section):
    """The settings of fetch_weights: an encoder and its first weights."""

    encoder: Text = Field(description="Name of the encoder.")
    weights: Text = Field(description="Name or file of its first weights.")

    @property
    def file(self) -> str | None:
        """The local file, if `weights` names one."""
        return self.weights if self.weights.endswith(".safetensors") else None

    @property
    def package(self) -> Package | None:
        """The package that holds them, if `weights` asks for one."""
        return PACKAGES.get(self.encoder) if self.weights == PACKAGE else None

    @property
    def slug(self) -> str:
        """File name for these weights, without suffix; a digest keeps names unique where characters are replaced."""
        whole = f"{self.encoder}-{self.weights}"
        readable = re.sub(r"[^\w.-]", "_", f"{self.encoder}-{Path(self.weights).stem}" if self.file else whole)
        return readable if readable == whole else f"{readable}-{hashlib.sha256(whole.encode()).hexdigest()[:8]}"


def _pretrained(encoder: str, weights: str) -> PretrainedEncoder | None:
    return None if weights == "none" else PretrainedEncoder(encoder=encoder, weights=weights)


WEIGHTS = (
    "`imagenet`, another name of the encoder's weights, `path/to/file.safetensors`, `package` for ImageNet weights "
    f"from an installed Python package ({', '.join(PACKAGES)}), or `none` for a random start."
)


class BaseNetwork(Section):
    """What the schema, the report and the estimates know about a network.

    words: its description in the report's methods, a format string of the section's fields
    stride: the input's sides must be multiples of this, px
    has_heads: whether it has the outputs that deep supervision needs (models/__init__.py)
    parameters: their number with the section's defaults; None if its encoder has no default
    tried_encoders: encoders that tests cover, so that no run needs to try them
    """

    words: ClassVar[str]
    has_heads: ClassVar[bool] = False
    parameters: ClassVar[int | None] = None
    tried_encoders: ClassVar[tuple[str, ...]] = ()

    @property
    def known_parameters(self) -> int | None:
        """Number of parameters; None if a setting other than `weights` differs from its default."""
        keys = type(self).model_fields.keys() - {"name", "weights"}
        usual = all(getattr(self, key) == type(self).model_fields[key].default for key in keys)
        return self.parameters if usual else None


class PlainUnet(BaseNetwork):
    """U-Net without a pretrained encoder (Ronneberger et al. 2015), batch-normalised."""

    words = "a plain U-Net"
    parameters = 1_964_097
    encoder: ClassVar[None] = None
    pretrained: ClassVar[None] = None

    name: Literal["unet_plain"]
    width: Count = Field(16, description="Channels of the first level; each level below doubles them.")
    levels: int = Field(
        5, ge=2, le=7, description="Number of levels, each with feature maps half as large as the one before."
    )

    @property
    def stride(self) -> int:
        """The input's sides must be multiples of this, px."""
        return 2 ** (self.levels - 1)


class Unet(BaseNetwork):
    """The U-Net of segmentation_models_pytorch with scSE blocks in its decoder, on any of the library's encoders."""

    words = "a U-Net with scSE blocks in its decoder"
    tried_encoders = ("tu-resnet10t", *PACKAGES)

    name: Literal["unet"]
    encoder: Text = Field(description="Name of one of the library's encoders, or `tu-` and the name of a timm network.")
    weights: Text = Field("imagenet", description=WEIGHTS)
    decoder_channels: tuple[Annotated[int, Field(ge=16)], ...] = Field(
        (128, 64, 32, 16, 16),
        min_length=3,
        max_length=5,
        description="Channels from the deepest block on, one per halving of the encoder; scSE divides each by 16.",
    )
    dropout: Share = Field(0.2, description="Spatial dropout before the output (recipe 5.1).")

    @property
    def stride(self) -> int:
        """The input's sides must be multiples of this, px."""
        return 2 ** len(self.decoder_channels)

    @property
    def pretrained(self) -> PretrainedEncoder | None:
        """The weights that its encoder starts from, where they are not random."""
        return _pretrained(self.encoder, self.weights)


class UnetResNext50(BaseNetwork):
    """The recipe's U-Net on ResNeXt50 32x4d (recipe 5.1)."""

    words = "a U-Net with scSE blocks in its decoder"
    stride: ClassVar[int] = 32
    parameters = 28_451_630
    parameters_published: ClassVar[int] = 29_147_480
    encoder: ClassVar[str] = "resnext50_32x4d"
    tried_encoders = (encoder,)

    name: Literal["unet_resnext50"]
    decoder: Literal["published", "smp"] = Field(
        "smp",
        description="published: as in the original, with a first batch norm of the input (so raw values may come in), "
        "transposed convolutions, one 3x3 convolution a block, skips from inside the encoder's units, scSE with "
        "reduction 2 and a spatial gate for each channel, and 8 channels in the last block. smp: that of "
        "segmentation_models_pytorch, as `unet` has it, with 16 channels in the last block.",
    )
    weights: Text = Field("imagenet", description=WEIGHTS)

    @property
    def pretrained(self) -> PretrainedEncoder | None:
        """The weights that its encoder starts from, where they are not random."""
        return _pretrained(self.encoder, self.weights)

    @property
    def known_parameters(self) -> int:
        """Number of parameters."""
        return self.parameters_published if self.decoder == "published" else self.parameters


class ResNet34Family(BaseNetwork):
    """The recipe's ResNet34 networks (recipe 5.2, 5.3), on any encoder of four stages."""

    stride: ClassVar[int]  # twice as much for encoders without a max-pooling
    tried_encoders = ("resnet34",)

    encoder: Text = Field(
        "resnet34",
        description="As for `unet`, but with four stages. The decoder follows its widths: with 2048 channels (resnet50 "
        "and larger, resnext) the centre of the first three networks alone has 162 million parameters, with "
        "resnet34's 512 channels 14 million.",
    )
    weights: Text = Field("imagenet", description=WEIGHTS)

    @property
    def pretrained(self) -> PretrainedEncoder | None:
        """The weights that its encoder starts from, where they are not random."""
        return _pretrained(self.encoder, self.weights)


class Res34At256(ResNet34Family):
    """The ResNet34 author's network of round 1 (recipe 5.2)."""

    words = "a U-Net with scSE blocks, feature pyramid attention and hypercolumns at 256 px"
    stride = 64
    parameters = 35_409_412

    name: Literal["res34_256"]


class Res34At256Ds(ResNet34Family):
    """The network of round 2 (recipe 5.2): that of round 1 with heads for deep supervision."""

    words = "the deeply supervised U-Net with scSE blocks and hypercolumns at 256 px"
    stride = 64
    has_heads = True
    parameters = 35_516_165

    name: Literal["res34_256_ds"]


class Res34Pad128(ResNet34Family):
    """The network of round 3 for inputs of half the side (recipe 5.2)."""

    words = "a U-Net with scSE blocks and hypercolumns at 128 px"
    stride = 32
    parameters = 35_253_376

    name: Literal["res34_pad128"]


class Res34Resize128(ResNet34Family):
    """The other network of round 3 for inputs of half the side, with heads for deep supervision (recipe 5.3)."""

    words = "a U-Net with global attention upsampling at 128 px"
    stride = 16
    has_heads = True
    parameters = 23_845_761

    name: Literal["res34_resize128"]


Network = Annotated[
    PlainUnet | Unet | UnetResNext50 | Res34At256 | Res34At256Ds | Res34Pad128 | Res34Resize128,
    Field(discriminator="name"),
]


class Input(Section):
    """The network's input from a tile: resized first, then padded (recipe 3)."""

    resize: InputSize | None = Field(None, description="Size to resize the tile to, bilinear; none: keep its size.")
    pad: InputSize | None = Field(
        None, description="Size to pad to; an odd pixel goes right and below; none: no padding."
    )
    pad_mode: Literal["reflect", "edge"] = Field(
        "edge", description="reflect: mirror the tile; edge: repeat its border."
    )
    channels: Literal["grey", "grey3", "ramp", "depth", "rgb"] = Field(
        "ramp",
        description="grey: grey only. grey3: grey three times. ramp: grey, a ramp 0..1 from top to bottom, their "
        "product. depth: as ramp, but the second channel is the tile's depth, 0..1 over all tiles (the 28th place's). "
        "rgb: the three colours, if data.colour keeps them; all other choices use luminance.",
    )
    values: Literal["imagenet", "unit", "raw"] = Field(
        "imagenet",
        description="What becomes of the tile's 8 bits; the product has the same values times the ramp. imagenet: "
        "minus ImageNet's mean, by its standard deviation, as pretrained encoders expect. unit: 0..1 (the ResNet34 "
        "author's). raw: 0..255, for networks whose first layer normalises (the ResNeXt50 author's).",
    )
    mask_edges: Literal["cut", "fractions"] = Field(
        "cut",
        description="Pixels of a resized mask that hold both salt and background. cut: salt above 0.5 (the ResNet34 "
        "author's). fractions: their share of salt (the ResNeXt50 author's); the Lovasz losses, which need zeros and "
        "ones, still cut. Soft pseudo-labels keep fractions in any case.",
    )

    def resized(self, tile: Shape) -> Shape:
        """Height and width of a tile after resizing, px."""
        return self.resize or tile

    def shape(self, tile: Shape) -> Shape:
        """Height and width of the network's input, px."""
        return self.pad or self.resized(tile)

    def known_shape(self, tile: Shape | None) -> Shape | None:
        """The network's input, px, if the config determines it; tile: None if only the images tell its size."""
        return self.shape(tile) if tile else self.pad or self.resize

    def misfit(self, tile: Shape) -> str | None:
        """The fault of padding such tiles, as text; None if there is none."""
        for small, large in zip(self.resized(tile), self.shape(tile), strict=True):
            if large < small:
                return (
                    f"pad: expected at least the {small} px to be padded, found {large} px; raise it, or set resize "
                    f"to at most {large}"
                )
            if self.pad_mode == "reflect" and (large - small + 1) // 2 >= small:
                return (
                    f"pad: expected less than {3 * small - 1} px, since only the {small} px of the tile can be "
                    f"mirrored, found {large} px; lower it, or set pad_mode: edge"
                )
        return None

    @property
    def channel_count(self) -> int:
        """Channels of the network's input."""
        return 1 if self.channels == "grey" else 3
