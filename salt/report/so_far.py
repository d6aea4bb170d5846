"""The report of a run that goes on: `make report RUN=name` writes what there is, at any time.

It reads files that appear whole or not at all, takes no lock, and writes one page that nothing else reads. So it
disturbs no run.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from salt.data.damage import MissingFileError
from salt.data.tables import read_table
from salt.report import run_page
from salt.report.run_page import Content
from salt.runtime import program, provenance
from salt.runtime.atomic import atomic_path
from salt.runtime.paths import Run, TrainingFiles
from salt.training.checkpoints import newest_facts
from schemas import rounds
from schemas.config import Config
from schemas.errors import UserError
from schemas.phases import Phase
from schemas.reading import check_config


@dataclass(frozen=True)
class Training:
    """A training as its files show it now.

    part: "fold 3" or "pretraining"; history: of the finished epochs, None without any; saved: time of the checkpoint
    that they are read from, empty if the training is done
    """

    model: str
    part: str
    phases: tuple[Phase, ...]
    history: pd.DataFrame | None
    saved: str

    @property
    def is_done(self) -> bool:
        """Whether it has ended."""
        return self.history is not None and not self.saved

    @property
    def place(self) -> str:
        """Its phase and epoch, in words."""
        if self.history is None:
            return "no epoch is saved yet"
        last = self.history.iloc[-1]
        most = self.phases[int(last["phase"]) - 1].schedule.most_epochs
        return f"phase {last['phase']:.0f} of {len(self.phases)}, epoch {last['epoch']:.0f} of at most {most}"

    @property
    def best(self) -> float:
        """The best score of its held-out tiles so far; NaN if there is none."""
        return float("nan") if self.history is None else float(self.history["score"].max())


def page(config: Config, run: Run) -> str:
    """The page about what there is of a run, as HTML."""
    trainings = [*all_trainings(config, run)]
    parts = dict(present(config, run))
    stages = list(progress(config, run))
    finished = all(done == total for _, done, total in stages)
    so_far = {
        "time": _time(datetime.now(UTC).timestamp()),
        "finished": finished,
        "stages": stages,
        "begun": [training for training in trainings if training.saved],
        "models": list(scores_of_models(config, trainings)),
        "missing": list(missing(config, parts)),
        "older": [path.name for path in (run.scores, run.masks) if is_older(path, config, run)],
    }
    return run_page.render(config, run, parts, so_far)


def present(config: Config, run: Run) -> Iterator[tuple[str, Content]]:
    """The parts of the report whose files are there."""
    sets = {
        name: of
        for name, of in config.pseudo_labels.items()
        if all(run.pseudo_labels(name, scope).table.is_file() for scope in of.folders(config.folds.count))
    }
    abouts = run_page.PARTS | {
        "training": lambda config, run: run_page.about_training(config, run, lambda files: read(files)[0]),
        "pseudo_labels": lambda config, run: run_page.about_pseudo_labels(_with_sets(config, sets), run),
        "provenance": lambda config, run: run_page.about_provenance(config, run, _has_provenance),
    }
    for name, about in abouts.items():
        try:
            if name != "scores" or scores_every_name(config, run):
                yield name, about(config, run)
        except (FileNotFoundError, MissingFileError):
            continue


def missing(config: Config, parts: Mapping[str, Content]) -> Iterator[str]:
    """The parts of the report that are not there, or not whole."""
    sets = parts.get("pseudo_labels", {}).get("pseudo_labels", {})
    for name in ("data", "training", "scores", "masks"):
        if not any(parts.get(name, {}).values()):
            yield name
    if len(sets) < len(config.pseudo_labels):
        yield "pseudo_labels"


def scores_every_name(config: Config, run: Run) -> bool:
    """Whether scores.csv is of this config: an edited one may name other models. Raises MissingFileError."""
    return set(read_table(run.scores)["name"]) == {*config.models, *config.ensembles}


def all_trainings(config: Config, run: Run) -> Iterator[Training]:
    """Every training of the run, pretrainings before folds."""
    for name, model in config.models.items():
        parts = [
            ("pretraining" if scope == "all_folds" else f"pretraining of {scope}", run.pretraining(name, scope))
            for scope in rounds.pretrainings(config, name)
        ]
        for part, files in parts:
            yield Training(name, part, model.pretrain.phases if model.pretrain else (), *read(files))
        for number in range(config.folds.count):
            yield Training(name, f"fold {number}", model.phases, *read(run.fold(name, number)))


def read(files: TrainingFiles) -> tuple[pd.DataFrame | None, str]:
    """The history of a training, and the time of the checkpoint that holds it: empty if it is done or not begun."""
    try:
        return run_page.history(files), ""
    except MissingFileError:
        facts, saved = newest_facts(files.checkpoints) or ({}, 0.0)
    rows = facts.get("history")
    return (pd.DataFrame(rows) if rows else None), (_time(saved) if facts else "")


def scores_of_models(config: Config, trainings: Sequence[Training]) -> Iterator[Content]:
    """For each model with a finished fold: its round, and how many folds are done, with the best score of each."""
    for name, number in rounds.numbers(config).items():
        done = [of.best for of in trainings if of.model == name and of.is_done and of.part.startswith("fold")]
        if done:
            yield {"name": name, "round": number, "best": done, "mean": sum(done) / len(done)}


def progress(config: Config, run: Run) -> Iterator[tuple[str, int, int]]:
    """Each rule that leads to the report, in the order of the workflow: the jobs that are done, and all of them."""
    folds = [run.fold(name, fold) for name in config.models for fold in range(config.folds.count)]
    last = {"train_fold": [fold.snapshots_table for fold in folds], "predict_fold": [fold.members for fold in folds]}
    outputs = provenance.results(config, run) | last | {"write_report": [run.report]}
    for rule, paths in outputs.items():
        if paths:
            yield rule, sum(path.exists() for path in paths), len(paths)


def is_older(path: Path, config: Config, run: Run) -> bool:
    """Whether a result is older than a prediction that it was made from, so that the run will make it anew."""
    made_from = [run.ensemble(name).test for name in (*config.models, *config.ensembles)]
    times = [_mtime(other) for other in made_from]
    return path.exists() and _mtime(path) < max(times, default=0.0)


def _mtime(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _has_provenance(output: Path) -> bool:
    return provenance.path_of(output).exists()


def _with_sets(config: Config, sets: Mapping[str, Any]) -> Config:
    return config.model_copy(update={"pseudo_labels": sets})


def _time(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"


def load_config(run: Run) -> Config:
    """The config that the run was started with. Raises UserError if there is none."""
    try:
        return check_config(yaml.safe_load(run.config.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise UserError(
            f"Expected {run.config}, which a run writes as it starts, and found none. Give the name of a folder in "
            "results/, as in `make report RUN=demo`."
        ) from None


def main(argv: list[str] | None = None) -> None:
    """Write the page, and print its path."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="folder of the run")
    run = Run(parser.parse_args(argv).run)
    text = page(load_config(run), run)
    with atomic_path(run.report_so_far) as path:
        path.write_text(text, encoding="utf-8")
    print(run.report_so_far)


if __name__ == "__main__":
    with program.faults_in_words():
        main()
