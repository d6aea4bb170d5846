import html
import json
import re
import shutil
import tempfile
from dataclasses import fields
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from salt.data.predictions import FIELDS
from salt.data.records import create_records, open_records
from salt.data.tiles import Tiles, save_tiles
from salt.ensembles import pseudo_labels
from salt.postprocess import final_masks
from salt.runtime import provenance
from salt.runtime.paths import Run
from salt.scores import differences, pseudo_label_scores, scoring, verdict
from salt.scores.known_masks import KnownMasks
from salt.scores.verdict import Difference
from schemas import rounds
from schemas.reading import check_config
from stages import write_report

SIDE = 16
RULES = ("none", "published", "extended")
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


HOLES = {"name": "fill_holes", "smaller_than": 5}
STEPS = [{"name": "threshold", "above": 0.5}, {"name": "empty_constant"}]
CONFIG = {
    "seed": 1,
    "data": {"root": "data/here", "tile": SIDE},
    "survey": {"sections": 2},
    "folds": {"count": 2},
    "models": {
        "first": model((PLATEAU, COSINE)),
        "second": model(pretrain={"pseudo_labels": "sure", "phases": model()["phases"]}),
        "third": model(add_pseudo_labels="by_size", augment="resnet34_author"),
    },
    "ensembles": {"stage1": {"first": 1}, "final": {"second": 2, "third": 1}},
    "pseudo_labels": {
        "sure": {"ensemble": "stage1", "min_confidence": 0.5, "min_confidence_empty": 0.6},
        "by_size": {"ensemble": "stage1", "min_confidence": 0.3, "per_fold": [{"pixels": [1, 256], "count": 3}]},
    },
    "submission": {"ensemble": "final"},
}
NO_ROUNDS = CONFIG | {  # one model, which is submitted; no survey
    "survey": None,
    "models": {"first": CONFIG["models"]["first"]},
    "ensembles": {"stage1": {"first": 1}},
    "pseudo_labels": {},
    "submission": {"ensemble": "first", "postprocess": STEPS},
}


HIDDEN = 5  # tiles in the rehearsal
REHEARSAL = CONFIG | {"data": CONFIG["data"] | {"hide_labels": {"share": 0.2, "seed": 7}}}
HONEST = CONFIG | {
    "submission": {"ensemble": "final", "postprocess": [*STEPS, HOLES, {"name": "jigsaw", "rule": "extended"}]},
    "pseudo_labels": {name: labels | {"scope": "fold"} for name, labels in CONFIG["pseudo_labels"].items()},
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
    places = [(train[4], 0, 0, 0), (test[0], 0, 1, 0), (test[1], 0, 2, 0), (train[5], 0, 1, 1)]
    places += [(test[2], 1, 0, 0), (test[3], 1, 0, 1)]
    laid_out = pd.DataFrame(places if mosaics else [], columns=["id", "mosaic", "row", "column"])
    laid_out.to_csv(folder / "mosaics.csv", index=False)
    copies = [(train[7], train[6], "identical"), (test[2], train[6], "mirrored")] if mosaics else []
    pd.DataFrame(copies, columns=["id", "of", "how"]).to_csv(folder / "duplicates.csv", index=False)
    write_predictions(folder, rng, config, true, np.array(train), np.array(test))
    write_scores(folder, config, true, folds, laid_out, np.array(test))
    write_trainings(folder, rng, config)
    write_pseudo_labels(folder, config, KnownMasks("true_test", np.array(test), true["test"]))
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
    constant = {name: np.zeros(len(masks), bool) for name, masks in true.items()}
    labelled = train, true["train"]
    truths = [("out_of_fold", scoring.out_of_fold_truth(*labelled, constant["train"], folds, mosaics))]
    split = {"true_test": slice(-HIDDEN), "hidden": slice(-HIDDEN, None)} if config.data.hide_labels else {}
    for labels, rows in (split or {"true_test": slice(None)}).items() if config.survey else ():
        of = [part[rows] for part in (test, true["test"], constant["test"])]
        truths.append(("test", scoring.test_truth(labels, *of, dict(zip(*labelled, strict=True)), mosaics)))
    scores, curves, tiles = [], [], []
    for stem, truth in truths:
        columns = {}
        for name in [*config.models, *config.ensembles]:
            predicted = open_records(folder / "ensembles" / name / f"{stem}.npy")
            scored = scoring.score(predicted, truth, config.submission.postprocess, RULES)
            scores += [{"name": name} | scoring.summary(each, truth) for each in scored]
            columns[name] = scoring.by_tile(scored, truth.labels)
            curve = scoring.threshold_curve(predicted, truth)
            curves.append(
                pd.DataFrame({"name": name, "labels": truth.labels, "threshold": scoring.THRESHOLDS, "score": curve})
            )
        tiles.append(pd.concat(columns, axis=1))
    found = differences.differences(pd.concat(tiles), rounds.comparisons(config))
    pd.DataFrame(found, columns=[of.name for of in fields(Difference)]).to_csv(folder / "differences.csv", index=False)
    pd.concat(tiles).to_csv(folder / "tile_scores.csv")
    pd.DataFrame(scores).to_csv(folder / "scores.csv", index=False)
    pd.concat(curves).to_csv(folder / "threshold_curve.csv", index=False)


def write_trainings(folder, rng, config):
    for name, settings in config.models.items():
        trainings = {f"fold{fold}": settings.phases for fold in range(config.folds.count)}
        for scope in rounds.pretrainings(config, name):
            trainings[f"pretrain/{scope}"] = settings.pretrain.phases
        for training, phases in trainings.items():
            rows = [
                {"phase": number, "cycle": 1 + (epoch > 2), "epoch": epoch, "lr": 0.001, "loss": rng.uniform()}
                for number, phase in enumerate(phases, 1)
                for epoch in range(1, (5 if phase.schedule.name == "cosine" else 4))
            ]
            held_out = np.nan if training.startswith("pretrain") else rng.uniform(size=len(rows))
            path = folder / "models" / name / training / "history.csv"
            path.parent.mkdir(parents=True)
            pd.DataFrame(rows).assign(held_out_loss=held_out, score=held_out).to_csv(path, index=False)


def write_pseudo_labels(folder, config, known):
    quality = []
    for name, of in config.pseudo_labels.items():
        predicted = open_records(folder / "ensembles" / of.ensemble / "test.npy")
        table = pd.DataFrame({"id": predicted["id"], "constant": False})
        table["confidence"] = pseudo_labels.confidence(predicted["tta"], of.low, of.high)
        table["pixels"] = (predicted["tta"] > 0.5).sum(axis=(1, 2))
        table["coverage"] = table["pixels"] / SIDE**2
        for fold, scope in enumerate(of.folders(config.folds.count)):
            own = fold if of.scope == "fold" else None
            selected = pseudo_labels.select(table, of, config.folds.count, own)
            path = folder / "pseudo_labels" / name / scope / "pseudo_labels.csv"
            path.parent.mkdir(parents=True)
            selected[["id", "confidence", "coverage", "selected", "fold"]].to_csv(path, index=False)
            masks = np.zeros(len(predicted), [("id", predicted["id"].dtype), ("mask", "u1", (SIDE, SIDE))])
            masks["id"], masks["mask"] = predicted["id"], predicted["tta"] > 0.5
            quality.append(pseudo_label_scores.table(masks, selected, known).assign(set=name, scope=scope))
    if config.scores_pseudo_labels:
        pd.concat(quality).to_csv(folder / "pseudo_label_scores.csv", index=False)


def write_masks(folder, config, mosaics, train, true):
    predicted = open_records(folder / "ensembles" / config.submission.ensemble / "test.npy")
    known = dict(zip(train, true, strict=True))
    path = folder / "postprocess" / "masks.npy"
    changes = final_masks.write_masks(path, predicted, set(), known, mosaics, config.submission.postprocess)
    changes.to_csv(folder / "postprocess" / "changes.csv", index=False)


def report(run, config):
    out = run / "report.html"
    options = {"settings": settings(config), "run": run, "reads": run / "scores.csv"}
    options |= {"report-out": out, "mosaics-out": run / "mosaics.html"}
    write_report.main([word for name, value in options.items() for word in (f"--{name}", str(value))])
    return out.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("runs") / "tiny", CONFIG)


@pytest.fixture(scope="module")
def page(run):
    return report(run, CONFIG)


@pytest.fixture(scope="module")
def pages(run, page):
    """Both pages by the name of their file."""
    return {"report.html": page, "mosaics.html": (run / "mosaics.html").read_text(encoding="utf-8")}


class Parts(HTMLParser):
    """What a page refers to, and its pictures."""

    def __init__(self, page):
        super().__init__()
        self.references, self.ids, self.pictures, self.unnamed = [], [], 0, []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        named = dict(attributes)
        self.references += [named[key] for key in ("src", "href", "srcset", "action", "data") if key in named]
        self.ids += [named["id"]] if "id" in named else []
        if named.get("role") == "img" or tag == "img":
            self.pictures += 1
            if not (named.get("aria-label") or named.get("alt") or "").strip():
                self.unnamed.append(self.getpos())


NAMES = ("report.html", "mosaics.html")


@pytest.mark.parametrize("name", NAMES)
def test_a_page_refers_to_itself_and_to_the_other_alone_and_only_to_what_is_there(pages, name):
    parts = {each: Parts(page) for each, page in pages.items()}
    references = [to for to in parts[name].references if not to.startswith("data:image/")]
    assert {to.partition("#")[0] for to in references} == {"", *set(NAMES) - {name}}
    for to in references:
        file, _, place = to.partition("#")
        assert not place or place in parts[file or name].ids
    style = re.search(r"<style>(.*?)</style>", pages[name], re.DOTALL)[1]
    assert "url(" not in style
    assert "@import" not in style
    assert "<script" not in pages[name]
    assert set(re.findall(r"url\(#([^)]*)\)", pages[name])) <= set(parts[name].ids)


@pytest.mark.parametrize("name", NAMES)
def test_no_two_elements_of_a_page_have_one_id(pages, name):
    ids = Parts(pages[name]).ids
    assert len(ids) == len(set(ids))


def test_every_picture_has_a_text_in_its_place_and_every_figure_a_numbered_caption(page):
    parts = Parts(page)
    assert parts.pictures >= 20
    assert parts.unnamed == []
    numbers = [int(number) for number in re.findall(r"<figcaption><b>Figure (\d+)\.</b>", page)]
    assert numbers == list(range(1, page.count("<figure") + 1))


def section_of(page, name):
    return re.search(rf'<section id="{name}">(.*?)</section>', page, re.DOTALL)[1]


def table_of(page, name):
    """The first table of a section."""
    return re.search(r"<table.*?</table>", section_of(page, name), re.DOTALL)[0]


def test_every_score_is_there_with_and_without_jigsaw_and_mirror_images_and_says_of_which_labels(run, page):
    scores = pd.read_csv(run / "scores.csv")
    scores = pd.concat([scores[scores["labels"] == labels] for labels in verdict.LABELS])  # the most telling first
    table = table_of(page, "scores")
    for name, rows in scores[scores["jigsaw"] != "extended"].groupby("name"):
        row = re.search(rf"<tr[^>]*><th><code>{name}</code>.*?</tr>", table, re.DOTALL)[0]
        assert re.findall(r"<td[^>]*>([\d.]+)", row) == [f"{value:.4f}" for value in rows["score"]]
        spreads = [f"{value:.4f}" for value in rows["sd_folds"].dropna()]
        assert re.findall(r"±([\d.]+)", row) == spreads
    assert re.findall(r'<th colspan="4" class="group">(.*?)</th>', table) == ["true test", "out of fold"]
    assert table.count("<th>no jigsaw</th><th>+ jigsaw</th>") == 4


def test_models_and_ensembles_keep_the_order_of_the_config(page):
    names = re.findall(r"<th><code>(.*?)</code>", table_of(page, "scores"))
    assert names == [*CONFIG["models"], *CONFIG["ensembles"]]


def test_the_summary_gives_the_submitted_score_and_its_gain_over_the_first_round(run, page):
    scores = pd.read_csv(run / "scores.csv").query("tta and labels == 'true_test'").set_index(["name", "jigsaw"])
    card = re.search(r'<div class="card">\s*<h2>Score, true test</h2>(.*?)</div>', page, re.DOTALL)[1]
    final, before = scores.loc[("final", "published"), "score"], scores.loc[("stage1", "published"), "score"]
    assert f'<p class="big">{final:.4f}' in card
    assert f"with the published jigsaw rule; <b>{scores.loc[('final', 'none'), 'score']:.4f}</b> without" in card
    gain = f"<b>{'+' if final >= before else '−'}{abs(final - before):.4f}</b>"
    low, high = (text.replace("-", "−") for text in difference_texts(run, "true_test", "first"))
    assert f"{gain} ({low} to {high}) over <code>stage1</code>" in card
    assert "3 models in 2 rounds, 7 trainings over 2 folds; 20 labelled tiles, 18 tiles to segment" in page


def difference_texts(run, labels, role):
    """The ends of the interval of the submission's difference."""
    found = pd.read_csv(run / "differences.csv").query("name == 'final' and jigsaw == 'published'")
    row = found.set_index(["labels", "role"]).loc[(labels, role)]
    return f"{row['low']:.4f}", f"{row['high']:.4f}"


def test_a_card_says_how_sure_its_score_is(run, page):
    tiles = pd.read_csv(run / "tile_scores.csv").query("labels == 'out_of_fold' and jigsaw == 'published'")
    _, low, high = differences.interval(tiles["final"])
    card = re.search(r'<div class="card">\s*<h2>Score, out of fold</h2>(.*?)</div>', page, re.DOTALL)[1]
    assert f"95 % interval over tiles: <b>{low:.4f}</b> to <b>{high:.4f}</b>" in card


def test_pseudo_labels_are_counted_by_fold(run, page):
    labels = pd.read_csv(run / "pseudo_labels" / "by_size" / "all_folds" / "pseudo_labels.csv")
    selected = labels[labels["selected"]].groupby("fold").size()
    row = re.search(r"<tr><th><code>by_size</code>.*?</tr>", page)[0]
    assert f"{selected.sum()} of 18</td>" in row
    assert f"<td>{selected[0]}, {selected[1]}</td>" in row
    assert row.endswith("<code>third</code></td></tr>")


def test_each_list_of_transformations_is_shown_on_the_same_tiles_with_the_models_that_use_it(page):
    section = page[page.index('<section id="augmentation">') : page.index('<section id="thresholds">')]
    captions = re.findall("for the training of (.*?);", section)
    assert captions == ["<code>first</code>, <code>second</code>", "<code>third</code>"]
    shown = re.findall(r'<div class="words"><code>(.*?)</code>', section)
    assert len(shown) == 8
    assert shown[:4] == shown[4:]
    assert section.count("<image ") == 8 * 7


def test_each_jigsaw_rule_is_shown_with_what_it_reached_and_what_that_brought(run, page):
    scores = pd.read_csv(run / "scores.csv").query("tta and name == 'final'").set_index(["labels", "jigsaw"])
    for labels, words in (("out_of_fold", "Out of fold"), ("true_test", "True test")):
        rows = re.search(rf'<tr class="kind"><th colspan="6">{words}</th></tr>(.*?)</tbody>', page, re.DOTALL)[1]
        for rule in ("published", "extended"):
            of = scores.loc[labels, rule]
            numbers = [of["reached_before"], of["reached_after"], scores.loc[(labels, "none"), "score"], of["score"]]
            shown = ["–" if np.isnan(number) else f"{number:.4f}" for number in numbers]
            assert f"<th>{rule}</th>" + "".join(f"<td>{text}</td>" for text in [str(of["reached"]), *shown]) in rows


def test_where_the_extended_rule_is_chosen_scores_are_shown_with_it(honest):
    run, page = honest
    scores = pd.read_csv(run / "scores.csv").query("tta and name == 'final'").set_index(["labels", "jigsaw"])["score"]
    assert f'<p class="big">{scores["true_test", "extended"]:.4f}' in page
    assert f"with the extended jigsaw rule; <b>{scores['true_test', 'none']:.4f}</b> without" in page
    assert "and the extended jigsaw rule was applied." in methods_of(page)


def test_what_the_jigsaw_rule_changed_is_counted_by_reason(page):
    assert re.search(r"<tr><th>below a vertical tile</th><td>2</td><td>[12]</td><td>\d+</td></tr>", page)


def methods_of(page):
    return " ".join(re.sub("<[^>]*>", "", page[page.index('<section id="methods">') :]).split())


def test_methods_describe_the_rounds(page):
    methods = methods_of(page)
    assert "20 labelled and 18 unlabelled tiles of 16 × 16 px were segmented in two rounds" in methods
    assert "Round 2, second: a plain U-Net. Tiles were resized to 32 px and given as grey, a vertical ramp" in methods
    assert "The network was pretrained once on the pseudo-labels sure with the mean of binary" in methods
    assert (
        "For the training of first and second, tiles were augmented by mirroring left and right (p = 0.5); add"
        in methods
    )
    assert (
        "one of [adding up to ±0.1 of the grey range; multiplying the grey values by 1 ± 0.08 about black] (p = 0.5"
        in methods
    )
    assert "The pseudo-labels by_size were added to the training tiles of each fold." in methods
    assert "stage1 of first; final of second (weight 2) and third (weight 1)." in methods
    assert "the pseudo-labels by_size and sure came from ensembles whose other models had been trained on it" in methods
    words = "sure contained the masks (p > 0.5) of the test tiles that stage1 predicted with a confidence"
    assert words in html.unescape(methods)


@pytest.fixture(scope="module")
def honest(tmp_path_factory):
    """A run whose folds learn from their own models alone, and its report."""
    run = write_run(tmp_path_factory.mktemp("runs") / "honest", HONEST)
    return run, report(run, HONEST)


def test_methods_say_if_each_fold_learned_from_its_own_models_alone(honest):
    methods = html.unescape(methods_of(honest[1]))
    assert "The network was pretrained for each fold on the pseudo-labels sure with the mean of binary" in methods
    assert "sure contained, for each fold, the masks (p > 0.5) of the test tiles that the fold's own models" in methods
    assert "had been trained on it" not in methods
    assert "3 models in 2 rounds, 8 trainings over 2 folds" in honest[1]


@pytest.fixture(scope="module")
def rehearsal(tmp_path_factory):
    """The report on a run with hidden labels."""
    return report(write_run(tmp_path_factory.mktemp("runs") / "rehearsal", REHEARSAL), REHEARSAL)


def test_hidden_labels_have_scores_of_their_own_beside_all_others(rehearsal):
    scores = rehearsal[rehearsal.index('<section id="scores">') :]
    table = scores[: scores.index("</table>")]
    kinds = ["hidden labels", "true test", "out of fold"]
    assert re.findall(r'<th colspan="4" class="group">(.*?)</th>', table) == kinds
    assert re.findall("<h2>Score, (.*?)</h2>", rehearsal) == kinds
    assert "Against labelled tiles whose masks were hidden from everything but scores (5 tiles)." in rehearsal
    rules = re.findall(r'<tr class="kind"><th colspan="6">(.*?)</th></tr>', rehearsal)
    assert rules == ["Hidden labels", "True test", "Out of fold"]
    thresholds = rehearsal[rehearsal.index('<section id="thresholds">') : rehearsal.index('<section id="masks">')]
    for kind in ("out of fold", "true test", "hidden"):
        assert thresholds.count(f">{kind}<") == 2  # in the charts of both ensembles


def test_the_report_says_how_many_labels_were_hidden_and_how_they_were_chosen(rehearsal, page):
    words = (
        "5 had labels, which served for scoring alone: 20.0 % of all labelled tiles, drawn at random with the seed 7."
    )
    assert words in methods_of(rehearsal)
    assert "Of the test tiles, 5 are labelled ones whose masks were hidden and used only for scoring." in rehearsal
    assert "hidden and used" not in page
    assert "had labels" not in page


def test_if_masks_are_cleaned_the_threshold_curve_says_that_its_masks_are_not(honest, page):
    words = "These masks were made by the threshold alone, without the further steps of the submission."
    assert words in honest[1]
    assert words not in page
    assert "of fewer than 5 px were filled; tiles were laid out in mosaics" in methods_of(honest[1])


def test_a_tile_of_two_folds_is_one_pseudo_label_and_counts_for_both(honest):
    run, page = honest
    tables = [pd.read_csv(run / f"pseudo_labels/sure/fold{fold}/pseudo_labels.csv") for fold in range(2)]
    ids = [set(table.loc[table["selected"], "id"]) for table in tables]
    row = re.search(r"<tr><th><code>sure</code>.*?</tr>", page)[0]
    assert "<code>stage1</code>, each fold's own models</td>" in row
    assert f"{len(ids[0] | ids[1])} of 18</td>" in row
    assert f"<td>{len(ids[0])}, {len(ids[1])}</td>" in row


def test_controls_are_scored_after_their_models_and_use_no_pseudo_labels(tmp_path):
    controlled = CONFIG | {"controls": True}
    page = report(write_run(tmp_path, controlled), controlled)
    scores = page[page.index('<section id="scores">') :]
    names = re.findall(r"<th><code>(.*?)</code>", scores[: scores.index("</table>")])
    models = ["first", "second", "second_control", "third", "third_control"]
    assert names == [*models, "stage1", "final", "final_control"]
    assert re.search(r"<tr><th><code>by_size</code>.*?</tr>", page)[0].endswith("<td><code>third</code></td></tr>")
    methods = methods_of(page)
    assert "The controls second_control and third_control differed from their models in one thing:" in methods
    assert "Round 2, third_control" not in methods
    settings = methods[methods.index("Settings of the models.") :]
    assert "pretraining on sure" in settings
    assert "pretraining of each fold on labelled tiles in place of sure" in settings
    assert "each fold with labelled tiles in place of by_size" in settings
    assert "without held-out tiles; that of controls on labelled tiles. Losses" in page


def test_the_same_run_gives_the_same_bytes(run, pages):
    assert report(run, CONFIG) == pages["report.html"]
    assert (run / "mosaics.html").read_text(encoding="utf-8") == pages["mosaics.html"]


def test_ids_are_shown_as_text_whatever_they_hold(tmp_path):
    ids = [f"<script>alert({number})</script>\"'&" for number in range(20)]
    run = write_run(tmp_path / "run", NO_ROUNDS, train=ids, test=[f"{name}<b>" for name in ids])
    for page in (report(run, NO_ROUNDS), (run / "mosaics.html").read_text(encoding="utf-8")):
        assert "alert(" in page
        assert "<script" not in page
        assert "<b>&" not in page
        assert Parts(page).unnamed == []


@pytest.fixture(scope="module")
def bare_page(tmp_path_factory):
    """The report on a run without a survey, augmentation, pseudo-labels, mosaics and the jigsaw rule."""
    folder = tmp_path_factory.mktemp("runs") / "bare"
    bare = NO_ROUNDS | {"models": {"first": CONFIG["models"]["first"] | {"augment": "none"}}}
    return report(write_run(folder, bare, mosaics=False), bare)


def test_copies_and_what_folds_share_are_counted(pages, bare_page):
    words = re.sub(r"<[^>]+>", "", pages["report.html"])
    assert "2 tiles are copies of other tiles: 1 identical, 1 rotated or mirrored" in words
    assert "2 labelled tiles (10.0 %) have a neighbour or a copy in another fold" in words
    assert "copies of other" not in bare_page
    assert "No labelled tile has a neighbour in another fold." in bare_page


def test_a_run_of_one_round_without_survey_and_mosaics_has_a_report_too(bare_page):
    assert "1 models" not in bare_page
    assert "in 1 round," in bare_page
    assert "true test" not in bare_page
    assert 'href="#pseudo-labels"' not in bare_page
    assert 'href="#augmentation"' not in bare_page
    assert "For the training of all models, tiles were not augmented." in bare_page
    assert "No tile has a neighbour" in bare_page
    assert "<h4>first</h4>" in bare_page  # a submitted model has a threshold curve
    assert "The jigsaw rule was not applied." in bare_page


def test_both_jigsaw_columns_are_there_when_the_rule_is_off(bare_page):
    assert bare_page.count("<th>no jigsaw</th><th>+ jigsaw</th>") == 2


def compared(run, other, here, there):
    """The report on a run with some settings, compared with a copy of it with other settings."""
    shutil.copytree(run, other)
    kept = check_config(there | {"pathvars": {"results": str(other)}})
    (other / "config.yaml").write_text(yaml.safe_dump(kept.model_dump(mode="json")))
    scores = pd.read_csv(run / "scores.csv")
    scores.assign(score=scores["score"] - 0.1).to_csv(other / "scores.csv", index=False)
    page = report(run, here | {"report": {"compare": [str(other)]}})
    return page, page[page.index('<section id="compared">') : page.index('<section id="training">')]


@pytest.mark.parametrize(("by", "effect"), [("depth", "+0.1000"), ("mosaic", "−0.1000")])
def test_runs_that_differ_in_whether_folds_split_mosaics_show_the_effect_of_neighbours(tmp_path, by, effect):
    run = write_run(tmp_path / "run", CONFIG)
    folds = [CONFIG | {"folds": {"count": 2, "by": each}} for each in ("depth", "mosaic")]
    here, there = folds if by == "depth" else reversed(folds)
    page, section = compared(run, tmp_path / "other", here, there)
    assert '<a href="#compared">' in page
    assert re.findall("<li><code>(.*?)</code>", section) == [
        html.escape(f'folds.by: "{here["folds"]["by"]}" -> "{there["folds"]["by"]}"').replace("&quot;", "&#34;")
    ]
    assert f"the effect of neighbours in both training and validation: <b>{effect}</b> for <code>final" in section
    rows = re.findall(r"<th><code>(\w+)</code></th><td>([\d.]+)<.*?<td>([\d.]+)<.*?<td>(\S+)</td></tr>", section)
    scores = pd.read_csv(run / "scores.csv").query("labels == 'out_of_fold' and tta and jigsaw == 'none'")
    expected = [(row.name, f"{row.score:.4f}", f"{row.score - 0.1:.4f}", "+0.1000") for row in scores.itertuples(False)]
    assert rows == expected


def test_runs_that_differ_in_more_are_compared_without_this_effect(tmp_path):
    run = write_run(tmp_path / "run", NO_ROUNDS)
    _, section = compared(run, tmp_path / "other", NO_ROUNDS, NO_ROUNDS | {"seed": 2, "folds": {"by": "mosaic"}})
    assert "<li><code>seed: 1 -&gt; 2</code></li>" in section
    assert "the effect of neighbours" not in section
    assert "Out-of-fold scores of the models and ensembles that both runs have" in section


def test_a_run_that_is_compared_with_none_has_no_comparison(page):
    assert "compared" not in Parts(page).ids
    assert 'href="#compared"' not in page


CONTROLLED = CONFIG | {
    "controls": True,
    "ensembles": {"stage1": {"first": 1}, "stage2": {"second": 1}, "final": {"second": 2, "third": 1}},
}


@pytest.fixture(scope="module")
def controlled(tmp_path_factory):
    """A run with three stages and controls, and its report."""
    run = write_run(tmp_path_factory.mktemp("runs") / "controlled", CONTROLLED)
    return run, report(run, CONTROLLED)


def test_whether_the_rounds_paid_is_answered_before_all_other_numbers(controlled):
    run, page = controlled
    config = check_config(CONTROLLED | {"pathvars": {"results": "x"}})
    answer = verdict.answer(config, verdict.as_submitted(config, verdict.load(run / "differences.csv")))
    assert f'<p class="verdict">{html.escape(answer)}</p>' in section_of(page, "rounds")
    assert "the same training without pseudo-labels" in answer
    assert page.index('<div class="cards">') < page.index('<section id="rounds">') < page.index('<section id="scores">')


def test_each_stage_is_shown_with_its_differences_and_intervals_that_exclude_0_are_marked(controlled):
    run, page = controlled
    table = table_of(page, "rounds")
    heads = [f"difference to {words}" for words in ("the stage before", "the first stage", "its control")]
    assert re.findall("<th>(.*?)</th>", table)[:4] == ["score", *heads]
    found = verdict.load(run / "differences.csv")
    for labels, body in zip(("out_of_fold", "true_test"), table.split("<tbody>")[1:], strict=True):
        rows = {row[0]: row[1] for row in re.findall("<th><code>(.*?)</code></th>(.*?)</tr>", body)}
        assert list(rows) == ["stage1", "stage2", "final"]
        assert rows["stage1"].count("<td>–</td>") == 3
        assert rows["stage2"].count("<td>the same</td>") == 1  # the stage before it is the first
        cells = re.findall(r'<td(?: class="(\w+)")?>([+−][^<]*)<small>to <code>(\w+)<', rows["final"])
        own = [of for of in found if (of.labels, of.jigsaw, of.name) == (labels, "published", "final")]
        assert [of.than for of in own] == ["stage2", "stage1", "final_control"]
        marks = {"better": ("better", " ▲"), "worse": ("worse", " ▼"), verdict.UNDECIDED: ("", "")}
        if labels == "out_of_fold":  # the sets are of scope ensemble, so these differences favour later rounds
            marks = dict.fromkeys(marks, ("", ""))
        assert cells == [
            (marks[of.verdict][0], f"{of.signed} ({of.interval}){marks[of.verdict][1]}", of.than) for of in own
        ]


def test_a_run_without_stages_to_compare_has_no_table_of_differences(bare_page):
    section = section_of(bare_page, "rounds")
    assert "do not tell whether rounds of pseudo-labelling pay" in section
    assert "difference to its control" not in section


def with_other_seed(run, other, seed):
    """A copy of a run with another seed whose differences are greater by a tenth for each step of the seed."""
    shutil.copytree(run, other)
    kept = check_config(CONFIG | {"seed": seed, "pathvars": {"results": str(other)}})
    (other / "config.yaml").write_text(yaml.safe_dump(kept.model_dump(mode="json")))
    found = pd.read_csv(run / "differences.csv")
    found.assign(difference=found["difference"] + 0.1 * (seed - 1)).to_csv(other / "differences.csv", index=False)
    return str(other)


@pytest.mark.parametrize("others", [1, 2])
def test_differences_in_runs_with_other_seeds_are_shown_with_their_spread(tmp_path, others):
    run = write_run(tmp_path / "run", CONFIG)
    folders = [with_other_seed(run, tmp_path / f"seed{seed}", seed) for seed in range(2, 2 + others)]
    section = section_of(report(run, CONFIG | {"report": {"compare": folders}}), "rounds")
    table = section[section.index("With other seeds") :]
    assert re.findall(r"<th>(run|seed\d)</th>", table) == ["run", "seed2", "seed3"][: 1 + others]
    own = pd.read_csv(run / "differences.csv").query("labels == 'true_test' and role == 'first'")
    here = own.set_index("jigsaw")["difference"]["published"]
    values = here + 0.1 * np.arange(1 + others)
    row = re.findall("<tr[^>]*><th><code>final</code> − <code>stage1</code></th>(.*?)</tr>", table)[1]
    shown = [f"{value:+.4f}".replace("-", "−") for value in (*values, values.mean())]
    cells = re.findall("<td>(.*?)</td>", row)
    assert cells[: others + 3] == [*shown, f"{np.std(values, ddof=1):.4f}"]
    assert len(cells) == others + 3 + (others == 2)
    assert ("An interval over seeds needs at least three runs." in section) == (others == 1)
    if others == 2:
        _, low, high = differences.interval(values)
        assert cells[-1] == f"{low:+.4f} to {high:+.4f}".replace("-", "−")


def test_runs_that_differ_in_more_than_seeds_do_not_tell_the_chance_of_seeds(tmp_path):
    run = write_run(tmp_path / "run", CONFIG)
    page, _ = compared(run, tmp_path / "other", CONFIG, CONFIG | {"seed": 2, "folds": {"count": 2, "by": "mosaic"}})
    assert "With other seeds" not in page


def test_the_quality_of_pseudo_labels_is_shown_by_confidence_and_mask(run, page):
    quality = pd.read_csv(run / "pseudo_label_scores.csv").query("set == 'sure'")
    tables = dict(re.findall(r"Quality of <code>(\w+)</code>.*?<tbody>(.*?)</tbody>", page, re.DOTALL))
    assert set(tables) == {"sure", "by_size"}
    rows = re.findall(r"<tr[^>]*><th>(.*?)</th>(.*?)</tr>", tables["sure"])
    every = quality[quality["predicted"] == "all"].sort_values("low")
    assert [name for name, _ in rows] == [f"{row.low:g} to {row.high:g}" for row in every.itertuples()] + ["any"]
    for (_, cells), row in zip(rows, every.itertuples(), strict=False):
        selected = "–" if np.isnan(row.selected_score) else f"{row.selected_score:.4f}"
        assert cells.endswith(
            f"<td>{row.score:.4f}<small>{row.tiles}</small></td><td>{selected}<small>{row.selected}</small></td>"
        )
    mean = np.average(every["score"], weights=every["tiles"])
    assert f"<td>{mean:.4f}<small>18</small></td>" in rows[-1][1]


def test_without_known_masks_pseudo_labels_have_no_quality(bare_page):
    assert "Quality of" not in bare_page


@pytest.fixture
def traced(tmp_path, monkeypatch):
    """A run whose results were all computed by one commit, and a function that recomputes some of them by another."""
    run = write_run(tmp_path / "traced", NO_ROUNDS)
    results = provenance.results(check_config(NO_ROUNDS | {"pathvars": {"results": "x"}}), Run(run))

    def make(commit, *stages, changed=False, device="CPU"):
        monkeypatch.setattr(provenance, "origin", lambda: {"commit": commit, "changed": changed})
        for output in (output for stage in stages for output in results[stage]):
            provenance.write(output, None, {}, device=device)

    make("a" * 40, *results)
    return run, make


def origins(page):
    """The rows of the table of commits, as text."""
    table = page[page.index('<section id="provenance">') :]
    rows = re.findall("<tr><th>(.*?)</th><td[^>]*>(.*?)</td><td>(.*?)</td></tr>", table)
    return {re.sub("<[^>]*>", "", commit): (stages, devices) for commit, stages, devices in rows}


def test_results_of_one_commit_are_listed_with_their_packages_and_no_warning(traced):
    page = report(traced[0], NO_ROUNDS)
    assert list(origins(page)) == ["a" * 10]
    assert "train_fold (2), predict_fold (2), blend (2), score" in origins(page)["a" * 10][0]
    assert f"numpy {np.__version__}" in page
    assert "from the seed 1 with python 3" in page
    assert 'class="warning"' not in page


def test_results_of_different_code_are_warned_of_with_their_stages(traced):
    run, make = traced
    make("b" * 40, "train_fold", device="H200, bf16")
    provenance.path_of(run / "scores.csv").unlink()  # made by code that left no such file
    page = report(run, NO_ROUNDS)
    assert "The results on this page come from different versions of the code." in page
    assert set(origins(page)) == {"a" * 10, "b" * 10, "unknown"}
    assert origins(page)["b" * 10] == ("train_fold (2)", "H200, bf16")
    assert origins(page)["unknown"] == ("score", "–")


def test_results_of_changed_code_are_warned_of(traced):
    run, make = traced
    make("a" * 40, "blend", changed=True)
    page = report(run, NO_ROUNDS)
    assert "Some results come from uncommitted code." in page
    assert origins(page)["aaaaaaaaaa, changed"] == ("blend (2)", "CPU")


def test_results_that_nothing_is_known_of_say_so_without_a_warning(page):
    assert list(origins(page)) == ["unknown"]
    assert "The commit is unknown for results computed outside a git checkout" in page
    assert 'class="warning"' not in page


@pytest.fixture(scope="module")
def phone():
    """A browser with a phone's screen, 360 px wide."""
    if not (CHROMIUM.exists() and DRIVER.exists()):
        pytest.skip("needs Debian's chromium and chromium-driver")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    switches = "headless no-sandbox disable-gpu no-first-run disable-background-networking"
    for switch in f"{switches} disable-component-update disable-sync".split():
        options.add_argument(f"--{switch}")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options.add_argument(f"--user-data-dir={profile}")
        browser = webdriver.Chrome(options, Service(str(DRIVER)))
        screen = {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        yield browser
        browser.quit()


@pytest.mark.parametrize("name", NAMES)
def test_a_browser_shows_every_picture_and_on_a_phone_nothing_sticks_out(run, pages, phone, name):
    phone.get((run / name).as_uri())
    sizes = phone.execute_async_script(DECODE)
    assert len(sizes) == pages[name].count("<image ")
    assert all(side > 0 for side in sizes)
    assert phone.execute_script("return document.documentElement.scrollWidth") <= 360
    assert phone.get_log("browser") == []


def test_a_click_on_a_mosaics_name_enlarges_it_and_its_tiles_lie_where_they_are_pictured(run, pages, phone):
    phone.get((run / "mosaics.html").as_uri())
    assert pages["mosaics.html"].count("<rect ") == 6
    small, first = phone.execute_script(PICTURE)
    assert first == pytest.approx(small / 2)  # two columns
    link = phone.find_element("css selector", "#mosaic-0 figcaption a")
    phone.execute_script("arguments[0].scrollIntoView({behavior: 'instant', block: 'center'})", link)  # not smoothly
    link.click()
    large, first = phone.execute_script(PICTURE)
    assert large > 1.5 * small
    assert first == pytest.approx(large / 2)
    assert phone.execute_script("return document.documentElement.scrollWidth") <= 360


PICTURE = """
const picture = document.querySelector("#mosaic-0 .picture");
return [picture, picture.querySelector("rect")].map(element => element.getBoundingClientRect().width);
"""
DECODE = """
const done = arguments[0];
Promise.all([...document.querySelectorAll("image, img")].map(async element => {
  const image = new Image();
  image.src = element.getAttribute("href") || element.src;
  try { await image.decode(); } catch { return 0; }
  return image.naturalWidth;
})).then(done);
"""
