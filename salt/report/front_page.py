"""The picture at the top of README.md: a mosaic of a synthetic survey with its masks, and the scores by stage."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from salt.data.records import open_records
from salt.data.tables import read_table
from salt.data.tiles import load_tiles, rows_of
from salt.drawing.figures import BLUE, INK, MUTED, chart
from salt.mosaics.layout import load_mosaics
from salt.postprocess.jigsaw import load_changes
from salt.report import mosaic_page, rendering
from salt.report.mosaic_page import MosaicPicture
from salt.runtime.paths import Run, SurveyFiles
from salt.scores import known_masks, verdict
from salt.scores.verdict import Difference
from schemas import rounds
from schemas.config import Config
from schemas.errors import UserError
from schemas.reading import check_config

LABELS = "true_test"  # the test tiles of a survey, whose masks only scores read


def page(run: Run) -> str:
    """The page that becomes the picture, as HTML.

    Raises UserError if the run is not one of a synthetic survey with mosaics.
    """
    config = check_config(yaml.safe_load(run.config.read_text(encoding="utf-8")))
    mosaics = load_mosaics(run.mosaics)
    if config.survey is None or mosaics.empty:
        raise UserError(
            f"{run.folder}: expected a run of a synthetic survey with mosaics, such as results/demo, found another "
            "one; name a run with `survey` in its recipe"
        )
    found = [of for of in verdict.as_submitted(config, verdict.load(run.differences)) if of.labels == LABELS]
    context = {
        "title": "Rounds of pseudo-labelling",
        "mosaics": pictures(config, run, mosaics[mosaics["mosaic"] == 0]),
        "chart": rounds_chart(mean_scores(config, run), [of for of in found if of.role == "control"]),
        "tiles": found[0].tiles,
    }
    return rendering.render("front_page.html", context)


def pictures(config: Config, run: Run, mosaic: pd.DataFrame) -> dict[str, MosaicPicture]:
    """A mosaic (id, mosaic, row, column) with the masks that the training sees, the true ones, and the final ones."""
    train, test, final = (
        load_tiles(run.tiles.folder, "train"),
        load_tiles(run.tiles.folder, "test"),
        open_records(run.masks),
    )
    placed = mosaic_page.with_mask_sources(mosaic, load_changes(run.changes), train.ids)
    (known,) = known_masks.load(SurveyFiles(Path(config.data.root)).true_masks, None, test.images.shape[1:3])
    true, unseen = np.array(final), np.array(final)
    true["mask"] = known.masks[rows_of(known.ids.tolist(), final["id"].tolist())]
    unseen["mask"] = 0
    kinds: dict[str, pd.Series | str] = {
        "given": placed["kind"].replace("changed", "final"),
        "true": "known",
        "found": placed["kind"],
    }
    drawn = {}
    for name, masks in (("given", unseen), ("true", true), ("found", final)):
        (drawn[name],) = mosaic_page.pictures(placed.assign(kind=kinds[name]), train, test, masks)
    return drawn


def mean_scores(config: Config, run: Run) -> pd.Series:
    """The scores of the stages' masks as submitted, on the true masks of the test tiles, in the order of the stages."""
    table = read_table(run.scores)
    rows = table[(table["labels"] == LABELS) & table["tta"] & (table["jigsaw"] == config.submission.jigsaw)]
    return rows.set_index("name")["score"].loc[rounds.stages(config)]


@chart(4.7, 2.1)
def rounds_chart(figure: Figure, scores: pd.Series, controls: Sequence[Difference]) -> None:
    """The score of each stage as a dot, of its control as a circle, and the 95 % interval of their difference as a bar.

    scores: by stage; controls: the stages' differences to their controls
    """
    axes = figure.add_subplot()
    heights = {name: height for height, name in enumerate(scores.index)}
    axes.plot(scores, list(heights.values()), "o", color=BLUE, ms=7, label="stage")
    at = [heights[of.name] for of in controls]
    without = np.array([scores[of.name] - of.difference for of in controls])
    axes.plot(without, at, "o", color=MUTED, mfc="none", ms=6, mew=1.2, label="the same training without pseudo-labels")
    low, high = (without + [getattr(of, end) for of in controls] for end in ("low", "high"))
    axes.hlines(at, low, high, BLUE, lw=6, alpha=0.3, zorder=0, label="95 % interval of their difference")
    axes.set_yticks(list(heights.values()), list(heights))
    axes.set_ylim(len(heights) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", labelcolor=INK)
    axes.set_xlabel("score on the true masks")
    axes.xaxis.set_major_locator(MaxNLocator(5))
    figure.legend(loc="outside upper left", handletextpad=0.4)
