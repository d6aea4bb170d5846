"""Config sections about the tiles: where they are, how they are read, split into folds and laid out in mosaics."""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from schemas import faults
from schemas.base import COMPETITION, Count, Section, Shape, Share, Size, Text, must_ascend


class Survey(Section):
    """A synthetic survey in the competition's layout, generated before everything else (salt/survey/survey.py)."""

    seed: int = Field(2018, ge=0, description="Seed of the random draws; the survey depends on this section alone.")
    sections: Count = Field(8, description="Number of seismic sections to cut tiles from.")
    rows: tuple[Count, Count] = Field((5, 8), description="Fewest and most tiles in the height of a seismic section.")
    columns: tuple[Count, Count] = Field(
        (6, 14), description="Fewest and most tiles in the width of a seismic section."
    )
    missing: Share = Field(0.05, lt=1, description="Share of the tiles left out, as gaps in the mosaics.")
    test: Share = Field(0.5, gt=0, lt=1, description="Share of the tiles that go to the test split.")

    @model_validator(mode="after")
    def _fewest_before_most(self) -> Self:
        for name, pair in (("rows", self.rows), ("columns", self.columns)):
            must_ascend(pair, f"{name} from the fewest to the most")
        return self


RANGE = "type, tile or [low, high] with low below high"


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


class HideLabels(Section):
    """A rehearsal: some labelled tiles take part as unlabelled ones; their masks serve for scoring alone."""

    share: Share = Field(gt=0, lt=1, description="Share of the labelled tiles whose masks are hidden.")
    seed: int = Field(0, ge=0, description="Seed of the random choice, which depends on it and on the ids alone.")

    def count(self, tiles: int) -> int:
        """How many of so many labelled tiles are hidden."""
        return round(self.share * tiles)


class Data(Section):
    """Where the images are, in which layout, how they are read, and which labels are hidden."""

    layout: Literal["competition", "folders"] = Field(
        "competition",
        description="competition: train.csv, depths.csv, sample_submission.csv and PNGs in folders or zips. "
        "folders: images and masks of any format and size in train/images, train/masks and test/images.",
    )
    root: Text = Field(description="The folder with the data.")
    tile: Size | None = Field(
        None,
        description="Side of a tile, or [height, width], px; none: 101, the competition's, or in layout folders the "
        "common size of all images. Layout folders cuts larger images into tiles.",
    )
    range: Range = Field(
        "type",
        description="The values that become 0 and 255. type: the limits of the data type, 0 and 65535 for 16 bits. "
        "tile: the minimum and maximum of each tile, as in the competition's. [low, high]: these, for all tiles. "
        "Layout folders only.",
    )
    colour: Literal["grey", "rgb"] = Field(
        "grey", description="Colours of the images. grey: convert to luminance. rgb: keep. Layout folders only."
    )
    mask_value: float | None = Field(
        None, description="The masks' value for salt; none: the larger of their two values. Layout folders only."
    )
    hide_labels: HideLabels | None = Field(
        None,
        description="Treat some labelled tiles as unlabelled, and score their predictions against their masks, which "
        "nothing else reads. None: use all labels.",
    )

    @property
    def shape(self) -> Shape | None:
        """Height and width of a tile, px; None if only the images show it."""
        return self.tile or (COMPETITION if self.layout == "competition" else None)

    @model_validator(mode="after")
    def _layout_folders_only(self) -> Self:
        for key in ("range", "colour", "mask_value"):
            if self.layout == "competition" and getattr(self, key) != type(self).model_fields[key].default:
                raise ValueError(f"expected {key} only with `layout: folders`, found it without; remove it")
        return self


class DataSettings(Data):
    """The settings of prepare_tiles."""

    images_digest: str = Field("", description="Digest of the image folders: a change reruns the job.")


class SurveySettings(Survey):
    """The settings of make_survey."""

    tile: Count


class Folds(Section):
    """How the labelled tiles are split for cross-validation."""

    count: int = Field(5, ge=2, description="Number of folds, and so of trainings per model.")
    by: Literal["depth", "coverage", "mosaic", "file"] = Field(
        "depth",
        description="depth: sort by depth over train and test, deal round-robin (the original's), tiles of equal depth "
        "such that folds are even. coverage: sort by share of salt, deal round-robin. mosaic: keep neighbours and "
        "copies in one fold. file: as listed in `file`.",
    )
    file: Text | None = Field(
        None,
        description="CSV with the columns id and fold (0 to count - 1), a row for each labelled tile; only with "
        "`by: file`. The original's own folds can be had in this way alone: ties of depth decided them.",
    )

    @model_validator(mode="after")
    def _file_with_by_file_only(self) -> Self:
        if (self.by == "file") == (self.file is None):
            found = "none" if self.file is None else f"{self.file} with by: {self.by}"
            raise ValueError(f"expected a file with `by: file`, and none without, found {found}; add it, or remove it")
        return self


class Mosaics(Section):
    """How neighbouring tiles are found from their borders."""

    min_similarity: float = Field(
        0.5, gt=0, le=1, description="Least correlation of two borders that makes their tiles neighbours."
    )
    max_ambiguity: float = Field(
        0.4,
        gt=0,
        le=1,
        description="Largest (1 - similarity) / (1 - next best similarity) of a pair that no square of tiles confirms.",
    )
    most_tiles: int = Field(
        200_000,
        ge=0,
        description="Most tiles that are searched, in a time that grows as their square; more are refused. 0: search "
        "none, so that no tile has neighbours.",
    )

    def too_many(self, tiles: int) -> str | None:
        """The fault of a search among so many tiles; None if it is allowed."""
        if not 0 < self.most_tiles < tiles:
            return None
        return (
            f"mosaics.most_tiles: expected at most {self.most_tiles:,} tiles to compare, found {tiles:,}. "
            f"Each is compared with each: two minutes for 100,000 tiles, {(tiles / 1e5) ** 2:,.1f} times as long here. "
            "Raise it to wait for that, or set it to 0 to do without mosaics: folds by mosaic then keep only copies "
            "together, and the jigsaw rule changes nothing."
        )
