"""Comparison with other runs: the settings that differ, and the out-of-fold scores of both."""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from salt.data.damage import reading
from salt.runtime import provenance
from salt.runtime.paths import Run
from schemas import controls
from schemas.config import Config
from schemas.differences import differences
from schemas.errors import UserError
from schemas.reading import check_config

IRRELEVANT_TO_RESULTS = {"compute", "pathvars", "predict", "windows"}  # keys of the config
SEEDS = {"seed", "survey.seed", "data.hide_labels.seed"}  # keys of the config
IRRELEVANT_TO_SCORES = IRRELEVANT_TO_RESULTS | {"report", "controls"}


@dataclass(frozen=True)
class Score:
    """An out-of-fold score and its standard deviation over the folds."""

    mean: float
    sd: float


@dataclass(frozen=True)
class Comparison:
    """The comparison of this run with another one.

    folder: results of the other run
    changes: settings that differ, from this run to the other: `folds.by: "depth" -> "mosaic"`
    scores: scores of this run and of the other, by name of the models and ensembles that both have
    isolates_neighbours: whether the folds of just one of the runs keep mosaics together, and nothing else differs
    only_seeds: whether the runs differ in seeds and in nothing else
    """

    folder: str
    changes: list[str]
    scores: dict[str, tuple[Score, Score]]
    isolates_neighbours: bool
    only_seeds: bool


def inputs(folders: Iterable[str]) -> list[Path]:
    """The files of other runs that a comparison reads. Raises UserError if a run has not finished."""
    for folder in folders:
        if found := _unfinished(Run(Path(folder))):
            raise UserError(
                f"expected the results of a finished run in {folder}, which report.compare names, found {found}. "
                "Finish that run first, or remove it from report.compare."
            )
    return [path for run in map(Run, map(Path, folders)) for path in (run.config, run.scores, run.differences)]


def compare(config: Config, run: Run, folder: str) -> Comparison:
    """Compare a run, given by its config and its files, with the run in another folder."""
    other = Run(Path(folder))
    other_config = check_config(_config(other))
    changes = list(differences(_settings(config), _settings(other_config)))
    here, there = _scores(run), _scores(other)
    keep_mosaics = [each.folds.by == "mosaic" for each in (config, other_config)]
    return Comparison(
        folder,
        changes,
        {name: (here[name], there[name]) for name in here if name in there},
        isolates_neighbours=len(changes) == 1 and sum(keep_mosaics) == 1,
        only_seeds=_only_seeds(config, changes),
    )


def _unfinished(run: Run) -> str | None:
    """Why a run has not finished with the settings in its config, which is written when it starts; None if it has."""
    if not run.folder.is_dir():
        return "no such folder"
    if missing := [path.name for path in (run.config, run.scores, run.differences, run.report) if not path.exists()]:
        return f"no {' and no '.join(missing)} there"
    try:
        check_config(config := _config(run))
    except UserError:
        return "a config.yaml of another version of the workflow"
    reported = {key: value for key, value in config.items() if key not in IRRELEVANT_TO_RESULTS}
    if provenance.read(run.report).get("settings") != reported:
        return "a report.html with other settings than config.yaml, as if the run had been started again"
    return None


def _only_seeds(config: Config, changes: Iterable[str]) -> bool:
    """Whether changes are of seeds alone. A survey may lie anywhere: its own section determines its data."""
    changed = {change.partition(": ")[0] for change in changes}
    return not changed.isdisjoint(SEEDS) and changed <= SEEDS | ({"data.root"} if config.survey else set())


def _config(run: Run) -> dict[str, Any]:
    with reading(run.config):
        return dict(yaml.safe_load(run.config.read_text(encoding="utf-8")))


def _settings(config: Config) -> dict[str, Any]:
    return controls.removed(config).model_dump(mode="json", exclude=IRRELEVANT_TO_SCORES)


def _scores(run: Run) -> dict[str, Score]:
    """Out-of-fold scores by name, with mirror images and without the jigsaw rule."""
    with reading(run.scores):
        return {
            row["name"]: Score(float(row["score"]), float(row["sd_folds"]))
            for row in csv.DictReader(run.scores.read_text(encoding="utf-8").splitlines())
            if (row["labels"], row["tta"], row["jigsaw"]) == ("out_of_fold", "True", "none")
        }
