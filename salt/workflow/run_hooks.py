"""What happens as a run starts, ends or fails."""

import csv

import yaml

from salt.data.damage import reading
from salt.runtime.atomic import atomic_path
from salt.runtime.paths import Run
from salt.runtime.program import MEMORY, unwritable
from salt.scores import verdict
from salt.workflow import predict_images
from schemas.config import Config
from schemas.errors import UserError

ADVICE_AFTER_FAILURE = (  # below the log of the failed job, which Snakemake prints
    "The same command continues from here. A job whose log ends without an error (signal 9, exit code 137) was "
    f"killed, usually because the memory was full. {MEMORY}"
)


def save_config(config: Config) -> None:
    """Write `config.yaml`: the merged and checked config with all defaults, as the jobs will use it.

    A prediction of other images leaves it alone: it describes how the run was made.
    """
    if config.predict:
        return
    text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
    try:
        with atomic_path(Run.of(config).config) as path:
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise SystemExit(unwritable(error)) from None


def summary(config: Config) -> str:
    """The text shown at the end of a whole run: scores, and where the results are; or that a table is damaged."""
    try:
        return predict_images.summary(config) if config.predict else _scores(config)
    except UserError as error:
        return f"Error: {error}"


def _scores(config: Config) -> str:
    run, names, rows = Run.of(config), [*config.models, *config.ensembles], []
    if run.scores.exists():
        with reading(run.scores):
            rows = list(csv.DictReader(run.scores.read_text(encoding="utf-8").splitlines()))
    rows = [row for row in rows if row["tta"] == "True"]
    if {row["name"] for row in rows} != set(names):
        return ""  # only a part of the workflow was requested
    rule, truths = config.submission.shown_jigsaw, list(dict.fromkeys(row["labels"] for row in rows))
    lines = [f"{'':24}" + "".join(f"{labels.replace('_', ' '):>14}{'+ jigsaw':>11}" for labels in truths)]
    for name in names:
        scores = {(row["labels"], row["jigsaw"]): float(row["score"]) for row in rows if row["name"] == name}
        lines.append(f"{name:24}" + "".join(f"{scores[t, 'none']:14.4f}{scores[t, rule]:11.4f}" for t in truths))
    if run.differences.exists():
        lines += ["", *verdict.lines(config, verdict.as_submitted(config, verdict.load(run.differences)))]
    return "\n".join([*lines, "", f"submission  {run.submission}", f"report      {run.report}"])
