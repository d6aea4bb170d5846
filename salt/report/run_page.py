"""The report: one self-contained page about a run. Its template is report/page.html."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from salt.data.folds import load_folds, shared_across_folds
from salt.data.records import open_records
from salt.data.tables import read_table
from salt.data.tiles import Tiles, load_tiles
from salt.drawing import figures
from salt.ensembles.pseudo_labels import load_table as load_pseudo_labels
from salt.mosaics.duplicates import is_copy, load_duplicates
from salt.mosaics.layout import load_mosaics
from salt.postprocess.jigsaw import load_changes
from salt.report import comparison, costs, differences, examples, mosaic_page, pseudo_label_quality, rendering
from salt.runtime import provenance
from salt.runtime.paths import Run, TrainingFiles
from salt.scores import verdict
from schemas import rounds
from schemas.augmentation import Augmentation
from schemas.config import Config

Content = dict[str, Any]  # what a template reads
NOTHING: Content = {"compared": [], "training_charts": {}, "augmented": {}, "pseudo_labels": {}, "costs": None}

SHOWN_TILES = 12
SHOWN_MOSAICS = 2
AUGMENTED_TILES, DRAWS = 4, 6  # another number of draws leaves a gap in the layout of style.css


def page(config: Config, run: Run) -> str:
    """The page about a finished run, as HTML."""
    config = in_order(config, read_table(run.scores, columns=["name"])["name"])
    return render(config, run, {name: about(config, run) for name, about in PARTS.items()})


def render(config: Config, run: Run, parts: Mapping[str, Content], so_far: Content | None = None) -> str:
    """The page with some of its PARTS; so_far: what report/so_far.html shows of a run that goes on."""
    pretrainings = [scope for name in config.models for scope in rounds.pretrainings(config, name)]
    context = NOTHING | {
        "title": run.folder.resolve().name,
        "config": config,
        "rounds": rounds.numbers(config),
        "leaking": rounds.leaking(config),
        "augmentations": augmentations(config),
        "trainings": len(pretrainings) + len(config.models) * config.folds.count,
        "parts": list(parts),
        "so_far": so_far,
    }
    for part in parts.values():
        context |= part
    return rendering.render("page.html", context)


# Derived from the config -------------------------------------------------------------------------------------------


def in_order(config: Config, names: Iterable[str]) -> Config:
    """The config with its models and ensembles in the order of `names`: settings as JSON are sorted by name."""
    order = list(dict.fromkeys(names))
    models = {name: config.models[name] for name in order if name in config.models}
    ensembles = {name: config.ensembles[name] for name in order if name in config.ensembles}
    return config.model_copy(update={"models": models, "ensembles": ensembles})


def augmentations(config: Config) -> dict[Augmentation, list[str]]:
    """For each list of transformations, the models that use it."""
    found: dict[Augmentation, list[str]] = {}
    for name, model in config.models.items():
        found.setdefault(model.augment, []).append(name)
    return found


# Content of the page -----------------------------------------------------------------------------------------------


def about_data(config: Config, run: Run) -> Content:
    """Statistics of the tiles and of the folds."""
    train, test = both_splits(run)
    folds, duplicates = load_folds(run.folds), load_duplicates(run.duplicates)
    coverage = train.table["coverage"]
    nonempty = coverage[coverage > 0]
    by_fold = folds.merge(train.table, on="id").groupby("fold")
    return {
        "train": {"tiles": len(train), "constant": int(train.table["constant"].sum())},
        "test": {"tiles": len(test), "constant": int(test.table["constant"].sum())},
        "tile_shape": train.images.shape[1:3],
        "depths": (train.table["z"].min(), train.table["z"].max()),
        "empty": float((coverage == 0).mean()),
        "quartiles": [float(value) for value in nonempty.quantile([0.25, 0.5, 0.75])] if len(nonempty) else [],
        "duplicates": {"count": len(duplicates), "copies": int(is_copy(duplicates).sum())},
        "shared": shared_across_folds(folds, load_mosaics(run.mosaics), duplicates),
        "folds": [
            {
                "fold": fold,
                "tiles": len(rows),
                "empty": (rows["coverage"] == 0).mean(),
                "coverage": rows["coverage"].mean(),
            }
            for fold, rows in by_fold
        ],
    }


def both_splits(run: Run) -> tuple[Tiles, Tiles]:
    """The labelled tiles and the test tiles."""
    return load_tiles(run.tiles.folder, "train"), load_tiles(run.tiles.folder, "test")


@dataclass(frozen=True)
class Cell:
    """A score in the table, and whether it is the best of its column."""

    score: float
    sd: float
    best: bool


def about_scores(config: Config, run: Run) -> Content:
    """The table, charts and summary of the scores, their differences, other runs, and the charts of the thresholds."""
    table = read_table(run.scores, columns=["name", "labels", "score"])
    curves = read_table(run.threshold_curve, columns=["threshold", "score"])
    compared = [comparison.compare(config, run, folder) for folder in config.report.compare]
    labels = [kind for kind in verdict.LABELS if kind in set(table["labels"])]
    best = table["score"] == table.groupby(["labels", "tta", "jigsaw"])["score"].transform("max")
    keys = table[["name", "labels", "tta", "jigsaw"]].itertuples(index=False, name=None)
    cells = table[["score", "sd_folds"]].assign(best=best).itertuples(index=False, name=None)
    final, rule = config.submission.ensemble, config.submission.shown_jigsaw
    return {
        "compared": compared,
        "differences": differences.about(config, run, compared),
        "labels": labels,
        "variants": [(tta, jigsaw) for tta in (False, True) for jigsaw in ("none", rule)],
        "cells": {key: Cell(*cell) for key, cell in zip(keys, cells, strict=True)},
        "scored_tiles": table.groupby("labels")["tiles"].first().to_dict(),
        "jigsaw_rules": about_jigsaw_rules(table[(table["name"] == final) & table["tta"]]),
        "score_charts": {name: figures.scores(table[table["labels"] == name], final, rule) for name in labels},
        "threshold_charts": threshold_charts(config, curves),
        "best_threshold": {
            name: figures.best_threshold(rows)[0]
            for name, rows in curves[curves["name"] == final].groupby("labels", sort=False)
        },
    }


def about_jigsaw_rules(table: pd.DataFrame) -> list[dict[str, Any]]:
    """For each kind of labels and jigsaw rule: how many tiles it reached, and scores without and with it.

    The scores are those of the tiles that it reached, and of all tiles.
    table: rows of scores.csv of one model or ensemble, with mirror images
    """
    without = table[table["jigsaw"] == "none"].set_index("labels")["score"]
    columns = ["labels", "jigsaw", "reached", "reached_before", "reached_after", "score"]
    rules = table.loc[table["jigsaw"] != "none", columns].assign(without=table["labels"].map(without))
    return [{str(name): value for name, value in row.items()} for row in rules.to_dict("records")]


def threshold_charts(config: Config, curves: pd.DataFrame) -> dict[str, str]:
    """A chart for each ensemble, and for the model if a model is submitted, on a common scale."""
    names = list(config.ensembles)
    if config.submission.ensemble not in names:
        names.append(config.submission.ensemble)
    shown = curves[curves["name"].isin(names)]
    limits = figures.score_limits(shown)
    charts = {}
    for name in names:
        rows = shown[shown["name"] == name]
        by_labels = {
            str(labels).replace("_", " "): part[["threshold", "score"]]
            for labels, part in rows.groupby("labels", sort=False)
        }
        charts[name] = figures.threshold_curve(by_labels, config.submission.threshold, limits)
    return charts


def history(files: TrainingFiles) -> pd.DataFrame:
    """The history of a finished training."""
    return read_table(files.history)


def about_training(config: Config, run: Run, read: Callable[[TrainingFiles], pd.DataFrame | None] = history) -> Content:
    """A chart for each model.

    read: the history of a training with a finished epoch, else None
    """
    charts = {}
    for name in config.models:
        pretraining = [read(run.pretraining(name, scope)) for scope in rounds.pretrainings(config, name)]
        folds = [read(run.fold(name, fold)) for fold in range(config.folds.count)]
        found = [[table for table in tables if table is not None] for tables in (pretraining, folds)]
        if any(found):
            charts[name] = figures.training(*found)
    return {"training_charts": charts}


def about_augmentation(config: Config, run: Run) -> Content:
    """Example tiles under each list of transformations that is not empty."""
    train = load_tiles(run.tiles.folder, "train")
    drawn = {
        transforms: examples.augmented(train, transforms, AUGMENTED_TILES, DRAWS)
        for transforms in augmentations(config)
        if transforms
    }
    return {"augmented": drawn}


def about_pseudo_labels(config: Config, run: Run) -> Content:
    """Numbers of tiles and histograms of each set of pseudo-labels.

    If each fold has its own pseudo-labels, a tile counts as selected if any fold selected it; all other numbers are
    over the tables of all folds together.
    """
    sets = {}
    for name, settings in config.pseudo_labels.items():
        paths = [run.pseudo_labels(name, scope).table for scope in settings.folders(config.folds.count)]
        tables = [load_pseudo_labels(path) for path in paths]
        table = pd.concat(tables)
        chosen = table[table["selected"]]
        per_fold = chosen["fold"].value_counts().reindex(range(config.folds.count), fill_value=0)
        sets[name] = {
            "tiles": table["id"].nunique(),
            "selected": chosen["id"].nunique(),
            "per_fold": per_fold.tolist() if settings.per_fold or settings.scope == "fold" else None,
            "empty": float((chosen["coverage"] == 0).mean()),
            "chart": figures.pseudo_labels(table, settings.min_confidence),
            "used_by": [model for model, of in config.models.items() if name in of.pseudo_labels and not of.control],
        }
    return {"pseudo_labels": sets}


def about_masks(config: Config, run: Run) -> Content:
    """Example tiles, the mosaics, and the changes by the jigsaw rule."""
    train, test = both_splits(run)
    ensemble = run.ensemble(config.submission.ensemble)
    out_of_fold, predicted = open_records(ensemble.out_of_fold), open_records(ensemble.test)
    masks = open_records(run.masks)
    mosaics, changes = load_mosaics(run.mosaics), load_changes(run.changes)
    largest = mosaic_page.with_mask_sources(mosaics[mosaics["mosaic"] < SHOWN_MOSAICS], changes, train.ids)
    sizes = mosaics.groupby("mosaic").size()
    return {
        "labelled_examples": examples.labelled(train, out_of_fold, config.submission.postprocess),
        "test_examples": examples.test(test, predicted, masks, frozenset(changes["id"]), SHOWN_TILES),
        "mosaics": {"count": len(sizes), "tiles": len(mosaics), "largest": int(sizes.max()) if len(sizes) else 0},
        "mosaic_pictures": mosaic_page.pictures(largest, train, test, masks),
        "changes": [
            {
                "reason": reason,
                "tiles": len(rows),
                "altered": (rows["pixels"] > 0).sum(),
                "pixels": rows["pixels"].sum(),
            }
            for reason, rows in changes.groupby("reason")
        ],
    }


def about_provenance(config: Config, run: Run, made: Callable[[Path], bool] = lambda output: True) -> Content:
    """The code and the packages that computed the results.

    made: whether an output is there
    codes: for each commit, with or without uncommitted changes: the number of results by stage, and their devices
    packages: versions by name
    """
    codes: dict[tuple[str, bool | None], dict[str, Counter[str]]] = {}
    packages: dict[str, set[str]] = {}
    for stage, outputs in provenance.results(config, run).items():
        for record in map(provenance.read, filter(made, outputs)):
            code = codes.setdefault((record["commit"], record["changed"]), {"stages": Counter(), "devices": Counter()})
            code["stages"][stage] += 1
            code["devices"].update([record["device"]] if "device" in record else [])
            for name, version in record["versions"].items():
                packages.setdefault(name, set()).add(version)
    rows = [{"commit": commit, "changed": changed} | of for (commit, changed), of in codes.items()]
    return {"codes": rows, "packages": {name: sorted(versions) for name, versions in packages.items()}}


PARTS: dict[str, Callable[[Config, Run], Content]] = {
    "data": about_data,
    "scores": about_scores,
    "training": about_training,
    "augmentation": about_augmentation,
    "pseudo_labels": about_pseudo_labels,
    "quality": pseudo_label_quality.about,
    "masks": about_masks,
    "costs": costs.about,
    "provenance": about_provenance,
}
