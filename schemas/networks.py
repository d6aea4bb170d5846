"""Sections of the config about networks, and about what lies between a tile and a network."""

import hashlib
import re
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from schemas.section import Count, InputSize, Section, Shape, Share, Text


class PretrainedEncoder(Section):
    """An encoder and the weights that it starts from: the settings of fetch_weights."""

    encoder: Text = Field(description="An encoder's name.")
    weights: Text = Field(description="Their name or file.")

    @property
    def file(self) -> str | None:
        """The local file, where `weights` names one."""
        return self.weights if self.weights.endswith(".safetensors") else None

    @property
    def slug(self) -> str:
        """A file's name for these weights, without suffix; a digest tells apart what would look the same in it."""
        whole = f"{self.encoder}-{self.weights}"
        readable = re.sub(r"[^\w.-]", "_", f"{self.encoder}-{Path(self.weights).stem}" if self.file else whole)
        return readable if readable == whole else f"{readable}-{hashlib.sha256(whole.encode()).hexdigest()[:8]}"


def _pretrained(encoder: str, weights: str) -> PretrainedEncoder | None:
    return None if weights == "none" else PretrainedEncoder(encoder=encoder, weights=weights)


WEIGHTS = "`imagenet` or another of the encoder's, `path/to/file.safetensors`, or `none`: a random start."


class BaseNetwork(Section):
    """What the schema, the report and the estimates know of a network.

    words: how the report's methods tell it, with the section's fields filled in
    stride: the input's side must divide by this, px
    has_heads: it gives what deep supervision needs (models/__init__.py)
    parameters: of the network with the section's defaults; none: its encoder has no default
    tried_encoders: those that tests make it with, so that no run needs to try
    """

    words: ClassVar[str]
    has_heads: ClassVar[bool] = False
    parameters: ClassVar[int | None] = None
    tried_encoders: ClassVar[tuple[str, ...]] = ()

    @property
    def known_parameters(self) -> int | None:
        """Parameters of the network as it is set; none where a setting but `weights` is not the default."""
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
    levels: int = Field(5, ge=2, le=7, description="Sizes of its maps, each half as large as the one before.")

    @property
    def stride(self) -> int:
        """The input's side must divide by this, px."""
        return 2 ** (self.levels - 1)


class Unet(BaseNetwork):
    """segmentation_models_pytorch's U-Net with scSE blocks in its decoder, on any of its encoders."""

    words = "a U-Net with scSE blocks in its decoder"
    tried_encoders = ("tu-resnet10t",)

    name: Literal["unet"]
    encoder: Text = Field(description="An encoder's name there, or `tu-` and the name of a timm network.")
    weights: Text = Field("imagenet", description=WEIGHTS)
    decoder_channels: tuple[Annotated[int, Field(ge=16)], ...] = Field(
        (128, 64, 32, 16, 16),
        min_length=3,
        max_length=5,
        description="From the deepest block on, one for each halving of the encoder; scSE divides each by 16.",
    )
    dropout: Share = Field(0.2, description="Spatial dropout before the output (recipe 5.1).")

    @property
    def stride(self) -> int:
        """The input's side must divide by this, px."""
        return 2 ** len(self.decoder_channels)

    @property
    def pretrained(self) -> PretrainedEncoder | None:
        """The weights that its encoder starts from, where they are not random."""
        return _pretrained(self.encoder, self.weights)


class UnetResNext50(BaseNetwork):
    """The recipe's ResNeXt50 32x4d U-Net (5.1)."""

    words = "a U-Net with scSE blocks on a ResNeXt50 (32x4d) encoder"
    stride: ClassVar[int] = 32
    parameters = 28_451_630
    encoder: ClassVar[str] = "resnext50_32x4d"
    tried_encoders = (encoder,)

    name: Literal["unet_resnext50"]
    weights: Text = Field("imagenet", description=WEIGHTS)

    @property
    def pretrained(self) -> PretrainedEncoder | None:
        """The weights that its encoder starts from, where they are not random."""
        return _pretrained(self.encoder, self.weights)


class ResNet34Family(BaseNetwork):
    """The recipe's ResNet34 networks (5.2, 5.3), on any encoder of four stages."""

    stride: ClassVar[int]  # of encoders without a max-pooling, twice as much
    tried_encoders = ("resnet34",)

    encoder: Text = Field(
        "resnet34",
        description="As for `unet`, of four stages. The decoder follows its widths: on 2048 channels (resnet50 and "
        "larger, resnext) the centre of the first three networks alone has 162 million parameters, on resnet34's 512 "
        "it has 14.",
    )
    weights: Text = Field("imagenet", description=WEIGHTS)

    @property
    def pretrained(self) -> PretrainedEncoder | None:
        """The weights that its encoder starts from, where they are not random."""
        return _pretrained(self.encoder, self.weights)


class Res34At256(ResNet34Family):
    """Round 1's network of the ResNet34 author (5.2)."""

    words = "a U-Net with scSE blocks, feature pyramid attention and hypercolumns at 256 px"
    stride = 64
    parameters = 35_409_412

    name: Literal["res34_256"]


class Res34At256Ds(ResNet34Family):
    """Round 2's (5.2): round 1's with heads for deep supervision."""

    words = "the deeply supervised U-Net with scSE blocks and hypercolumns at 256 px"
    stride = 64
    has_heads = True
    parameters = 35_516_165

    name: Literal["res34_256_ds"]


class Res34Pad128(ResNet34Family):
    """Round 3's, for inputs of half the side (5.2)."""

    words = "a U-Net with scSE blocks and hypercolumns at 128 px"
    stride = 32
    parameters = 35_253_376

    name: Literal["res34_pad128"]


class Res34Resize128(ResNet34Family):
    """Round 3's other one, for inputs of half the side, with heads for deep supervision (5.3)."""

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
    """Geometry and channels between a tile and a network: resize first, then pad (recipe 3)."""

    resize: InputSize | None = Field(None, description="What to resize the tile to, bilinear; none: as it is.")
    pad: InputSize | None = Field(None, description="What to pad to, the odd pixel right and below; none: no pad.")
    pad_mode: Literal["reflect", "edge"] = Field(
        "edge", description="reflect: mirror the tile; edge: repeat its border."
    )
    channels: Literal["grey", "grey3", "ramp", "depth", "rgb"] = Field(
        "ramp",
        description="grey: grey alone. grey3: grey three times. ramp: grey, 0..1 from top to bottom, their product. "
        "depth: as ramp with the tile's depth, 0..1 over all tiles, in the ramp's place (the 28th place's). "
        "rgb: the three colours, where data.colour keeps them; the others take their luminance.",
    )

    def resized(self, tile: Shape) -> Shape:
        """Height and width of a tile after resizing, px."""
        return self.resize or tile

    def shape(self, tile: Shape) -> Shape:
        """Height and width of the network's input, px."""
        return self.pad or self.resized(tile)

    def known_shape(self, tile: Shape | None) -> Shape | None:
        """The same where the images alone tell the tile's size; none: it depends on that."""
        return self.shape(tile) if tile else self.pad or self.resize

    def misfit(self, tile: Shape) -> str | None:
        """What is wrong with the padding of such tiles, if anything."""
        for small, large in zip(self.resized(tile), self.shape(tile), strict=True):
            if large < small:
                return (
                    f"pad: expected at least the {small} px that are to be padded, found {large} px; raise it, or set "
                    f"resize to at most {large}"
                )
            if self.pad_mode == "reflect" and (large - small + 1) // 2 >= small:
                return (
                    f"pad: expected less than {3 * small - 1} px, since no more than the {small} px that there are can "
                    f"be mirrored, found {large} px; lower it, or set pad_mode: edge"
                )
        return None

    @property
    def channel_count(self) -> int:
        """Channels of the network's input."""
        return 1 if self.channels == "grey" else 3
