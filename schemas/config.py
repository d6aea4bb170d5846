"""The config: every key with its meaning, unit, bounds and default, in sections. Unknown keys are errors.

`check_config` reads what Snakemake merged from workflow_config.yaml and the recipes on top of it. Stage programs get
one section of it, as JSON, and read it with `read_settings`.
"""

import copy
import functools
import operator
from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, TypeAdapter, ValidationError

from schemas import consistency, faults
from schemas.data import Data, Folds, Mosaics, Survey
from schemas.faults import ConfigError as ConfigError  # most who read the config catch it
from schemas.results import PseudoLabels, Report, Sections, Submission
from schemas.section import Count, Folder, Name, Positive, Section
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
