import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from salt import jigsaw, pseudo_labels, scoring
from salt.predictions import FIELDS
from salt.records import create_records, open_records
from salt.tiles import Tiles, save_tiles
from schemas.config import PseudoLabels, check_config
from stages import write_report

SIDE = 16
TRAIN = [f"a{number:02}" for number in range(20)]
TEST = [f"b{number:02}" for number in range(18)]
COSINE = {"name": "cosine", "cycles": [2, 2]}
PLATEAU = {"name": "plateau", "epochs": 4, "factor": 0.5, "patience": 1, "stop_after": 2}
CHROMIUM, DRIVER = Path("/usr/bin/chromium"), Path("/usr/bin/chromedriver")


def model(schedules=(COSINE,), **more):
    return {
        "network": {"name": "unet_plain"},
        "input": {"resize": 32},
        "phases": [
            {"loss": "bce_dice", "optimizer": {"name": "adamw", "lr": 1e-3}, "schedule": schedule, "batch": 4}
            for schedule in schedules
        ],
        "members": {f"phase{len(schedules)}_cycle1": 1},
    } | more


CONFIG = {
    "seed": 1,
    "data": {"root": "data/here", "tile": SIDE},
    "survey": {"sections": 2},
    "folds": {"count": 2},
    "models": {
        "first": model((PLATEAU, COSINE)),
        "second": model(pretrain={"pseudo_labels": "sure", "phases": model()["phases"]}),
        "third": model(add_pseudo_labels="by_size"),
    },
    "ensembles": {"stage1": {"first": 1}, "final": {"second": 2, "third": 1}},
    "pseudo_labels": {
        "sure": {"ensemble": "stage1", "min_confidence": 0.5},
        "by_size": {"ensemble": "stage1", "min_confidence": 0.3, "per_fold": [{"pixels": [1, 256], "count": 3}]},
    },
    "submission": {"ensemble": "final"},
}
NO_ROUNDS = CONFIG | {  # one model, which is submitted; no survey
    "survey": None,
    "models": {"first": CONFIG["models"]["first"]},
    "ensembles": {"stage1": {"first": 1}},
    "pseudo_labels": {},
    "submission": {"ensemble": "first", "jigsaw": False},
}


def settings(config):
    checked = check_config(config | {"pathvars": {"results": "x"}})
    return json.dumps(checked.model_dump(mode="json", exclude={"compute", "pathvars"}), sort_keys=True)


def write_run(folder, config, train=TRAIN, test=TEST, mosaics=True):
    """The files of a run, of random blobs, by the components that write them in a run."""
    rng = np.random.default_rng(0)
    config = check_config(config | {"pathvars": {"results": "x"}})
    splits = {"train": blobs(rng, train, "train"), "test": blobs(rng, test, "test")}
    true = {split: (images > 128).astype(np.uint8) for split, (_, images) in splits.items()}
    true["train"][4] = np.arange(SIDE) < 5  # straight vertical salt, for the jigsaw rule
    table = splits["train"][0].assign(coverage=true["train"].mean(axis=(1, 2)))
    save_tiles(folder / "tiles", Tiles(table, splits["train"][1], true["train"]), Tiles(*splits["test"], None))
    folds = pd.DataFrame({"id": train, "fold": np.arange(len(train)) % config.folds.count})
    folds.to_csv(folder / "folds.csv", index=False)
    places = [(train[4], 0, 0, 0), (test[0], 0, 1, 0), (test[1], 0, 2, 0), (train[5], 0, 1, 1), (test[2], 1, 0, 0)]
    laid_out = pd.DataFrame(places if mosaics else [], columns=["id", "mosaic", "row", "column"])
    laid_out.to_csv(folder / "mosaics.csv", index=False)
    write_predictions(folder, rng, config, true, np.array(train), np.array(test))
    write_scores(folder, config, true, folds, laid_out, np.array(test))
    write_trainings(folder, rng, config)
    write_pseudo_labels(folder, config)
    write_masks(folder, config, laid_out, train, true["train"])
    return folder


def blobs(rng, ids, split):
    waves = np.sin(
        np.arange(SIDE)[:, None, None] * rng.uniform(0.1, 0.5, (2, len(ids))) + rng.uniform(0, 6, (2, len(ids)))
    )
    images = (127.5 + 127 * np.einsum("hn,wn->nhw", *np.moveaxis(waves, 1, 0))).astype(np.uint8)
    images[0] = 0
    table = pd.DataFrame({"id": ids, "split": split, "z": 100.0, "constant": False, "coverage": np.nan})
    table.loc[0, "constant"] = True
    return table, images


def write_predictions(folder, rng, config, true, train, test):
    for name in [*config.models, *config.ensembles]:
        for split, ids, stem in (("train", train, "out_of_fold"), ("test", test, "test")):
            order = rng.permutation(len(ids))
            path = folder / "ensembles" / name / f"{stem}.npy"
            with create_records(path, ids[order].tolist(), dict.fromkeys(FIELDS, np.float16), SIDE, SIDE) as out:
                for field in FIELDS:
                    noise = rng.uniform(0, 0.6, (len(ids), 1, SIDE)) * rng.uniform(0, 1, (len(ids), 1, 1))
                    out[field] = np.where(true[split][order] == 1, 1 - noise, noise)


def write_scores(folder, config, true, folds, mosaics, test):
    train = folds["id"].to_numpy(str)
    truths = {"out_of_fold": scoring.out_of_fold_truth(train, true["train"], folds, mosaics)}
    if config.survey:
        truths["test"] = scoring.true_test_truth(test, true["test"], train, true["train"], mosaics)
    scores, curves = [], []
    for stem, truth in truths.items():
        for name in [*config.models, *config.ensembles]:
            predicted = open_records(folder / "ensembles" / name / f"{stem}.npy")
            scores += [{"name": name} | row for row in scoring.score(predicted, truth, 0.5)]
            curve = scoring.threshold_curve(predicted, truth)
            curves.append(
                pd.DataFrame({"name": name, "labels": truth.labels, "threshold": scoring.THRESHOLDS, "score": curve})
            )
    pd.DataFrame(scores).to_csv(folder / "scores.csv", index=False)
    pd.concat(curves).to_csv(folder / "threshold_curve.csv", index=False)


def write_trainings(folder, rng, config):
    for name, settings in config.models.items():
        trainings = {f"fold{fold}": settings.phases for fold in range(config.folds.count)}
        if settings.pretrain:
            trainings["pretrain"] = settings.pretrain.phases
        for training, phases in trainings.items():
            rows = [
                {"phase": number, "cycle": 1 + (epoch > 2), "epoch": epoch, "lr": 0.001, "loss": rng.uniform()}
                for number, phase in enumerate(phases, 1)
                for epoch in range(1, (5 if phase.schedule.name == "cosine" else 4))
            ]
            held_out = np.nan if training == "pretrain" else rng.uniform(size=len(rows))
            path = folder / "models" / name / training / "history.csv"
            path.parent.mkdir(parents=True)
            pd.DataFrame(rows).assign(held_out_loss=held_out, score=held_out).to_csv(path, index=False)


def write_pseudo_labels(folder, config):
    for name, of in config.pseudo_labels.items():
        predicted = open_records(folder / "ensembles" / of.ensemble / "test.npy")
        table = pd.DataFrame({"id": predicted["id"], "constant": False})
        table["confidence"] = pseudo_labels.confidence(predicted["tta"], of.low, of.high)
        table["salt"] = (predicted["tta"] > 0.5).sum(axis=(1, 2))
        table = pseudo_labels.select(table, PseudoLabels(**of.model_dump()), config.folds.count)
        path = folder / "pseudo_labels" / name / "pseudo_labels.csv"
        path.parent.mkdir(parents=True)
        table = table.assign(coverage=table["salt"] / SIDE**2)
        table[["id", "confidence", "coverage", "selected", "fold"]].to_csv(path, index=False)


def write_masks(folder, config, mosaics, train, true):
    predicted = open_records(folder / "ensembles" / config.submission.ensemble / "test.npy")
    ids = predicted["id"].tolist()
    changes = jigsaw.find_changes(mosaics, train, true, set(ids)) if config.submission.jigsaw else []
    with create_records(folder / "jigsaw" / "masks.npy", ids, {"mask": np.uint8}, SIDE, SIDE) as out:
        out["mask"] = predicted["tta"] > 0.5
        pixels = jigsaw.repaint(ids, out["mask"], {change.id: change for change in changes})
    columns = ["id", "mosaic", "row", "column", "reason", "source"]
    rows = [[*(getattr(change, name) for name in columns), pixels[change.id]] for change in changes]
    pd.DataFrame(rows, columns=[*columns, "pixels"]).to_csv(folder / "jigsaw" / "changes.csv", index=False)


def report(run, config):
    out = run / "report.html"
    write_report.main(["--settings", settings(config), "--run", str(run), "--out", str(out)])
    return out.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("runs") / "tiny", CONFIG)


@pytest.fixture(scope="module")
def page(run):
    return report(run, CONFIG)


def test_page(page):
    assert page
