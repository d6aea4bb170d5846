"""A rehearsal: what is in the hidden masks reaches scores, and nothing else."""

import hashlib
import importlib
import re
import shlex
from graphlib import TopologicalSorter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from salt.data import hidden_labels
from salt.data.records import open_records
from salt.data.tiles import load_table
from salt.runtime.paths import Run
from schemas.data import HideLabels
from tests.own_images import encoded, write
from tests.workflow.conftest import JOB, REPOSITORY, copy_of_the_repository, field_of, snakemake

SCORING = {"score", "score_pseudo_labels"}  # rules that may read the hidden masks
SHOWING = {"write_report"}  # rules that may read their outputs
SIDE = 32
LABELLED = [f"line{number:02}" for number in range(16)]
HIDE = HideLabels(share=0.3, seed=4)
OVERLAY = {
    "pathvars": {"results": "results/rehearsal"},
    "data": {"layout": "folders", "root": "data", "hide_labels": HIDE.model_dump()},
    "controls": True,
}


def parts(block, name):
    return set(field_of(block, name).split(", ")) - {""}


@pytest.fixture(scope="module")
def dry_run(tmp_path_factory):
    """What Snakemake would do in a rehearsal of two rounds: each job with its command."""
    folder = copy_of_the_repository(tmp_path_factory.mktemp("repository"))
    write_images(folder / "data", poison=None)
    (folder / "rehearsal.yaml").write_text(yaml.safe_dump(OVERLAY))
    recipes = [str(REPOSITORY / "tests" / "workflow" / "own_data.yaml"), "rehearsal.yaml"]
    done = snakemake(folder, "-n", "-p", "--configfile", *recipes)
    assert done.returncode == 0, done.stdout
    return done.stdout


def write_images(root, poison):
    """Labelled and unlabelled images of noise, salt bright and to the right; poison: changes the hidden masks."""
    rng, hidden, files = np.random.default_rng(1), hidden_labels.choose(LABELLED, HIDE), {}
    for name in (*LABELLED, *(f"more{number}" for number in range(6))):
        mask = np.arange(SIDE) >= rng.integers(4, 28, (SIDE, 1))
        image = (rng.integers(0, 120, (SIDE, SIDE)) + 100 * mask).astype(np.uint8)
        files[f"{'train' if name in LABELLED else 'test'}/images/{name}.png"] = encoded(image, ".png")
        if name in LABELLED:
            mask = poison(mask) if poison and name in hidden else mask
            files[f"train/masks/{name}.png"] = encoded(mask * np.uint8(255), ".png")
    write(root, files)


def test_only_rules_that_score_read_hidden_masks_and_no_rule_learns_from_scores(dry_run):
    jobs = re.findall(JOB, dry_run)
    hidden = str(Run(Path("results/rehearsal")).hidden_masks)
    assert {rule for rule, block in jobs if hidden in parts(block, "output")} == {"prepare_tiles"}
    assert {rule for rule, block in jobs if hidden in parts(block, "input")} == SCORING
    scores = {path for rule, block in jobs if rule in SCORING for path in parts(block, "output")}
    assert {rule for rule, block in jobs if scores & parts(block, "input")} <= {*SCORING, *SHOWING, "all"}
    shown = {path for rule, block in jobs if rule in SHOWING for path in parts(block, "output")}
    assert {rule for rule, block in jobs if shown & parts(block, "input")} == {"all"}


def test_no_command_but_those_that_hide_and_score_names_hidden_masks(dry_run):
    name = Run(Path("results/rehearsal")).hidden_masks.name
    assert {program for program, text in commands(dry_run) if name in text} == {"prepare_tiles", *SCORING}


COMMAND = re.compile(r"^Shell command: .* -m stages\.(\w+) (.*) 3>&2 > ", re.MULTILINE)


def commands(text):
    """The programs of the jobs and their options, each after those whose outputs it reads."""
    blocks = [block for rule, block in re.findall(JOB, text) if rule != "all"]
    found = dict(enumerate(re.findall(COMMAND, text)))
    assert len(found) == len(blocks)
    maker = {path: number for number, block in enumerate(blocks) for path in parts(block, "output")}
    needs = {
        number: {maker[path] for path in parts(block, "input") if path in maker} for number, block in enumerate(blocks)
    }
    return [found[number] for number in TopologicalSorter(needs).static_order()]


def run_all(folder, text, poison, monkeypatch):
    """Run all programs of a dry run in this process, in a folder with its own images; return the run."""
    monkeypatch.chdir(folder)
    write_images(Path("data"), poison)
    for program, options in commands(text):
        importlib.import_module(f"stages.{program}").main(shlex.split(options))
    return Run(Path("results/rehearsal"))


def digests(run):
    """SHA-256 of all files but records and curves with times, and digests of the data, by path below the results."""
    return {
        str(path.relative_to(run.folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in run.folder.rglob("*")
        if path.is_file()
        and not path.name.endswith(".provenance.json")
        and not path.is_relative_to(run.timings)
        and "tfevents" not in path.name
    }


POISONS = {"inverted": np.logical_not, "emptied": np.zeros_like}


@pytest.mark.slow
def test_what_the_hidden_masks_hold_changes_scores_of_them_and_nothing_else(dry_run, tmp_path, monkeypatch):
    found, scores, curves = {}, {}, {}
    for name, poison in {"true": None, **POISONS}.items():
        (tmp_path / name).mkdir()
        run = run_all(tmp_path / name, dry_run, poison, monkeypatch)
        found[name] = digests(run)
        scores[name], curves[name] = pd.read_csv(run.scores), pd.read_csv(run.threshold_curve)
    must_be_kept_apart(run)
    for name in POISONS:
        assert found[name].keys() == found["true"].keys()
        changed = {Path(path) for path, digest in found[name].items() if digest != found["true"][path]}
        certain = {
            run.hidden_masks,
            run.scores,
            run.threshold_curve,
            run.tile_scores,
            run.pseudo_label_scores,
            run.report,
        }
        possible = {run.differences}  # of few tiles, they may be the same by chance
        allowed = [{path.relative_to(run.folder) for path in files} for files in (certain, certain | possible)]
        assert allowed[0] <= changed <= allowed[1]
        for tables in (scores, curves):
            other, true = (tables[each].query("labels != 'hidden'") for each in (name, "true"))
            pd.testing.assert_frame_equal(other, true)
            assert not tables[name].equals(tables["true"])


def must_be_kept_apart(run):
    """Hidden tiles are test tiles in every table and array: predicted and pseudo-labelled, never learned from."""
    hidden, tiles = hidden_labels.choose(LABELLED, HIDE), load_table(run.tiles.folder)
    assert len(hidden) == 5
    assert hidden <= set(tiles.loc[tiles["split"] == "test", "id"])
    train = set(tiles.loc[tiles["split"] == "train", "id"])
    assert train == set(LABELLED) - hidden
    assert set(pd.read_csv(run.folds)["id"]) == train
    for name in ("first", "second", "final"):
        assert set(open_records(run.ensemble(name).out_of_fold)["id"]) == train
        assert hidden < set(open_records(run.ensemble(name).test)["id"])
    labels = pd.read_csv(run.pseudo_labels("all", "all_folds").table)
    assert hidden < set(labels.loc[labels["selected"], "id"])
    assert hidden < set(pd.read_csv(run.submission)["id"])
    assert set(open_records(run.hidden_masks)["id"]) == hidden
    scored = pd.read_csv(run.scores).groupby("labels")["tiles"].unique().map(list).to_dict()
    assert scored == {"hidden": [5], "out_of_fold": [11]}
