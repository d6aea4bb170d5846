"""Config sections about the steps from probabilities to the final masks."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import ConfigDict, Field, RootModel, model_validator

from schemas.base import Section

JigsawRule = Literal["none", "published", "extended"]
Pixels = Annotated[int, Field(ge=0)]


class BaseStep(Section):
    """One step.

    words: its description in the report's methods, a format string of the section's fields
    """

    words: ClassVar[str]


class Threshold(BaseStep):
    """The first step: a pixel with p > above is salt."""

    words = "a pixel was salt where p > {0.above:g}"
    name: Literal["threshold"] = "threshold"
    above: float = Field(0.5, gt=0, lt=1, description="Probability; 0.5 corresponds to a logit of 0.")


class EmptyConstant(BaseStep):
    """Tiles of one grey value get empty masks. The predictions for them are 0 anyway."""

    words = "tiles of one grey value got empty masks"
    name: Literal["empty_constant"] = "empty_constant"


class RemoveComponents(BaseStep):
    """Small components of salt are removed. Pixels that touch at an edge or a corner are connected (8-connected)."""

    words = "components of salt (8-connected) of fewer than {0.smaller_than} px were removed"
    name: Literal["remove_components"] = "remove_components"
    smaller_than: Pixels = Field(description="Components of fewer px are removed.")


class FillHoles(BaseStep):
    """Small holes in salt are filled: components of background (4-connected) that do not touch the tile's border."""

    words = "holes in salt (4-connected, off the border of the tile) of fewer than {0.smaller_than} px were filled"
    name: Literal["fill_holes"] = "fill_holes"
    smaller_than: Pixels = Field(description="Holes of fewer px are filled.")


class Jigsaw(BaseStep):
    """The jigsaw rule, the last step if present: it repeats lines of training masks over whole neighbouring tiles.

    It needs the mosaics of the run's tiles, so predictions of other images leave it out.
    """

    words = (
        "tiles were laid out in mosaics by the similarity of their borders, and the {0.rule} jigsaw rule was applied"
    )
    name: Literal["jigsaw"] = "jigsaw"
    rule: Literal["published", "extended"] = Field(
        "published",
        description="published: as in the original (recipe 9). extended: also continues known salt into the tile "
        "directly below or above it, if that is predicted empty.",
    )


Cleaning = EmptyConstant | RemoveComponents | FillHoles  # steps from masks to masks, each tile on its own
Step = Annotated[Threshold | Cleaning | Jigsaw, Field(discriminator="name")]


class Postprocess(RootModel[tuple[Step, ...]]):
    """The steps in order: the threshold, any number of others, then optionally the jigsaw rule."""

    model_config = ConfigDict(frozen=True)

    @model_validator(mode="after")
    def _threshold_first_jigsaw_last(self) -> Self:
        names = [step.name for step in self.root]
        found = f"found {', '.join(names) or 'no steps'}"
        if names[:1] != ["threshold"] or "threshold" in names[1:]:
            raise ValueError(
                f"expected the step threshold once and first, because the others work on its masks, {found}; begin "
                "with {name: threshold, above: 0.5}"
            )
        if "jigsaw" in names[:-1]:
            raise ValueError(
                f"expected the step jigsaw at most once and last, because it repeats lines over whole tiles, {found}; "
                "put it at the end"
            )
        return self

    @property
    def threshold(self) -> float:
        """The probability above which a pixel is salt."""
        return next(step.above for step in self.root if isinstance(step, Threshold))

    @property
    def cleaning(self) -> tuple[Cleaning, ...]:
        """The steps between the threshold and the jigsaw rule, in order."""
        return tuple(step for step in self.root if isinstance(step, Cleaning))

    @property
    def jigsaw(self) -> JigsawRule:
        """The jigsaw rule, or "none" if it is not among the steps."""
        return next((step.rule for step in self.root if isinstance(step, Jigsaw)), "none")

    @property
    def tilewise(self) -> Self:
        """All steps but the jigsaw rule: those that need only the tile itself."""
        return type(self)(tuple(step for step in self.root if not isinstance(step, Jigsaw)))


DEFAULT = Postprocess((Threshold(), EmptyConstant(), Jigsaw()))
