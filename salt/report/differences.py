"""Did the rounds pay? The part of the report on differences between stages, and on how sure its scores are."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from salt.drawing.figures import BLUE, MUTED, chart
from salt.report import seeds
from salt.report.comparison import Comparison
from salt.runtime.paths import Run
from salt.scores import differences, verdict
from salt.scores.differences import Interval
from salt.scores.verdict import UNDECIDED, Difference
from schemas import rounds
from schemas.config import Config

ROLES = ("before", "first", "control")


def about(config: Config, run: Run, compared: Sequence[Comparison]) -> dict[str, Any]:
    """What report/differences.html and the cards show, all of masks as submitted.

    intervals: the score of each stage with its interval, by (name, labels)
    gains: the submission's difference to the baseline of gains, by labels
    answer: the verdict in words; rows: of the table, by labels; charts: by labels
    seeds: the differences in runs with other seeds, None without any
    """
    found = verdict.as_submitted(config, verdict.load(run.differences))
    intervals = score_intervals(config, run)
    by_labels: dict[str, list[Difference]] = {labels: [] for _, labels in intervals}
    for each in found:
        by_labels[each.labels].append(each)
    return {
        "intervals": intervals,
        "gains": {of.labels: of for of in found if (of.name, of.role) == (config.submission.ensemble, "first")},
        "answer": verdict.answer(config, found),
        "roles": roles(found),
        "rows": {labels: rows(config, of) for labels, of in by_labels.items() if of},
        "charts": {labels: intervals_chart(verdict.merged(of)) for labels, of in by_labels.items() if of},
        "seeds": seeds.over_runs(config, run, compared),
    }


def score_intervals(config: Config, run: Run) -> dict[tuple[str, str], Interval]:
    """The mean over tiles of each stage's and the baseline's scores, with its interval, by (name, labels)."""
    table = differences.load_tile_scores(run.tile_scores)
    return {
        (name, str(labels)): differences.interval(of[name])
        for (labels, jigsaw), of in table.groupby(level=differences.KEYS[:2], sort=False)
        for name in shown(config)
        if jigsaw == config.submission.jigsaw
    }


def shown(config: Config) -> list[str]:
    """The stages, after the baseline of gains if that is a model, and the submission if that is a control."""
    return list(dict.fromkeys([rounds.first_ensemble(config), *rounds.stages(config), config.submission.ensemble]))


def roles(found: Sequence[Difference]) -> list[str]:
    """The columns of the table: the first stage has one of its own only if it is not always the stage before."""
    own = {role for merged in verdict.merged(found).values() for role in merged[:1]}
    return [role for role in ROLES if role in own]


def rows(config: Config, found: Sequence[Difference]) -> dict[str, dict[str, Difference]]:
    """For each stage, its differences by role; `found` are those on one kind of labels."""
    return {name: {of.role: of for of in found if of.name == name} for name in shown(config)}


@chart(4.7, 2)
def intervals_chart(figure: Figure, found: Mapping[Difference, Sequence[str]]) -> None:
    """Differences as dots with their intervals; a full dot marks an interval that excludes 0.

    found: the differences on one kind of labels, with their roles
    """
    figure.set_figheight(0.65 + 0.42 * len(found))
    axes = figure.add_subplot()
    for height, (of, roles) in enumerate(found.items()):
        words = f"{of.name} − {of.than} ({', '.join(roles)})"
        axes.text(0, height - 0.28, words, transform=axes.get_yaxis_transform(), va="center", fontsize=9)
        axes.vlines(0, height - 0.12, height + 0.3, MUTED, lw=1)  # does not cross the words
        axes.hlines(height, of.low, of.high, BLUE, lw=1.6)
        face = "none" if of.verdict == UNDECIDED else BLUE
        axes.plot(of.difference, height, "o", color=BLUE, mfc=face, ms=5.5, mew=1.2)
    axes.set_yticks([])
    axes.set_ylim(len(found) - 0.6, -0.6)
    axes.set_xlabel("difference of the scores")
    axes.xaxis.set_major_locator(MaxNLocator(5))
