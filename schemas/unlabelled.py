"""Config section about learning from unlabelled tiles during a training, without pseudo-labels."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from schemas.augmentation import Blur, Brightness, CoarseDropout, Contrast, Mix, Noise
from schemas.base import Count, Positive, Section, Share

PixelTransform = Annotated[Brightness | Contrast | Blur | Noise | CoarseDropout, Field(discriminator="name")]


class Consistency(Section):
    """Consistency training: the network learns from strongly changed unlabelled tiles what a teacher predicts without.

    The weak view of a tile is drawn by the model's `augment`; `augment` here changes it further to the strong view.
    """

    teacher: Literal["average", "self"] = Field(
        description="The network that predicts the weak view. average: the phase's `average: {name: ema}`, a mean "
        "teacher (Tarvainen & Valpola 2017). self: the trained network (FixMatch, Sohn et al. 2020)."
    )
    batch: Count = Field(description="Unlabelled tiles per step, beside the phase's batch.")
    weight: Positive = Field(1.0, description="Factor of this loss in the sum with that of the labelled tiles.")
    ramp: Share = Field(
        0.3,
        description="Share of the phase's most epochs over which the weight rises, as exp(-5 (1 - t)^2) for t from 0 "
        "to 1. 0: none, for a teacher that is good from the start.",
    )
    low: Share = Field(0.2, description="The teacher's pixels with p < low are targets.")
    high: Share = Field(
        0.8,
        description="So are those with p > high. The others are ignored, and the loss is a mean over all pixels. With "
        "low and high at 0.5, every pixel is a target.",
    )
    masks: Literal["hard", "soft"] = Field("hard", description="The target. hard: salt where p > 0.5. soft: p itself.")
    augment: tuple[PixelTransform, ...] = Field(
        min_length=1,
        description="Changes from the weak to the strong view, drawn in order; only such that move no pixel, since "
        "both views share the teacher's masks. For example [{name: contrast, p: 0.8, limit: 0.5}, {name: "
        "coarse_dropout, p: 0.8, holes: 4, size: 0.3}].",
    )
    mix: Mix | None = Field(None, description="Mixing of the strong views, with the teacher's masks; none: no mixing.")

    @model_validator(mode="after")
    def _bounds_in_order(self) -> Self:
        if self.low > self.high:
            raise ValueError(
                f"expected low to be at most high, {self.high:g}, found {self.low:g}: pixels would be sure twice; set, "
                "for example, low: 0.2, high: 0.8"
            )
        return self
