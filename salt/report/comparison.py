"""Other runs beside this one: which settings differ, and the scores out of fold here and there."""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from salt.runtime import provenance
from salt.runtime.program import UserError
from salt.workflow.jobs import differences
from schemas.config import Config, ConfigError, check_config

READ = ("config.yaml", "scores.csv")  # of another run
NO_RESULTS = {"compute", "pathvars", "predict", "sections"}  # keys of the config that no result of the run depends on
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


def inputs(folders: Iterable[str]) -> list[str]:
    """Files of other runs to read. Raises UserError where a run has not ended."""
    for folder in folders:
        if found := _unfinished(Path(folder)):
            raise UserError(
                f"expected the results of a finished run in {folder}, which report.compare names, and found {found}. "
                "Let that run end first, or take it out of report.compare."
            )
    return [f"{folder}/{name}" for folder in folders for name in READ]


def compare(config: Config, run: Path, folder: str) -> Comparison:
    """Compare a run, by its config and its folder, with the one in another folder."""
    other = check_config(_config(Path(folder)))
    changes = list(differences(_settings(config), _settings(other)))
    here, there = _scores(run), _scores(Path(folder))
    together = [each.folds.by == "mosaic" for each in (config, other)]
    return Comparison(
        folder,
        changes,
        {name: (here[name], there[name]) for name in here if name in there},
        neighbours=len(changes) == 1 and sum(together) == 1,
    )


def _unfinished(folder: Path) -> str | None:
    """What speaks against a run having ended with the settings in its config, which is written when it starts."""
    if not folder.is_dir():
        return "no such folder"
    if missing := [name for name in (*READ, "report.html") if not (folder / name).exists()]:
        return f"no {' and no '.join(missing)} in it"
    try:
        check_config(config := _config(folder))
    except ConfigError:
        return "a config.yaml that is not of this version of the workflow"
    reported = {key: value for key, value in config.items() if key not in NO_RESULTS}
    if provenance.read(folder / "report.html").get("settings") != reported:
        return "a report.html of other settings than its config.yaml, as if it had been started again"
    return None


def _config(folder: Path) -> dict[str, Any]:
    return yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))


def _settings(config: Config) -> dict[str, Any]:
    return config.model_dump(mode="json", exclude=NO_SETTINGS)


def _scores(folder: Path) -> dict[str, Score]:
    """Scores out of fold by name, with mirror images and without the jigsaw rule."""
    rows = csv.DictReader((folder / "scores.csv").read_text(encoding="utf-8").splitlines())
    return {
        row["name"]: Score(float(row["score"]), float(row["sd_folds"]))
        for row in rows
        if (row["labels"], row["tta"]) == ("out_of_fold", "True") and row["jigsaw"] in NO_JIGSAW
    }
