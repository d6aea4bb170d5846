"""The config: every key with its meaning, unit, bounds and default. Unknown keys are errors.

`check_config` reads what Snakemake merged from workflow_config.yaml and the recipes on top of it. Stage programs get
one section of it, as JSON, and read it with `read_settings`.
"""

import copy
import functools
import hashlib
import itertools
import operator
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    TypeAdapter,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

from schemas import consistency, faults
from schemas.faults import ConfigError as ConfigError  # most who read the config catch it

NAME = "a name (letters, digits and underscores, first a letter)"  # it becomes a folder's
Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$", json_schema_extra={"expected": NAME})]
FOLDER = "a path of letters, digits, underscores, dots, slashes and hyphens"  # it is part of commands
Folder = Annotated[str, Field(pattern=r"^[\w./-]+$", json_schema_extra={"expected": FOLDER})]
Text = Annotated[str, Field(min_length=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Shape = tuple[int, int]  # height and width, px
COMPETITION: Shape = (101, 101)  # of its tiles


def _shortest(shape: Shape) -> int | Shape:
    return shape[0] if shape[0] == shape[1] else shape


def _sized(least: int) -> tuple[Any, ...]:
    """What makes a type of a height and width: `101` or `[64, 96]` in the config, a pair here."""
    expected = f"a side, or [height, width], of at least {least} px"

    def read(size: Any) -> Any:
        sides = (size, size) if isinstance(size, int) else size
        whole = isinstance(sides, list | tuple) and len(sides) == 2 and all(type(side) is int for side in sides)
        if not whole or min(sides) < least:
            raise ValueError(f"expected {expected}, found {faults.shown(size)}")
        return tuple(sides)

    return BeforeValidator(read), PlainSerializer(_shortest), Field(json_schema_extra={"expected": expected})


SIDES, INPUT_SIDES = _sized(1), _sized(16)
InputSide = Annotated[int, Field(ge=16)]
Size = Annotated[tuple[Count, Count], *SIDES]
InputSize = Annotated[tuple[InputSide, InputSide], *INPUT_SIDES]


class Section(BaseModel):
    """A part of the config: immutable, no unknown keys, no numbers that are infinite or none."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


# ---------------------------------------------------------------------------------------------------------------
# Data


class Survey(Section):
    """A synthetic survey in the competition's layout, made before everything else (salt/survey.py)."""

    seed: int = Field(2018, ge=0, description="Of the survey, which is a function of this section alone.")
    sections: Count = Field(8, description="Seismic sections that the tiles are cut from.")
    rows: tuple[Count, Count] = Field((5, 8), description="Fewest and most tiles a section is high.")
    columns: tuple[Count, Count] = Field((6, 14), description="Fewest and most tiles a section is wide.")
    missing: Share = Field(0.05, lt=1, description="Share of the tiles that are left out, as gaps in the mosaics.")
    test: Share = Field(0.5, gt=0, lt=1, description="Share of the tiles that go to the test split.")

    @model_validator(mode="after")
    def _fewest_before_most(self) -> Self:
        for name, (fewest, most) in (("rows", self.rows), ("columns", self.columns)):
            if fewest > most:
                raise ValueError(f"expected {name} from the fewest to the most, found [{fewest}, {most}]; swap them")
        return self


RANGE = "type, tile or [low, high], the low one less"


def _known_range(values: Any) -> Any:
    if values in ("type", "tile"):
        return values
    numbers = isinstance(values, list | tuple) and all(type(value) in (int, float) for value in values)
    if not numbers or len(values) != 2 or not values[0] < values[1]:
        raise ValueError(f"expected {RANGE}, found {faults.shown(values)}")
    return values


Range = Annotated[  # which values of an image become 0 and 255
    Literal["type", "tile"] | tuple[float, float],
    BeforeValidator(_known_range),
    Field(json_schema_extra={"expected": RANGE}),
]


class Data(Section):
    """Where the images are, in which layout, and what is read out of them."""

    layout: Literal["competition", "folders"] = Field(
        "competition",
        description="competition: train.csv, depths.csv, sample_submission.csv and PNGs in folders or zips. "
        "folders: images and masks of any kind and size in train/images, train/masks and test/images.",
    )
    root: Text = Field(description="The folder of all that.")
    tile: Size | None = Field(
        None,
        description="Side of a tile, or [height, width], px; none: 101, the competition's, and in layout folders the "
        "size that all images have. There, larger images are cut into tiles.",
    )
    range: Range = Field(
        "type",
        description="Which values become 0 and 255. type: those of the data type, 0 and 65535 for 16 bits. tile: the "
        "least and largest of each tile, as in the competition's. [low, high]: these, for all tiles. Layout folders.",
    )
    colour: Literal["grey", "rgb"] = Field(
        "grey", description="What becomes of colours. grey: their luminance. rgb: they stay. Layout folders."
    )
    salt: float | None = Field(
        None, description="The masks' value for salt; none: the larger of the two that they have. Layout folders."
    )

    @property
    def shape(self) -> Shape | None:
        """Height and width of a tile, px, where the images need not be looked at to tell."""
        return self.tile or (COMPETITION if self.layout == "competition" else None)

    @model_validator(mode="after")
    def _competitions_pixels_are_known(self) -> Self:
        for key in ("range", "colour", "salt"):
            if self.layout == "competition" and getattr(self, key) != type(self).model_fields[key].default:
                raise ValueError(f"expected {key} with `layout: folders` alone, found it without; leave it out")
        return self


class DataSettings(Data):
    """The settings of prepare_tiles."""

    pictures: str = Field("", description="Digest of the image folders: a change reruns the job.")


class SurveySettings(Survey):
    """The settings of make_survey."""

    tile: Count


class Folds(Section):
    """How the labelled tiles are split for cross-validation."""

    count: int = Field(5, ge=2, description="Folds, and so trainings a model.")
    by: Literal["depth", "coverage", "mosaic"] = Field(
        "depth",
        description="depth: sorted by depth over train and test, dealt round-robin (the original's). "
        "coverage: the same by share of salt. mosaic: neighbours and copies stay in one fold.",
    )


class Mosaics(Section):
    """Which tiles are neighbours, found from their borders."""

    min_similarity: float = Field(
        0.5, gt=0, le=1, description="Least correlation of two borders for their tiles to be neighbours."
    )
    max_ambiguity: float = Field(
        0.4,
        gt=0,
        le=1,
        description="Largest (1 - similarity) / (1 - next best similarity) where no square of tiles confirms a pair.",
    )


# ---------------------------------------------------------------------------------------------------------------
# Models


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


class PlainUnet(Section):
    """U-Net without a pretrained encoder (Ronneberger et al. 2015), batch-normalised."""

    name: Literal["unet_plain"]
    width: Count = Field(16, description="Channels of the first level; each level below doubles them.")
    levels: int = Field(5, ge=2, le=7, description="Sizes of its maps, each half as large as the one before.")

    @property
    def stride(self) -> int:
        """The input's side must divide by this, px."""
        return 2 ** (self.levels - 1)

    @property
    def pretrained(self) -> None:
        """It has no encoder with weights of its own."""
        return None


class Unet(Section):
    """segmentation_models_pytorch's U-Net with scSE blocks in its decoder, on any of its encoders."""

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


class UnetResNext50(Section):
    """The recipe's ResNeXt50 32x4d U-Net (5.1)."""

    name: Literal["unet_resnext50"]
    weights: Text = Field("imagenet", description=WEIGHTS)

    @property
    def encoder(self) -> str:
        """The encoder's name."""
        return "resnext50_32x4d"

    @property
    def stride(self) -> int:
        """The input's side must divide by this, px."""
        return 32

    @property
    def pretrained(self) -> PretrainedEncoder | None:
        """The weights that its encoder starts from, where they are not random."""
        return _pretrained(self.encoder, self.weights)


class ResNet34Family(Section):
    """The recipe's ResNet34 networks (5.2, 5.3), on any encoder of four stages."""

    name: Literal["res34_256", "res34_256_ds", "res34_pad128", "res34_resize128"] = Field(
        description="res34_256: round 1's. res34_256_ds: round 2's, with heads for deep supervision. res34_pad128 and "
        "res34_resize128: round 3's, for inputs of half the side, the latter with heads as well."
    )
    encoder: Text = Field(
        "resnet34",
        description="As for `unet`. The decoder follows its widths: on 2048 channels (resnet50 and larger, resnext) "
        "the centre of the first three networks alone has 162 million parameters, on resnet34's 512 it has 14.",
    )
    weights: Text = Field("imagenet", description=WEIGHTS)

    @property
    def stride(self) -> int:
        """The input's side must divide by this, px; of encoders without a max-pooling, by twice as much."""
        return {"res34_pad128": 32, "res34_resize128": 16}.get(self.name, 64)

    @property
    def pretrained(self) -> PretrainedEncoder | None:
        """The weights that its encoder starts from, where they are not random."""
        return _pretrained(self.encoder, self.weights)


Network = Annotated[PlainUnet | Unet | UnetResNext50 | ResNet34Family, Field(discriminator="name")]


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


class RandomTransform(Section):
    """A random change of a training tile. Amounts are drawn evenly, up to the given one either way."""

    p: Share = Field(description="Probability that a tile is changed; inside one_of, the weight.")


class Flip(RandomTransform):
    """Mirror left and right."""

    name: Literal["flip"] = "flip"


class VerticalFlip(RandomTransform):
    """Mirror top and bottom. In no preset: gravity has a direction, and it hurt (recipe 4)."""

    name: Literal["vertical_flip"] = "vertical_flip"


class Brightness(RandomTransform):
    """Add to the grey values."""

    name: Literal["brightness"] = "brightness"
    limit: Share = Field(description="Largest shift, share of the grey range.")


class Contrast(RandomTransform):
    """Multiply the grey values: about black, as albumentations does, not about their mean."""

    name: Literal["contrast"] = "contrast"
    limit: Share = Field(description="Factor between 1 - limit and 1 + limit.")


class ShiftScale(RandomTransform):
    """Shift along both axes, and zoom about the centre."""

    name: Literal["shift_scale"] = "shift_scale"
    shift: Share = Field(description="Largest shift along an axis, share of the tile's side.")
    scale: float = Field(ge=0, lt=1, description="Zoom factor between 1 - scale and 1 + scale.")


class CropResize(RandomTransform):
    """Cut each of the four sides by its own amount, and resize to the tile's size again."""

    name: Literal["crop_resize"] = "crop_resize"
    share: float = Field(ge=0, lt=0.5, description="Most that is cut from one side, share of the height or width.")


class Shear(RandomTransform):
    """Slant: rows move sideways in proportion to their height above the centre."""

    name: Literal["shear"] = "shear"
    share: Share = Field(description="Largest shift of the top row against the bottom row, share of the height.")


Angle = Annotated[float, Field(ge=-180, le=180)]


class Rotate(RandomTransform):
    """Turn about the centre."""

    name: Literal["rotate"] = "rotate"
    degrees: tuple[Angle, Angle] = Field(description="Least and largest angle, counter-clockwise, degrees.")

    @model_validator(mode="after")
    def _least_before_largest(self) -> Self:
        least, largest = self.degrees
        if least > largest:
            raise ValueError(
                f"expected degrees from the least to the largest, found [{least:g}, {largest:g}]; swap them"
            )
        return self


class Blur(RandomTransform):
    """Gaussian blur of the image."""

    name: Literal["blur"] = "blur"
    sigma: float = Field(gt=0, le=20, description="Largest standard deviation, px.")


class Noise(RandomTransform):
    """Gaussian noise on the image, each pixel its own."""

    name: Literal["noise"] = "noise"
    std: Share = Field(description="Largest standard deviation, share of the grey range.")


class Elastic(RandomTransform):
    """Displace pixels by a smooth random field."""

    name: Literal["elastic"] = "elastic"
    shift: float = Field(ge=0, le=50, description="Root mean square of the displacements along an axis, px.")
    sigma: float = Field(ge=1, le=50, description="Standard deviation of the Gaussian that smooths the field, px.")


class Grid(RandomTransform):
    """Stretch or squeeze each row and each column of a grid; the tile's borders stay where they are."""

    name: Literal["grid"] = "grid"
    cells: Count = Field(description="Rows, and columns, of the grid.")
    limit: float = Field(ge=0, lt=1, description="A row's height changes by a factor of 1 - limit to 1 + limit.")


class CoarseDropout(RandomTransform):
    """Hide rectangles of the image and not of the mask: the network is to guess what was there."""

    name: Literal["coarse_dropout"] = "coarse_dropout"
    holes: Count = Field(description="Most rectangles; at least one.")
    size: float = Field(gt=0, lt=1, description="Largest height and width of a rectangle, share of the tile's.")


class OneOf(RandomTransform):
    """Exactly one of several transformations, drawn by their weights."""

    name: Literal["one_of"] = "one_of"
    of: tuple["Transform", ...] = Field(min_length=1, description="Each weighs by its own p.")

    @model_validator(mode="after")
    def _something_to_draw(self) -> Self:
        if not any(transform.p for transform in self.of):
            raise ValueError("expected one of the transformations to have a p above 0, found none; give one a weight")
        return self


Transform = Annotated[
    Flip
    | VerticalFlip
    | Brightness
    | Contrast
    | ShiftScale
    | CropResize
    | Shear
    | Rotate
    | Blur
    | Noise
    | Elastic
    | Grid
    | CoarseDropout
    | OneOf,
    Field(discriminator="name"),
]
OneOf.model_rebuild()

PRESETS: dict[str, tuple[Transform, ...]] = {  # augmentations by name (recipe 4)
    "write_up": (  # used by both authors
        Flip(p=0.5),
        Brightness(p=0.2, limit=0.2),
        Contrast(p=0.1, limit=0.2),
        ShiftScale(p=0.7, shift=0.1625, scale=0.6),
    ),
    "resnet34_author": (  # his own variant
        Flip(p=0.5),
        OneOf(p=0.5, of=(CropResize(p=1, share=0.2), Shear(p=1, share=0.07), Rotate(p=1, degrees=(0, 15)))),
        OneOf(p=0.5, of=(Brightness(p=1, limit=0.1), Contrast(p=1, limit=0.08))),
    ),
    "none": (),
}


Preset = Literal["write_up", "resnet34_author", "none"]


def _spell_out(augment: Any, check: ValidatorFunctionWrapHandler) -> tuple[Transform, ...]:
    """Put the transformations of presets in the place of their names; a name alone is a list of one.

    What is checked has as many items as what was written, so that a fault has its number.
    """
    items = [augment] if isinstance(augment, str) else augment
    if not isinstance(items, list | tuple):
        return tuple(check(items))
    names = [item if isinstance(item, str) and item in PRESETS else None for item in items]
    checked = check([item if name is None else Flip(p=0) for item, name in zip(items, names, strict=True)])
    parts = [(transform,) if name is None else PRESETS[name] for transform, name in zip(checked, names, strict=True)]
    return tuple(transform for part in parts for transform in part)


Augmentation = Annotated[
    tuple[Transform, ...],
    WrapValidator(_spell_out, json_schema_input_type=Preset | tuple[Preset | Transform, ...]),
    Field(
        description="Transformations one after another, each drawn independently; names of presets among them.",
        json_schema_extra={"default": "write_up"},
    ),
]


class Mix(Section):
    """Mixing of the tiles of a batch, two by two, after their own augmentation."""

    name: Literal["mixup", "cutmix"] = Field(
        description="mixup: sums of two tiles, and of their losses (Zhang et al. 2018). "
        "cutmix: a rectangle of one tile and of its mask put on another (Yun et al. 2019)."
    )
    p: Share = Field(0.5, description="Probability per batch.")
    alpha: Positive = Field(1.0, description="The shares are drawn from Beta(alpha, alpha): 1 is even, 0.2 mostly one.")


class Optimizer(Section):
    """The optimizer and its largest learning rate."""

    name: Literal["sgd", "rmsprop", "adamw"] = Field(description="torch's, RMSprop with the constants of Keras.")
    lr: Positive = Field(description="Learning rate that the schedule starts from.")
    momentum: float = Field(0.9, ge=0, lt=1, description="sgd only.")
    weight_decay: float = Field(0.0, ge=0, description="L2 penalty; of adamw, its decoupled decay.")


class Plateau(Section):
    """Reduce the learning rate when the validation score stalls, stop when it keeps stalling; not for pretraining."""

    name: Literal["plateau"]
    epochs: Count = Field(description="At most so many.")
    factor: float = Field(gt=0, lt=1, description="The learning rate is multiplied by this.")
    patience: Count = Field(description="Epochs without a better score before the rate is reduced.")
    stop_after: Count = Field(description="Epochs without a better score before the phase ends; at least patience.")
    min_lr: float = Field(0.0, ge=0, description="The rate is not reduced below this.")

    @model_validator(mode="after")
    def _reduces_before_it_stops(self) -> Self:
        if self.stop_after < self.patience:
            raise ValueError(
                f"expected stop_after to be at least patience, {self.patience}, found {self.stop_after}: the phase "
                "would end before it has tried a reduced rate; raise stop_after or lower patience"
            )
        return self

    @property
    def most_epochs(self) -> int:
        """Epochs of the phase, if nothing stops it early."""
        return self.epochs


class Cycles(Section):
    """A schedule of cycles, all alike but for their length."""

    cycles: tuple[Count, ...] = Field(min_length=1, description="Epochs of each cycle; one snapshot a cycle.")
    min_lr: float = Field(0.0, ge=0, description="The smallest learning rate.")

    @property
    def most_epochs(self) -> int:
        """Epochs of the phase."""
        return sum(self.cycles)


class Cosine(Cycles):
    """Cosine from the optimizer's rate to `min_lr` in each cycle, each starting at the top again (SGDR)."""

    name: Literal["cosine"]


class Triangular2(Cycles):
    """From `min_lr` up to the optimizer's rate and back in each cycle, the rise halved each time (Smith 2017)."""

    name: Literal["triangular2"]


class Ema(Section):
    """Exponential moving average of the weights: after each step, decay x average + (1 - decay) x weights."""

    name: Literal["ema"]
    decay: float = Field(0.999, gt=0, lt=1, description="1 / (1 - decay) is about the number of steps remembered.")


class Swa(Section):
    """Stochastic weight averaging (Izmailov et al. 2018): the mean of the weights at the ends of some epochs."""

    name: Literal["swa"]
    start: Count = Field(description="The first epoch of the phase that counts; until then the weights as they are.")
    every: Count = Field(1, description="Then each n-th epoch; a cycle's length takes the weights at its ends.")


LossName = Literal[
    "bce",
    "dice",
    "bce_dice",
    "lovasz_relu",
    "lovasz_elu",
    "lovasz_symmetric",
    "lovasz_non_empty",
    "deep_supervision",
]


class Phase(Section):
    """A stretch of training with one loss, optimizer and schedule; starts from the best weights of the one before."""

    loss: LossName | Annotated[dict[LossName, Positive], Field(min_length=1)] = Field(
        description="A loss of models/losses.py, or several with their weights: {bce: 0.1, lovasz_relu: 0.9}."
    )
    optimizer: Optimizer = Field(description="How the weights follow the loss.")
    schedule: Annotated[Plateau | Cosine | Triangular2, Field(discriminator="name")] = Field(
        description="How long the phase is, and its learning rate."
    )
    average: Annotated[Ema | Swa, Field(discriminator="name")] | None = Field(
        None, description="Validate and keep an average of the weights in place of the weights."
    )
    batch: int = Field(ge=2, description="Tiles a step.")
    passes_per_epoch: Count = Field(1, description="Passes over the data that count as one epoch.")

    @model_validator(mode="after")
    def _rate_and_average_in_reach(self) -> Self:
        if self.schedule.min_lr > self.optimizer.lr:
            raise ValueError(
                f"expected schedule.min_lr to be at most optimizer.lr, {self.optimizer.lr:g}, which the rate starts "
                f"from, found {self.schedule.min_lr:g}; lower it"
            )
        if isinstance(self.average, Swa) and self.average.start > self.schedule.most_epochs:
            raise ValueError(
                f"expected average.start to be at most the phase's {self.schedule.most_epochs} epochs, found "
                f"{self.average.start}: no epoch would count; start earlier"
            )
        return self

    @property
    def losses(self) -> dict[str, float]:
        """Weights of the loss's terms, by name."""
        return {self.loss: 1.0} if isinstance(self.loss, str) else {str(name): w for name, w in self.loss.items()}

    @property
    def loss_words(self) -> str:
        """The loss as it is shown: `lovasz_relu`, or `0.1 bce + 0.9 lovasz_relu`."""
        if isinstance(self.loss, str):
            return self.loss
        return " + ".join(f"{weight:g} {name}" for name, weight in self.loss.items())

    def snapshots(self, number: int) -> list[str]:
        """Names of the weights that the phase leaves, as the `number`-th (1-based) of its training."""
        if isinstance(self.schedule, Plateau):
            return [f"phase{number}"]
        return [f"phase{number}_cycle{cycle}" for cycle in range(1, len(self.schedule.cycles) + 1)]


class Pretrain(Section):
    """Training on pseudo-labels alone, once for all folds or, where each has its own labels, once a fold.

    Its last weights are where the folds start.
    """

    pseudo_labels: Name = Field(description="The set it learns from, of the section pseudo_labels.")
    phases: tuple[Phase, ...] = Field(min_length=1, description="As a model's, without plateau schedules.")

    @model_validator(mode="after")
    def _has_nothing_to_validate_on(self) -> Self:
        if any(isinstance(phase.schedule, Plateau) for phase in self.phases):
            raise ValueError(
                "expected schedules that need no score, since pretraining has none, found plateau; use cosine"
            )
        return self


class Model(Section):
    """A network and how it is trained: one training a fold."""

    network: Network = Field(description="What is trained.")
    input: Input = Field(description="What the network sees of a tile.")
    augment: Augmentation = PRESETS["write_up"]
    mix: Mix | None = Field(None, description="Mixing of tiles within a batch; none: no mixing.")
    pretrain: Pretrain | None = Field(None, description="Training on pseudo-labels before the folds; none: without.")
    add_pseudo_labels: Name | None = Field(None, description="Pseudo-labels that join each fold's training tiles.")
    phases: tuple[Phase, ...] = Field(min_length=1, description="Stretches of a fold's training, one after another.")
    members: dict[str, Positive] = Field(
        min_length=1,
        description="Snapshots in the model's prediction and their weights: {phase2: 1, phase3_cycle1: 1}.",
    )

    @model_validator(mode="after")
    def _heads_for_the_loss(self) -> Self:
        phases = [*self.phases, *(self.pretrain.phases if self.pretrain else ())]
        supervised = any("deep_supervision" in phase.losses for phase in phases)
        if supervised and self.network.name not in ("res34_256_ds", "res34_resize128"):
            raise ValueError(
                "expected a network with heads for the loss deep_supervision, res34_256_ds or res34_resize128, found "
                f"{self.network.name}; choose one of them, or another loss"
            )
        return self

    @property
    def snapshots(self) -> list[str]:
        """Names of all the snapshots that a fold's training leaves."""
        return [name for number, phase in enumerate(self.phases, 1) for name in phase.snapshots(number)]

    @property
    def pseudo_labels(self) -> list[str]:
        """Names of the pseudo-label sets that its training needs."""
        names = [self.pretrain.pseudo_labels if self.pretrain else None, self.add_pseudo_labels]
        return [name for name in names if name is not None]


class TrainSettings(Section):
    """What a training depends on: the settings of train_fold."""

    seed: int
    network: Network
    input: Input
    augment: Augmentation
    mix: Mix | None = None
    phases: tuple[Phase, ...]


class PretrainSettings(TrainSettings):
    """The settings of pretrain."""

    fold: int | None = Field(None, description="The fold that starts from the weights; none: all of them.")


class PredictSettings(Section):
    """What a fold's prediction depends on: the settings of predict_fold."""

    network: Network
    input: Input
    members: dict[str, Positive]


# ---------------------------------------------------------------------------------------------------------------
# What is made of the models


class SizeClass(Section):
    """How many pseudo-labels of a mask size each fold gets."""

    pixels: tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)]] = Field(
        description="Smallest and largest mask, px of salt."
    )
    count: Count = Field(description="Tiles a fold.")
    min_confidence: Share | None = Field(None, description="In place of the set's own.")
    every: Count = Field(1, description="Take every n-th of those that qualify.")

    @model_validator(mode="after")
    def _smallest_before_largest(self) -> Self:
        smallest, largest = self.pixels
        if smallest > largest:
            raise ValueError(
                f"expected pixels from the smallest to the largest mask, found [{smallest}, {largest}]; swap them"
            )
        return self


class PseudoLabels(Section):
    """Masks of confidently predicted test tiles, to train on (recipe 8)."""

    ensemble: Name = Field(description="The ensemble, or the model, that labels the tiles.")
    scope: Literal["ensemble", "fold"] = Field(
        "ensemble",
        description="Who predicts the tiles. ensemble: all of its models, one set for all folds (the first place's). "
        "fold: for each fold its own models alone, which have not seen its validation tiles (the second place's).",
    )
    low: Share = Field(0.2, description="A pixel with p < low is confidently not salt.")
    high: Share = Field(0.8, description="A pixel with p > high is confidently salt.")
    min_confidence: Share = Field(0.9, description="Least share of confident pixels in a selected tile.")
    per_fold: tuple[SizeClass, ...] | None = Field(
        None, description="Disjoint slices a fold, by mask size; none: every confident tile, in every fold."
    )

    @model_validator(mode="after")
    def _bounds_apart(self) -> Self:
        if self.low >= self.high:
            raise ValueError(
                f"expected low to be less than high, {self.high:g}, found {self.low:g}: every pixel would be sure; "
                "give for instance low: 0.2, high: 0.8"
            )
        sizes = sorted(self.per_fold or (), key=lambda size: size.pixels)
        for one, other in itertools.pairwise(sizes):
            if other.pixels[0] <= one.pixels[1]:
                raise ValueError(
                    f"expected sizes in per_fold that do not overlap, found {list(one.pixels)} and "
                    f"{list(other.pixels)}: a tile would be taken twice; let one end below where the other begins"
                )
        return self

    def folder(self, fold: int) -> str:
        """Name of the folder with what a fold learns from."""
        return f"fold{fold}" if self.scope == "fold" else "all_folds"

    def folders(self, folds: int) -> list[str]:
        """Names of all the folders of the set: one that the folds share, or one each."""
        return list(dict.fromkeys(self.folder(fold) for fold in range(folds)))


class PseudoLabelSettings(PseudoLabels):
    """The settings of make_pseudo_labels."""

    folds: int
    fold: int | None = Field(None, description="The fold that learns from the masks; none: all of them.")
    weights: tuple[Positive, ...] = Field(description="Of the predictions that are averaged, in their order.")


JigsawRule = Literal["none", "published", "extended"]


def _as_rule(value: Any) -> Any:
    """The rule that a switch stands for."""
    return ("published" if value else "none") if isinstance(value, bool) else value


class Submission(Section):
    """What is submitted."""

    ensemble: Name = Field(description="The ensemble, or the model, whose masks are submitted.")
    threshold: float = Field(0.5, gt=0, lt=1, description="A pixel with p > threshold is salt.")
    jigsaw: Annotated[JigsawRule, BeforeValidator(_as_rule)] = Field(
        "published",
        description="The jigsaw rule for the final masks. published, or true: the original's (recipe 9). "
        "extended: where no salt is predicted right below or above known salt, this goes on, too. none, or false.",
    )

    @property
    def shown_jigsaw(self) -> JigsawRule:
        """The rule that scores are shown with, beside those without."""
        return "published" if self.jigsaw == "none" else self.jigsaw


class ScoreSettings(Section):
    """The settings of score."""

    threshold: float
    jigsaw: tuple[JigsawRule, ...] = Field(
        get_args(JigsawRule), description="Always all of them. A run whose scores lack one is scored again."
    )


class Report(Section):
    """What the report shows beside the run itself. A change writes the report again and nothing else."""

    compare: tuple[Folder, ...] = Field(
        (), description="Results of other runs, finished ones: their scores are shown beside this run's."
    )


class Sections(Section):
    """How images larger than a tile are predicted: cut into windows of its size, and blended."""

    overlap: float = Field(0.5, ge=0, le=0.9, description="Least share that neighbouring windows have in common.")
    range: Range | None = Field(
        None,
        description="What becomes 0 and 255 in each window, as data.range, which it is by default; in the layout "
        "competition, whose tiles were stretched each on its own, `tile`. Floats have no range by their type: where "
        "data.range is `type`, this counts for those of a tile's size as well.",
    )


class EnsembleMember(PredictSettings):
    """A model and its weight in an ensemble."""

    weight: Positive


class PredictImagesSettings(Section):
    """The settings of predict_images: all that a prediction of new images depends on."""

    images: str = Field(description="A folder of images, or one.")
    pictures: str = Field(description="Digest of the images.")
    tile: Size
    range: Range = "type"
    colour: Literal["grey", "rgb"] = "grey"
    sections: Sections
    models: dict[Name, EnsembleMember]
    folds: Count
    weights: str = Field(description="Digest of the models' weights.")
    threshold: float


class Compute(Section):
    """How the machine is used. A change reruns nothing; `device` and `threads` can change a result's last bits."""

    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: the GPU where there is one.")
    threads: Count = Field(2, description="CPU threads of one program (torch).")
    loader_workers: int = Field(4, ge=0, description="Processes that augment tiles; 0: the training itself does.")
    predict_batch: Count = Field(64, description="Tiles predicted at once.")
    deterministic: bool = Field(
        False, description="On a GPU: the same bits each time, at the cost of speed. A CPU repeats exactly anyway."
    )
    checkpoint_seconds: float = Field(
        60,
        ge=0,
        description="A training writes a checkpoint after so many seconds (later where that would take more than 2 % "
        "of the time; 0: after every step), and at each cycle's end.",
    )
    check_disk: bool = Field(True, description="Start no run that will fill more than is free on the disk.")


class PathVars(Section):
    """Folders that Snakemake puts in the place of `<name>`."""

    results: Folder = Field(description="Everything goes here. No spaces: it is part of commands.")


class Config(Section):
    """The whole config."""

    pathvars: PathVars = Field(description="Where results go.")
    seed: int = Field(ge=0, description="Of every random choice except the survey's.")
    data: Data = Field(description="The tiles.")
    survey: Survey | None = Field(None, description="Make the data first: a synthetic survey at data.root.")
    folds: Folds = Field(Folds(), description="How labelled tiles are split.")
    mosaics: Mosaics = Field(Mosaics(), description="Which tiles are neighbours.")
    models: dict[Name, Model] = Field(min_length=1, description="By name: networks and how they are trained.")
    ensembles: dict[Name, Annotated[dict[Name, Positive], Field(min_length=1)]] = Field(
        min_length=1, description="By name: models and their weights in a mean of predictions."
    )
    pseudo_labels: dict[Name, PseudoLabels] = Field(
        {}, description="By name: masks of test tiles that models can learn from."
    )
    submission: Submission = Field(description="What is submitted.")
    predict: str | None = Field(
        None,
        min_length=1,
        description="A folder of images, or one: the trained run is applied to them, and nothing is trained. Usually "
        "on the command line: --config predict=path/to/images",
    )
    sections: Sections = Field(Sections(), description="Images larger than a tile, in predictions.")
    report: Report = Field(Report(), description="What the report shows beside this run.")
    compute: Compute = Field(Compute(), description="How the machine is used.")

    def predictors(self, labels: str) -> dict[str, float]:
        """The models that make a set of pseudo-labels, by name in order, and their weights."""
        ensemble = self.pseudo_labels[labels].ensemble
        return dict(sorted(self.ensembles.get(ensemble, {ensemble: 1.0}).items()))

    def pretrainings(self, model: str) -> list[str]:
        """Names of the folders of a model's pretraining: none, one that its folds share, or one each."""
        pretrain = self.models[model].pretrain
        return self.pseudo_labels[pretrain.pseudo_labels].folders(self.folds.count) if pretrain else []


S = TypeVar("S")


def read_settings(kind: type[S], text: str) -> S:
    """Read one section from the JSON that the workflow hands to a program. Raises ConfigError where it is wrong."""
    try:
        return TypeAdapter(kind).validate_json(text)
    except ValidationError as error:
        raise ConfigError("\n".join(faults.told(error, TypeAdapter(kind).json_schema()).values())) from None


def check_config(raw: Mapping[str, Any]) -> Config:
    """Check the merged config: shape first, then what its parts say of each other.

    A key set to null is as if it were not there, so that a recipe can take out what it inherits.
    Raises ConfigError with every fault found.
    """
    given = _drop_nulls(raw)
    try:
        config = Config.model_validate(given)
    except ValidationError as error:
        wrong = faults.told(error, Config.model_json_schema())
        raise ConfigError("\n".join([*wrong.values(), *_misspelt_besides(given, wrong)])) from None
    if found := consistency.faults(config):
        raise ConfigError("\n".join(found))
    return config


def _misspelt_besides(given: Any, wrong: Collection[faults.Path]) -> list[str]:
    """Faults of names in a config whose shape is wrong elsewhere, where the rest is a config.

    wrong: paths of the faults. Where one is a model's, an ensemble's or a set's, its name would be missed.
    """
    if any(len(path) == 2 and path[0] in ("models", "ensembles", "pseudo_labels") for path in wrong):
        return []
    rest = copy.deepcopy(given)
    for *above, key in sorted(wrong, key=len, reverse=True):
        section = functools.reduce(operator.getitem, above, rest)
        if isinstance(section, dict):
            section.pop(key, None)
    try:
        return list(consistency.misspelt(Config.model_validate(rest)))
    except ValidationError:
        return []


def _drop_nulls(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _drop_nulls(item) for key, item in value.items() if item is not None}
    return value
