"""The report's charts, each a small SVG: stacked on a phone, side by side on a wide screen.

Text stays text in the page's font. Colours are drawn as the keys of COLOURS and replaced by CSS variables of the page,
so one drawing serves the light and the dark scheme. The same numbers give the same bytes.
"""

import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

P = ParamSpec("P")

INK, MUTED, LINE = "#0a0b0c", "#1a1b1c", "#2a2b2c"
BLUE, ORANGE, GREEN, SHADE, BAR = "#3a3b3c", "#4a4b4c", "#5a5b5c", "#6a6b6c", "#7a7b7c"
COLOURS = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    LINE: "var(--line)",
    BLUE: "var(--blue)",
    ORANGE: "var(--orange)",
    GREEN: "var(--green)",
    SHADE: "var(--shade)",
    BAR: "var(--bar)",
}

STYLE: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": LINE,
    "axes.grid": True,
    "axes.labelcolor": MUTED,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.constrained_layout.h_pad": 0.03,
    "font.family": "DejaVu Sans",  # comes with matplotlib: the layout is the same on every machine
    "font.size": 9.5,
    "grid.color": LINE,
    "grid.linewidth": 0.5,
    "legend.borderaxespad": 0,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "legend.labelcolor": INK,
    "svg.fonttype": "none",
    "svg.hashsalt": "report",
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": LINE,
    "xtick.labelcolor": MUTED,
    "ytick.color": LINE,
    "ytick.labelcolor": MUTED,
}
NO_METADATA: dict[str, str | None] = dict.fromkeys(("Creator", "Date", "Format", "Type"))


def chart(width: float, height: float) -> Callable[[Callable[Concatenate[Figure, P], None]], Callable[P, str]]:
    """Decorator for a function that paints on a figure (width and height in inches): it then returns inline SVG."""

    def decorate(paint: Callable[Concatenate[Figure, P], None]) -> Callable[P, str]:
        def draw(*args: P.args, **kwargs: P.kwargs) -> str:
            with matplotlib.rc_context(STYLE):
                figure = Figure(figsize=(width, height), layout="constrained")
                paint(figure, *args, **kwargs)
                file = io.StringIO()
                figure.savefig(file, format="svg", transparent=True, metadata=NO_METADATA)
            return _inline(file.getvalue())

        draw.__doc__ = paint.__doc__
        return draw

    return decorate


def with_prefix(svg: str, prefix: str) -> str:
    """The SVG with a prefix to its ids, so that they are unique in a page with several charts."""
    svg = re.sub(r'\bid="', f'id="{prefix}', svg)
    return svg.replace("url(#", f"url(#{prefix}").replace('href="#', f'href="#{prefix}')


def _inline(svg: str) -> str:
    """Inline SVG in the page's colours, without prologue, size, style sheet and unreferenced ids."""
    svg = svg[svg.index("<svg") :].replace("xlink:href", "href").strip()
    svg = re.sub(r'^<svg [^>]*?(viewBox="[^"]*")[^>]*>', r"<svg \1>", svg)
    svg = re.sub(r"<style\b.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' id="([^"]+)"', lambda found: found[0] if f"#{found[1]}" in svg else "", svg)
    svg = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font-size: \1", svg)
    for drawn, shown in COLOURS.items():
        svg = svg.replace(drawn, shown)
    return re.sub(r"\n\s*", "\n", svg)


# Scores ------------------------------------------------------------------------------------------------------------


@chart(4.7, 3)
def scores(figure: Figure, table: pd.DataFrame, submitted: str, rule: str) -> None:
    """Scores of models and ensembles on one kind of labels, with and without mirror images and a jigsaw rule.

    table: rows of scores.csv, in the order of the chart; submitted: the name in bold; rule: the jigsaw rule
    """
    names = list(dict.fromkeys(table["name"]))
    figure.set_figheight(1.0 + 0.36 * len(names))
    axes = figure.add_subplot()
    for jigsaw, colour, marker, offset in (("none", BLUE, "o", -0.15), (rule, ORANGE, "D", 0.15)):
        for tta in (False, True):
            rows = table[(table["tta"] == tta) & (table["jigsaw"] == jigsaw)].set_index("name").loc[names]
            heights = np.arange(len(names)) + offset
            label = f"{'no jigsaw' if jigsaw == 'none' else '+ jigsaw'}, {'with TTA' if tta else 'without TTA'}"
            face = colour if tta else "none"
            axes.plot(rows["score"], heights, marker, color=colour, mfc=face, ms=5.5, mew=1.2, label=label)
            if tta:
                axes.hlines(heights, rows["score"] - rows["sd_folds"], rows["score"] + rows["sd_folds"], colour, lw=1)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")
    for tick in axes.get_yticklabels():
        tick.set(color=INK, fontweight="bold" if tick.get_text() == submitted else "normal")
    axes.set_xlabel("score")
    axes.xaxis.set_major_locator(MaxNLocator(5))
    figure.legend(loc="outside upper left", ncols=2, handletextpad=0.2, columnspacing=1)


# Training ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Span:
    """The epochs of a phase on the common axis: from `start` (excluded) to `end`."""

    label: str
    start: int
    end: int


def on_one_axis(
    pretraining: Sequence[pd.DataFrame], folds: Sequence[pd.DataFrame]
) -> tuple[list[pd.DataFrame], list[Span]]:
    """Histories with a column `at`, the epoch since the model's start, and the spans of their phases.

    Folds may stop a phase at different epochs; the next phase starts for all of them where the longest ended.
    """
    placed, spans, start = [], list[Span](), 0
    for label, histories in [("pre ", pretraining), ("", folds)]:
        starts = {}
        for phase in sorted({number for history in histories for number in history["phase"]}):
            longest = max(history.loc[history["phase"] == phase, "epoch"].max() for history in histories)
            spans.append(Span(f"{label}{phase}", start, start + int(longest)))
            starts[phase], start = start, start + int(longest)
        placed += [history.assign(at=history["epoch"] + history["phase"].map(starts)) for history in histories]
    return placed, spans


@chart(4.7, 3.7)
def training(figure: Figure, pretraining: Sequence[pd.DataFrame], folds: Sequence[pd.DataFrame]) -> None:
    """Score and loss by epoch, one thin line per training; phases are numbered, dotted lines separate cycles.

    pretraining: history.csv of a model's pretrainings (none, one for all folds, or one per fold); folds: of its folds
    """
    histories, spans = on_one_axis(pretraining, folds)
    score_axes, loss_axes = figure.subplots(2, sharex=True)
    for history in histories:
        for axes, column, colour in (
            (score_axes, "score", BLUE),
            (loss_axes, "loss", ORANGE),
            (loss_axes, "held_out_loss", BLUE),
        ):
            for _, part in history.groupby("phase"):
                marker = "." if len(part) < 3 else None
                axes.plot(part["at"], part[column], color=colour, lw=1, alpha=0.75, marker=marker)
    for axes in (score_axes, loss_axes):
        _mark_phases(axes, spans, histories)
    for span in spans:
        score_axes.annotate(
            span.label,
            ((span.start + span.end) / 2 + 0.5, 1),
            xycoords=("data", "axes fraction"),
            xytext=(0, 2),
            textcoords="offset points",
            ha="center",
            color=MUTED,
            fontsize=8.5,
        )
    score_axes.set_ylabel("score")
    loss_axes.set_ylabel("loss")
    loss_axes.set_xlabel("epoch")
    loss_axes.set_xlim(0.5, spans[-1].end + 0.5)
    loss_axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    for colour, label in ((BLUE, "held-out tiles"), (ORANGE, "training tiles")):
        loss_axes.plot([], [], color=colour, label=label)
    figure.legend(loc="outside upper left", ncols=2)


def _mark_phases(axes: Axes, spans: Sequence[Span], histories: Sequence[pd.DataFrame]) -> None:
    axes.grid(visible=False, axis="x")
    for span in spans:
        if span.label.startswith("pre"):
            axes.axvspan(span.start + 0.5, span.end + 0.5, color=SHADE, lw=0, zorder=0)
    for span in spans[1:]:
        axes.axvline(span.start + 0.5, color=MUTED, lw=0.8)
    last = max(span.end for span in spans)
    ends = {int(at) for history in histories for at in history.groupby(["phase", "cycle"])["at"].max()}
    for at in sorted(ends - {span.end for span in spans} - {last}):
        if _ends_a_cycle(histories, at):
            axes.axvline(at + 0.5, color=MUTED, lw=0.8, ls=(0, (1, 2.5)))


def _ends_a_cycle(histories: Sequence[pd.DataFrame], at: int) -> bool:
    """Whether the next cycle of the same phase starts after epoch `at`; a plateau stopped early ends no cycle."""
    for history in histories:
        here, after = history[history["at"] == at], history[history["at"] == at + 1]
        if len(here) and len(after) and int(here["phase"].iloc[0]) == int(after["phase"].iloc[0]):
            return int(here["cycle"].iloc[0]) != int(after["cycle"].iloc[0])
    return False


# Thresholds --------------------------------------------------------------------------------------------------------


@chart(4.2, 2.8)
def threshold_curve(
    figure: Figure, curves: Mapping[str, pd.DataFrame], chosen: float, limits: tuple[float, float]
) -> None:
    """Score by threshold on each kind of labels, the best threshold as a dot, the chosen one as a line.

    curves: threshold and score, by the legend's name of the labels; limits: of the score axis
    """
    axes = figure.add_subplot()
    axes.axvline(chosen, color=MUTED, lw=1, ls=(0, (4, 3)), label=f"chosen: {chosen:g}")
    for (labels, curve), colour in zip(curves.items(), (BLUE, GREEN, ORANGE), strict=False):
        axes.plot(curve["threshold"], curve["score"], color=colour, lw=1.6, label=labels)
        axes.plot(*best_threshold(curve), "o", color=colour, ms=5)
    axes.set(xlabel="threshold", ylabel="score", xlim=(0, 1), ylim=limits)
    figure.legend(loc="outside upper left", ncols=3, handlelength=1.5, columnspacing=1.2)


def best_threshold(curve: pd.DataFrame) -> tuple[float, float]:
    """The threshold with the highest score (the lowest such threshold), and that score."""
    row = int(curve["score"].to_numpy().argmax())
    return float(curve["threshold"].iloc[row]), float(curve["score"].iloc[row])


def score_limits(curves: pd.DataFrame) -> tuple[float, float]:
    """Limits of the score axis that show the curves between the thresholds 0.1 and 0.9, with a margin."""
    middle = curves.loc[curves["threshold"].between(0.1, 0.9), "score"]
    margin = max(0.005, 0.08 * (middle.max() - middle.min()))
    return float(middle.min() - margin), float(middle.max() + margin)


# Pseudo-labels -----------------------------------------------------------------------------------------------------


@chart(4.7, 2.4)
def pseudo_labels(figure: Figure, table: pd.DataFrame, min_confidence: float) -> None:
    """Histograms of the confidence and of the coverage of all test tiles and of the selected ones.

    table: pseudo_labels.csv; min_confidence: marked by a line
    """
    for axes, column in zip(figure.subplots(1, 2), ("confidence", "coverage"), strict=True):
        low = np.floor(10 * min(table["confidence"].min(), min_confidence)) / 10 if column == "confidence" else 0
        bins = np.linspace(min(low, 0.9), 1, 21)
        axes.hist(table[column], bins, color=BAR, label="all test tiles")
        axes.hist(table.loc[table["selected"], column], bins, color=BLUE, label="selected")
        axes.set(xlabel=column, xlim=(bins[0], 1))
        axes.grid(visible=False, axis="x")
        axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    figure.axes[0].axvline(min_confidence, color=MUTED, lw=1, ls=(0, (4, 3)))
    figure.axes[0].set_ylabel("tiles")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=2)
