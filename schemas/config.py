"""The config in sections: every key with its meaning, unit, bounds and default. Unknown keys are errors."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from schemas.base import Count, Folder, Name, Positive, Section, moved
from schemas.data import Data, Folds, Mosaics, Survey
from schemas.results import PseudoLabels, Report, SlidingWindows, Submission
from schemas.training import Model


class Compute(Section):
    """How the machine is used. A change reruns nothing, though another machine can give other last digits."""

    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto: the GPU if there is one.")
    jobs_per_gpu: Count = Field(
        1,
        description="Jobs that share a GPU, each with its part of the memory; 2 pays for small networks. Snakemake "
        "starts as many with `--resources gpu=<GPUs x jobs_per_gpu>`.",
    )
    threads: Count = Field(2, description="CPU threads of one program (torch).")
    loader_workers: int = Field(
        4, ge=0, description="Processes that augment tiles; 0: the training process augments them itself."
    )
    predict_batch: Count = Field(64, description="Tiles predicted at once.")
    predict_dtype: Literal["auto", "float32"] = Field(
        "auto",
        description="Numbers that predictions compute in. auto: bfloat16 on GPUs and CPUs that are faster in it (CPUs "
        "with AMX), else float32. Probabilities differ by about 0.001. Trainings on a CPU always compute in float32.",
    )
    shards: Count = Field(
        1,
        description="Jobs that predict the test tiles of one fold, each a part of them, for millions of tiles. Choose "
        "it before the first prediction: a run with predictions refuses another number, which would make all of them "
        "again, and whatever learned from them.",
    )
    deterministic: bool = Field(
        False, description="On a GPU: the same bits each time, but slower. A CPU is always deterministic."
    )
    checkpoint_seconds: float = Field(
        60,
        ge=0,
        description="Seconds between checkpoints of a training (longer if checkpoints would take more than 2 % of the "
        "time; 0: after every step). The end of each cycle is always a checkpoint.",
    )
    check_disk: bool = Field(True, description="Refuse to start a run that needs more disk space than is free.")


class PathVars(Section):
    """Folders that Snakemake substitutes for `<name>`."""

    results: Folder = Field(description="Folder of all results. Must not contain spaces: it is part of commands.")


class Config(Section):
    """The whole config."""

    model_config = ConfigDict(json_schema_extra=moved(sections="write windows, with the same keys"))

    pathvars: PathVars = Field(description="Where results are written.")
    seed: int = Field(ge=0, description="Seed of all random choices except those of the survey.")
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
    controls: bool = Field(
        False,
        description="Train each model that learns from pseudo-labels once more, as its control, `<model>_control`, and "
        "blend the controls as `<ensemble>_control`: the same effort without pseudo-labels.",
    )
    submission: Submission = Field(description="The submission.")
    predict: str | None = Field(
        None,
        min_length=1,
        description="An image or a folder of images to which the trained run is applied; nothing is trained. Usually "
        "set on the command line: --config predict=path/to/images",
    )
    windows: SlidingWindows = Field(
        SlidingWindows(), description="Sliding windows over images larger than a tile, in predictions."
    )
    report: Report = Field(Report(), description="What the report shows in addition to this run.")
    compute: Compute = Field(Compute(), description="How the machine is used.")

    def members(self, name: str) -> dict[str, float]:
        """The models of an ensemble and their weights; a model counts as an ensemble of itself."""
        return self.ensembles.get(name, {name: 1.0})

    @property
    def knows_test_masks(self) -> bool:
        """Whether masks of test tiles are known, for scores alone: those of a survey and hidden labels are."""
        return self.survey is not None or self.data.hide_labels is not None

    @property
    def keeps_fold_predictions(self) -> bool:
        """Whether the folds' predictions of test tiles stay, because pseudo-labels are made from them."""
        return any(labels.scope == "fold" for labels in self.pseudo_labels.values())

    @property
    def scores_pseudo_labels(self) -> bool:
        """Whether there are pseudo-labels whose true masks are known."""
        return self.knows_test_masks and bool(self.pseudo_labels)
