"""The config: every key with its meaning, unit, bounds and default, in sections. Unknown keys are errors."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from schemas.data import Data, Folds, Mosaics, Survey
from schemas.results import PseudoLabels, Report, SlidingWindows, Submission
from schemas.section import Count, Folder, Name, Positive, Section, moved
from schemas.training import Model


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

    model_config = ConfigDict(json_schema_extra=moved(sections="write windows, with the same keys"))

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
    windows: SlidingWindows = Field(
        SlidingWindows(), description="Sliding windows over images larger than a tile, in predictions."
    )
    report: Report = Field(Report(), description="What the report shows beside this run.")
    compute: Compute = Field(Compute(), description="How the machine is used.")

    def members(self, name: str) -> dict[str, float]:
        """The models of an ensemble and their weights; a model is an ensemble of its own."""
        return self.ensembles.get(name, {name: 1.0})
