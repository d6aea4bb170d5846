"""MODEL_CARD.md of a pack, written from the run: what the ensemble is, learned from, how good it is, what not for.

Its template is report/model_card.md. It holds nothing of the moment or the machine that packs, so that a run gives the
same bytes each time.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from salt.data.tiles import load_table
from salt.inference.finished_run import FinishedRun
from salt.packs.half_precision import Loss
from salt.report import rendering
from salt.runtime import provenance
from salt.scores import verdict
from salt.scores.differences import KEYS, interval, load_tile_scores
from schemas import rounds
from schemas.results import TrainedEnsemble

TEMPLATE = "model_card.md"
NO_JIGSAW = "none"  # the rule needs the mosaics of the run's tiles


def text(run: FinishedRun, ensemble: TrainedEnsemble, pack: Path, loss: Loss | None) -> str:
    """The card as Markdown. pack: the path of the file; loss: that of half precision, if the weights have it."""
    config = run.config
    context = {
        "run": run.files.folder.resolve().name,
        "pack": pack.name,
        "config": config,
        "ensemble": config.submission.ensemble,
        "weights": run.weights,
        "networks": len(run.snapshots()),
        "rounds": rounds.numbers(config),
        "trained": ensemble,
        "scores": list(_scores(run)),
        "answer": _answer(run),
        "leaking": rounds.leaking(config),
        "words": yaml.safe_load((rendering.FOLDER / "words.yaml").read_text(encoding="utf-8")),
        "loss": loss,
    }
    return rendering.templates().get_template(TEMPLATE).render(context | _tiles(run) | _origin(run))


def _scores(run: FinishedRun) -> Iterator[dict[str, Any]]:
    """The scores of the ensemble and of its models on each kind of labels, with 95 % intervals over tiles."""
    table = load_tile_scores(run.files.tile_scores)
    names = list(dict.fromkeys([run.config.submission.ensemble, *run.weights]))
    by_labels = {
        str(labels): of for (labels, jigsaw), of in table.groupby(level=KEYS[:2], sort=False) if jigsaw == NO_JIGSAW
    }
    for labels in (labels for labels in verdict.LABELS if labels in by_labels):
        for name in names:
            scores = by_labels[labels][name]
            yield {"name": name, "labels": labels, "tiles": len(scores), **interval(scores)._asdict()}


def _answer(run: FinishedRun) -> str:
    """Whether the rounds of pseudo-labelling paid."""
    found = [each for each in verdict.load(run.files.differences) if each.jigsaw == NO_JIGSAW]
    return verdict.answer(run.config, found) if found else ""


def _tiles(run: FinishedRun) -> dict[str, Any]:
    """How many tiles the run had."""
    table = load_table(run.files.tiles.folder)
    labelled = table["split"] == "train"
    return {
        "labelled": int(labelled.sum()),
        "unlabelled": int((~labelled).sum()),
        "salt": float(table.loc[labelled, "coverage"].mean()),
    }


def _origin(run: FinishedRun) -> dict[str, Any]:
    """The commits, versions and devices that the weights come from."""
    records = [provenance.read(fold.snapshots) for of_model in run.folds.values() for fold in of_model]
    return {
        "commits": sorted({f"{one['commit']}{' (edited)' if one['changed'] else ''}" for one in records}),
        "versions": sorted({f"{name} {of}" for one in records for name, of in one["versions"].items()}),
        "devices": sorted({one["device"] for one in records if "device" in one}),
        "ended": max((one["ended"][:10] for one in records if "ended" in one), default=provenance.UNKNOWN),
    }
