"""Config sections about random changes to training tiles."""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, ValidatorFunctionWrapHandler, WrapValidator, model_validator

from schemas.base import Count, Positive, Section, Share, must_ascend


class RandomTransform(Section):
    """A random change to a training tile. Amounts are drawn uniformly, up to the given one either way.

    words: its description in the report's methods, a format string of the section's fields
    """

    words: ClassVar[str]

    p: Share = Field(description="Probability that a tile is changed; inside one_of, the weight.")


class Flip(RandomTransform):
    """Mirror left and right."""

    words = "mirroring left and right"
    name: Literal["flip"] = "flip"


class VerticalFlip(RandomTransform):
    """Mirror top and bottom. Not in any preset: gravity has a direction, and it lowered scores (recipe 4)."""

    words = "mirroring top and bottom"
    name: Literal["vertical_flip"] = "vertical_flip"


class Brightness(RandomTransform):
    """Add a constant to the grey values."""

    words = "adding up to ±{0.limit:g} of the grey range"
    name: Literal["brightness"] = "brightness"
    limit: Share = Field(description="Largest shift, share of the grey range.")


class Contrast(RandomTransform):
    """Multiply the distances of the grey values from one that stays."""

    words = "multiplying the grey values by 1 ± {0.limit:g} about {0.about}"
    name: Literal["contrast"] = "contrast"
    limit: Share = Field(description="Factor between 1 - limit and 1 + limit.")
    about: Literal["black", "mean", "triple_mean"] = Field(
        "black",
        description="The grey value that stays. black: the tile gets brighter or darker, as by its exposure. mean: its "
        "mean stays. triple_mean: three times its mean, as in the library of the ResNeXt50 author, so that less "
        "contrast makes the tile brighter.",
    )


class ShiftScale(RandomTransform):
    """Shift along both axes, and zoom about the centre."""

    words = "shifting by up to ±{0.shift:g} of the side, in {0.pixels} pixels, and zooming by 1 ± {0.scale:g}"
    name: Literal["shift_scale"] = "shift_scale"
    shift: Share = Field(description="Largest shift along an axis, share of the tile's side.")
    scale: float = Field(ge=0, lt=1, description="Zoom factor between 1 - scale and 1 + scale.")
    pixels: Literal["whole", "fractional"] = Field(
        "whole",
        description="whole: shifts are cut to whole pixels, and the middle of the tile stays where it zooms. "
        "fractional: shifts are not cut, and half the side stays, as in the library of the ResNeXt50 author: of 101 "
        "px, 50.5, with the middle pixel at 50.",
    )


class CropResize(RandomTransform):
    """Crop each of the four sides by its own number of pixels, and resize back to the tile's size."""

    words = "cropping less than {0.share:g} per side and resizing back"
    name: Literal["crop_resize"] = "crop_resize"
    share: float = Field(ge=0, lt=0.5, description="A side loses fewer pixels than this share of the height or width.")


class Shear(RandomTransform):
    """Shear: rows move sideways in proportion to their height above the centre."""

    words = "shearing sideways by up to ±{0.share:g} of the height, in {0.pixels} pixels"
    name: Literal["shear"] = "shear"
    share: Share = Field(description="Largest shift of the top row against the bottom row, share of the height.")
    pixels: Literal["whole", "fractional"] = Field(
        "fractional",
        description="whole: the top edge and the bottom edge move by whole pixels, as the ResNet34 author draws it.",
    )


Angle = Annotated[float, Field(ge=-180, le=180)]


class Rotate(RandomTransform):
    """Rotate about half the height and half the width."""

    words = "turning by {0.degrees[0]:g}° to {0.degrees[1]:g}° counter-clockwise"
    name: Literal["rotate"] = "rotate"
    degrees: tuple[Angle, Angle] = Field(description="Least and largest angle, counter-clockwise, degrees.")

    @model_validator(mode="after")
    def _least_before_largest(self) -> Self:
        must_ascend(self.degrees, "degrees from the least to the largest")
        return self


class Blur(RandomTransform):
    """Gaussian blur of the image."""

    words = "blurring with a deviation of up to {0.sigma:g} px"
    name: Literal["blur"] = "blur"
    sigma: float = Field(gt=0, le=20, description="Largest standard deviation, px.")


class Noise(RandomTransform):
    """Gaussian noise on the image, independent for each pixel."""

    words = "adding noise with a deviation of up to {0.std:g} of the grey range"
    name: Literal["noise"] = "noise"
    std: Share = Field(description="Largest standard deviation, share of the grey range.")


class Elastic(RandomTransform):
    """Displace pixels by a smooth random field."""

    words = "displacing elastically by {0.shift:g} px, smoothed over {0.sigma:g} px"
    name: Literal["elastic"] = "elastic"
    shift: float = Field(ge=0, le=50, description="Root mean square of the displacements along an axis, px.")
    sigma: float = Field(ge=1, le=50, description="Standard deviation of the Gaussian that smooths the field, px.")


class Grid(RandomTransform):
    """Stretch or squeeze each row and each column of a grid; the tile's borders stay in place."""

    words = "stretching the rows and columns of a {0.cells} × {0.cells} grid by 1 ± {0.limit:g}"
    name: Literal["grid"] = "grid"
    cells: Count = Field(description="Number of rows of the grid, and of its columns.")
    limit: float = Field(ge=0, lt=1, description="A row's height changes by a factor of 1 - limit to 1 + limit.")


class CoarseDropout(RandomTransform):
    """Hide rectangles of the image but not of the mask: the network learns to infer what was there."""

    words = "hiding up to {0.holes} rectangles of up to {0.size:g} of the side"
    name: Literal["coarse_dropout"] = "coarse_dropout"
    holes: Count = Field(description="Most rectangles; at least one.")
    size: float = Field(gt=0, lt=1, description="Largest height and width of a rectangle, share of the tile's.")


class OneOf(RandomTransform):
    """Exactly one of several transformations, drawn by weight."""

    words = "one of"
    name: Literal["one_of"] = "one_of"
    of: tuple["Transform", ...] = Field(min_length=1, description="The transformations; the p of each is its weight.")

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
    "write_up": (  # its list, by the same names in today's albumentations
        Flip(p=0.5),
        Brightness(p=0.2, limit=0.2),
        Contrast(p=0.1, limit=0.2),
        ShiftScale(p=0.7, shift=0.1625, scale=0.6),
    ),
    "resnext50_author": (  # the same list as his code draws it: its brightness is a factor
        Flip(p=0.5),
        Contrast(p=0.2, limit=0.2),
        Contrast(p=0.1, limit=0.2, about="triple_mean"),
        ShiftScale(p=0.7, shift=0.1625, scale=0.6, pixels="fractional"),
    ),
    "resnet34_author": (  # his own list
        Flip(p=0.5),
        OneOf(
            p=0.5,
            of=(CropResize(p=1, share=0.2), Shear(p=1, share=0.14, pixels="whole"), Rotate(p=1, degrees=(-15, 0))),
        ),
        OneOf(p=0.5, of=(Brightness(p=1, limit=0.1), Contrast(p=1, limit=0.08))),
    ),
    "none": (),
}


Preset = Literal["write_up", "resnext50_author", "resnet34_author", "none"]


def _spell_out(augment: Any, check: ValidatorFunctionWrapHandler) -> tuple[Transform, ...]:
    """Replace the names of presets by their transformations; a single name counts as a list of one.

    The checked list has as many items as the written one, so that a fault gets the right number.
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
        description="Transformations in order, each drawn independently; names of presets may stand among them.",
        json_schema_extra={"default": "write_up"},
    ),
]


class Mix(Section):
    """Mixing of a batch's tiles in pairs, after their augmentation."""

    name: Literal["mixup", "cutmix"] = Field(
        description="mixup: the weighted sum of two tiles, and of their losses (Zhang et al. 2018). "
        "cutmix: a rectangle of one tile and its mask pasted into another (Yun et al. 2019)."
    )
    p: Share = Field(0.5, description="Probability that a batch is mixed.")
    alpha: Positive = Field(
        1.0, description="Shares are drawn from Beta(alpha, alpha): 1 is uniform; 0.2 mostly keeps one tile."
    )
