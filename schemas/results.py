"""Sections of the config about what is made of the models: pseudo-labels, the submission, the report, predictions."""

import itertools
from typing import Annotated, Literal, Self, get_args

from pydantic import ConfigDict, Field, model_validator

from schemas.data import Range
from schemas.postprocess import DEFAULT, JigsawRule, Postprocess
from schemas.section import Count, Folder, Name, Positive, Section, Share, Size, moved, must_ascend
from schemas.training import NetworkSettings


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
        must_ascend(self.pixels, "pixels from the smallest to the largest mask")
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


class Submission(Section):
    """What is submitted."""

    model_config = ConfigDict(
        json_schema_extra=moved(
            threshold="write it in postprocess: [{name: threshold, above: 0.5}, ...], followed by all other steps",
            jigsaw="write it in postprocess: [..., {name: jigsaw, rule: published}], after all other steps; for none, "
            "leave the step out",
        )
    )

    ensemble: Name = Field(description="The ensemble, or the model, whose masks are submitted.")
    postprocess: Postprocess = Field(
        DEFAULT,
        description="Steps from probabilities to masks, in this order: threshold first, jigsaw last if at all. "
        "Scores follow them. So do predictions of other images, but for jigsaw.",
    )

    @property
    def threshold(self) -> float:
        """The probability above which a pixel is salt."""
        return self.postprocess.threshold

    @property
    def jigsaw(self) -> JigsawRule:
        """The jigsaw rule for the submission."""
        return self.postprocess.jigsaw

    @property
    def shown_jigsaw(self) -> JigsawRule:
        """The rule that scores are shown with, beside those without."""
        return "published" if self.jigsaw == "none" else self.jigsaw


class ScoreSettings(Section):
    """The settings of score."""

    postprocess: Postprocess = Field(description="Without the jigsaw rule, whichever is chosen.")
    jigsaw: tuple[JigsawRule, ...] = Field(
        get_args(JigsawRule), description="Always all of them. A run whose scores lack one is scored again."
    )


class Report(Section):
    """What the report shows beside the run itself. A change writes the report again and nothing else."""

    compare: tuple[Folder, ...] = Field(
        (), description="Results of other runs, finished ones: their scores are shown beside this run's."
    )


class SlidingWindows(Section):
    """How images larger than a tile are predicted: cut into windows of its size, and blended."""

    overlap: float = Field(0.5, ge=0, le=0.9, description="Least share that neighbouring windows have in common.")
    range: Range | None = Field(
        None,
        description="What becomes 0 and 255 in each window, as data.range, which it is by default; in the layout "
        "competition, whose tiles were stretched each on its own, `tile`. Floats have no range by their type: where "
        "data.range is `type`, this counts for those of a tile's size as well.",
    )


class EnsembleMember(NetworkSettings):
    """A model and its weight in an ensemble."""

    weight: Positive


class PredictImagesSettings(Section):
    """The settings of predict_images: all that a prediction of new images depends on."""

    images: str = Field(description="A folder of images, or one.")
    pictures: str = Field(description="Digest of the images.")
    tile: Size
    range: Range = "type"
    colour: Literal["grey", "rgb"] = "grey"
    windows: SlidingWindows
    models: dict[Name, EnsembleMember]
    folds: Count
    weights: str = Field(description="Digest of the models' weights.")
    postprocess: Postprocess = Field(description="Without the jigsaw rule: other images are in no mosaic.")
