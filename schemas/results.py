"""Sections of the config for what the models produce: pseudo-labels, the submission, the report, predictions."""

import itertools
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal, Self, get_args

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

from schemas.base import Count, Folder, Name, Positive, Section, Share, Size, moved, must_ascend
from schemas.data import Range
from schemas.faults import shown
from schemas.postprocess import DEFAULT, JigsawRule, Postprocess
from schemas.training import NetworkSettings

REST: Final = "rest"  # a fold's count: all tiles that the folds before leave
COUNT = f"tiles per fold, at least 1, or a list of them, one for each fold, of which the last may be {REST}"


def _known_count(given: Any) -> Any:
    counts = list(given) if isinstance(given, list | tuple) else [given, given]
    numbers = counts[:-1] if counts[-1:] == [REST] else counts
    if len(counts) < 2 or not all(type(number) is int and number >= 1 for number in numbers):
        raise ValueError(f"expected {COUNT}, found {shown(given)}")
    return given


class SizeClass(Section):
    """A class of mask sizes, and how many pseudo-labels of it each fold gets."""

    pixels: tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)]] = Field(
        description="Smallest and largest mask, px of salt."
    )
    count: Annotated[
        Count | tuple[Count | Literal["rest"], ...],
        BeforeValidator(_known_count),
        Field(json_schema_extra={"expected": COUNT}),
    ] = Field(
        description="Tiles per fold. A number: for each fold; all get equally fewer if there are too few. A list, as "
        "in the original: for the folds in turn, of which the later ones get fewer or none if there are too few; rest: "
        "all that are left. Numbers beyond the last fold are not used."
    )
    min_confidence: Share | None = Field(None, description="Overrides that of the set.")
    every: Count = Field(1, description="Take every n-th of the qualified tiles.")

    @model_validator(mode="after")
    def _smallest_before_largest(self) -> Self:
        must_ascend(self.pixels, "pixels from the smallest to the largest mask")
        return self

    def asked(self, folds: Sequence[int]) -> int:
        """How many tiles these folds ask for together in numbers; a rest asks for none."""
        return sum(count for count in map(self._of_fold, folds) if count != REST)

    def takes_rest(self, folds: Sequence[int]) -> bool:
        """Whether one of these folds gets all tiles that are left."""
        return REST in map(self._of_fold, folds)

    def _of_fold(self, fold: int) -> int | Literal["rest"]:
        return self.count if isinstance(self.count, int) else self.count[fold]

    def sizes(self, tiles: int, folds: int) -> list[int]:
        """How many of so many tiles of this class each fold gets."""
        if isinstance(self.count, int):
            return [min(self.count, tiles // folds)] * folds
        sizes: list[int] = []
        for count in self.count[:folds]:
            left = tiles - sum(sizes)
            sizes.append(left if count == REST else min(count, left))
        return sizes


class EqualWeight(Section):
    """Every tile weighs 1, like a labelled one."""

    name: Literal["equal"] = "equal"


class ConfidenceWeight(Section):
    """A tile weighs its confidence, raised to a power; labelled tiles weigh 1."""

    name: Literal["confidence"] = "confidence"
    power: Positive = Field(1.0, description="The larger, the less unsure tiles weigh.")


class PseudoLabels(Section):
    """Masks of confidently predicted test tiles, to train on (recipe 8)."""

    ensemble: Name = Field(description="The ensemble, or the model, that labels the tiles.")
    scope: Literal["ensemble", "fold"] = Field(
        "ensemble",
        description="Which models predict the tiles. ensemble: all models of the ensemble, one set for all folds (as "
        "in the first place's solution). fold: for each fold only its own models, which have not seen its validation "
        "tiles (as in the second place's).",
    )
    low: Share = Field(0.2, description="A pixel with p < low is confidently not salt.")
    high: Share = Field(0.8, description="A pixel with p > high is confidently salt.")
    min_confidence: Share = Field(0.9, description="Minimum share of confident pixels in a selected tile.")
    min_confidence_empty: Share | None = Field(
        None,
        description="That of a tile whose mask is empty; none: the same. An empty mask of which some pixels were "
        "nearly salt is mostly wrong (docs/rounds.md). With per_fold, the class of empty masks has its own.",
    )
    masks: Literal["hard", "soft"] = Field(
        "hard",
        description="What a pixel teaches. hard: salt where p > 0.5. soft: p itself; the Lovasz losses, which need "
        "zeros and ones, still take p > 0.5.",
    )
    weight: Annotated[EqualWeight | ConfidenceWeight, Field(discriminator="name")] = Field(
        EqualWeight(), description="How much a tile's loss weighs in the mean over a batch."
    )
    per_fold: tuple[SizeClass, ...] | None = Field(
        None, description="Disjoint slices for the folds, by mask size; none: every confident tile, in every fold."
    )

    @model_validator(mode="after")
    def _bounds_apart(self) -> Self:
        if self.low >= self.high:
            raise ValueError(
                f"expected low to be less than high, {self.high:g}, found {self.low:g}: every pixel would be "
                "confident; set, for example, low: 0.2, high: 0.8"
            )
        sizes = sorted(self.per_fold or (), key=lambda size: size.pixels)
        for one, other in itertools.pairwise(sizes):
            if other.pixels[0] <= one.pixels[1]:
                raise ValueError(
                    f"expected sizes in per_fold that do not overlap, found {list(one.pixels)} and "
                    f"{list(other.pixels)}: a tile would be selected twice; end one of them before the other starts"
                )
        return self

    @model_validator(mode="after")
    def _one_limit_for_empty_masks(self) -> Self:
        if self.per_fold and self.min_confidence_empty is not None:
            raise ValueError(
                "expected min_confidence in the class of empty masks (pixels: [0, 0]) of per_fold, found "
                f"min_confidence_empty, {self.min_confidence_empty:g}, beside per_fold; move it there"
            )
        return self

    def folder(self, fold: int | None) -> str:
        """Name of the folder with the pseudo-labels that a fold learns from; fold: none, if all folds learn alike."""
        return f"fold{fold}" if self.scope == "fold" else "all_folds"

    def folders(self, folds: int) -> list[str]:
        """Names of all folders of the set: one shared by the folds, or one per fold."""
        return list(dict.fromkeys(self.folder(fold) for fold in range(folds)))

    def most_tiles(self, test: int, folds: Sequence[int]) -> int:
        """The most of so many test tiles that are selected for these folds together."""
        if not self.per_fold or any(size.takes_rest(folds) for size in self.per_fold):
            return test
        return min(test, sum(size.asked(folds) for size in self.per_fold))

    def most_words(self, folds: int) -> str:
        """The most tiles that each fold gets by size, for the report: "at most 1580 per fold"."""
        most = []
        for fold in range(folds):
            sizes = self.per_fold or ()
            rest = any(size.takes_rest([fold]) for size in sizes)
            most.append("all others" if rest else str(sum(size.asked([fold]) for size in sizes)))
        if len(set(most)) == 1:
            return f"at most {most[0]} per fold"
        return f"at most {', '.join(most[:-1])} and {most[-1]} for the folds in turn,"


class PseudoLabelSettings(PseudoLabels):
    """The settings of make_pseudo_labels."""

    folds: int
    fold: int | None = Field(None, description="The fold that learns from the masks; none: all folds.")
    weights: tuple[Positive, ...] = Field(description="Weights of the averaged predictions, in their order.")


class Submission(Section):
    """The submission."""

    model_config = ConfigDict(
        json_schema_extra=moved(
            threshold="write it in postprocess: [{name: threshold, above: 0.5}, ...], followed by all other steps",
            jigsaw="write it in postprocess: [..., {name: jigsaw, rule: published}], after all other steps; omit the "
            "step for none",
        )
    )

    ensemble: Name = Field(description="The ensemble, or the model, whose masks are submitted.")
    postprocess: Postprocess = Field(
        DEFAULT,
        description="Steps from probabilities to masks, in their order: threshold first, jigsaw (optional) last. "
        "Scores use the same steps, and so do predictions of other images, except for jigsaw.",
    )

    @property
    def threshold(self) -> float:
        """The probability above which a pixel is salt."""
        return self.postprocess.threshold

    @property
    def jigsaw(self) -> JigsawRule:
        """The jigsaw rule of the submission."""
        return self.postprocess.jigsaw

    @property
    def shown_jigsaw(self) -> JigsawRule:
        """The jigsaw rule for which scores are shown, next to the scores without a rule."""
        return "published" if self.jigsaw == "none" else self.jigsaw


class Pair(Section):
    """A model or ensemble, and another one that its scores are compared with, tile by tile."""

    name: Name
    than: Name
    role: Literal["before", "first", "control"] = Field(
        description="What the other one is: the stage before, the first stage, or the control."
    )


class ScoreSettings(Section):
    """The settings of score."""

    postprocess: Postprocess = Field(description="The steps without the jigsaw rule.")
    jigsaw: tuple[JigsawRule, ...] = Field(
        get_args(JigsawRule), description="Always all rules. A run whose scores lack one is scored again."
    )
    comparisons: tuple[Pair, ...] = Field((), description="The rows of differences.csv, for each kind of labels.")


class Report(Section):
    """What the report shows in addition to the run itself. A change rewrites only the report."""

    compare: tuple[Folder, ...] = Field(
        (),
        description="Result folders of other, finished runs; the report compares their scores with this run's. Runs "
        "that differ in seeds alone show the chance of seeds.",
    )


class SlidingWindows(Section):
    """How images larger than a tile are predicted: in windows of the tile's size, which are blended."""

    overlap: float = Field(0.5, ge=0, le=0.9, description="Minimum overlap of neighbouring windows, share of a window.")
    range: Range | None = Field(
        None,
        description="The values that become 0 and 255 in each window, as in data.range. Default: data.range, but "
        "`tile` for the layout competition, whose tiles were each stretched separately. Float types have no range: if "
        "data.range is `type`, this setting also applies to float images of a tile's size.",
    )


class Stretch(Section):
    """The probabilities that become 0 and 1 in a model's prediction; those between become linear in them."""

    low: Share = 0.0
    high: Share = 1.0

    def of(self, probabilities: Any) -> Any:
        """An array of probabilities, stretched; others than those that it was measured on may leave 0..1."""
        return (probabilities - self.low) / (self.high - self.low)


class BlendSettings(Section):
    """The settings of blend."""

    weights: dict[str, Positive] = Field(description="The weight of each member by name, in the order of the files.")
    stretch: bool = Field(False, description="Whether the blend is stretched to 0..1.")


class EnsembleMember(NetworkSettings):
    """A model, its weight in an ensemble, and how its prediction is stretched."""

    weight: Positive
    stretch: Stretch = Stretch()


class TrainedEnsemble(Section):
    """What a trained run predicts other images with."""

    tile: Size
    range: Range = "type"
    colour: Literal["grey", "rgb"] = "grey"
    windows: SlidingWindows
    models: dict[Name, EnsembleMember]
    folds: Count
    postprocess: Postprocess = Field(description="The steps without the jigsaw rule: new images are in no mosaic.")


class PredictImagesSettings(TrainedEnsemble):
    """The settings of predict_images: everything that a prediction of new images depends on."""

    images: str = Field(description="An image or a folder of images.")
    pictures: str = Field(description="Digest of the images.")
    weights: str = Field(description="Digest of the models' weights.")
