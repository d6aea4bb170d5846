"""Other runs beside this one: which settings differ, and the scores out of fold here and there."""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from salt.runtime import provenance
from salt.runtime.paths import Run
from schemas.config import Config
from schemas.differences import differences
from schemas.errors import UserError
from schemas.reading import check_config

NO_RESULTS = {"compute", "pathvars", "predict", "windows"}  # keys of the config that no result of the run depends on
NO_SETTINGS = NO_RESULTS | {"report"}  # and no score
NO_JIGSAW = ("False", "none")  # in scores.csv


@dataclass(frozen=True)
class Score:
    """A score out of fold and its standard deviation over the folds."""

    mean: float
    sd: float


@dataclass(frozen=True)
class Comparison:
    """A run beside this one.

    folder: its results; changes: settings that differ, `folds.by: "depth" -> "mosaic"`, from this run to the other
    scores: by name of what both runs have: here, there
    neighbours: whether the folds of one run split mosaics, those of the other do not, and nothing else differs
    """

    folder: str
    changes: list[str]
    scores: dict[str, tuple[Score, Score]]
    neighbours: bool


def inputs(folders: Iterable[str]) -> list[Path]:
    """Files of other runs to read. Raises UserError where a run has not ended."""
    for folder in folders:
        if found := _unfinished(Run(Path(folder))):
            raise UserError(
                f"expected the results of a finished run in {folder}, which report.compare names, and found {found}. "
                "Let that run end first, or take it out of report.compare."
            )
    return [path for run in map(Run, map(Path, folders)) for path in (run.config, run.scores)]


def compare(config: Config, run: Run, folder: str) -> Comparison:
    """Compare a run, by its config and its files, with the one in another folder."""
    there_run = Run(Path(folder))
    other = check_config(_config(there_run))
    changes = list(differences(_settings(config), _settings(other)))
    here, there = _scores(run), _scores(there_run)
    together = [each.folds.by == "mosaic" for each in (config, other)]
    return Comparison(
        folder,
        changes,
        {name: (here[name], there[name]) for name in here if name in there},
        neighbours=len(changes) == 1 and sum(together) == 1,
    )


def _unfinished(run: Run) -> str | None:
    """What speaks against a run having ended with the settings in its config, which is written when it starts."""
    if not run.folder.is_dir():
        return "no such folder"
    if missing := [path.name for path in (run.config, run.scores, run.report) if not path.exists()]:
        return f"no {' and no '.join(missing)} in it"
    try:
        check_config(config := _config(run))
    except UserError:
        return "a config.yaml that is not of this version of the workflow"
    reported = {key: value for key, value in config.items() if key not in NO_RESULTS}
    if provenance.read(run.report).get("settings") != reported:
        return "a report.html of other settings than its config.yaml, as if it had been started again"
    return None


def _config(run: Run) -> dict[str, Any]:
    return yaml.safe_load(run.config.read_text(encoding="utf-8"))


def _settings(config: Config) -> dict[str, Any]:
    return config.model_dump(mode="json", exclude=NO_SETTINGS)


def _scores(run: Run) -> dict[str, Score]:
    """Scores out of fold by name, with mirror images and without the jigsaw rule."""
    rows = csv.DictReader(run.scores.read_text(encoding="utf-8").splitlines())
    return {
        row["name"]: Score(float(row["score"]), float(row["sd_folds"]))
        for row in rows
        if (row["labels"], row["tta"]) == ("out_of_fold", "True") and row["jigsaw"] in NO_JIGSAW
    }
