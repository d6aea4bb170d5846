import os
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml

from salt.report import so_far
from salt.runtime.paths import Run
from salt.training.checkpoints import Checkpoints
from schemas.errors import UserError
from schemas.reading import check_config
from tests.stages.test_write_report import HONEST, write_run

CONFIG = check_config(HONEST | {"pathvars": {"results": "x"}})


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The results of a run."""
    run = Run(write_run(tmp_path_factory.mktemp("runs") / "going", HONEST))
    run.config.write_text(yaml.safe_dump(CONFIG.model_dump(mode="json")))
    return run


@pytest.fixture
def run(whole, tmp_path):
    """A copy of the run, to take files from."""
    return Run(Path(shutil.copytree(whole.folder, tmp_path / "going")))


def page(run):
    so_far.main(["--run", str(run.folder)])
    return run.report_so_far.read_text()


def files(run):
    return {path: path.stat().st_mtime_ns for path in run.folder.rglob("*") if path != run.report_so_far}


def absent(page):
    """What the page says is not there."""
    found = re.search(r"<b>Not there yet:</b> (.*?)\.</p>", page)
    return found[1].split("; ") if found else []


def jobs(page, rule):
    done, total = re.search(rf"<th><code>{rule}</code></th><td>(\d+)</td><td>(\d+)</td>", page).groups()
    return int(done), int(total)


SECTIONS = ["so-far", "rounds", "scores", "training", "augmentation", "thresholds", "masks", "pseudo-labels", "mosaics"]


def test_at_the_end_of_a_run_everything_is_there_and_nothing_else_was_touched(run):
    before = files(run)
    text = page(run)
    assert absent(text) == []
    assert "Older than what they are made from" not in text
    assert jobs(text, "train_fold") == (0, 6)  # the run of these tests has no snapshots
    assert re.findall('<section id="(.*?)"', text) == [*SECTIONS, "data", "methods", "provenance"]
    assert files(run) == before
    assert not list(run.folder.glob(".*"))


STEPS = ["tiles", "models", "pseudo_labels", "ensembles", "postprocess"]  # as the run makes them
FILES = {"tiles": ["folds.csv", "mosaics.csv", "duplicates.csv"], "ensembles": ["scores.csv", "tile_scores.csv"]}


@pytest.mark.parametrize("steps", range(len(STEPS)))
def test_whenever_a_run_is_looked_at_there_is_a_page_that_says_what_is_missing(run, steps):
    for step in STEPS[steps:]:
        shutil.rmtree(run.folder / step)
        for name in FILES.get(step, []):
            (run.folder / name).unlink()
    text = page(run)
    missing = ["the tiles and their folds, with the methods", "curves of trainings", "scores of models and ensembles"]
    missing = [*missing, "final masks and mosaics", "all or some sets of pseudo-labels"]
    made = {0: [], 1: [0], 2: [0, 1], 3: [0, 1, 4], 4: [0, 1, 2, 4]}[steps]
    found = [name.removesuffix(", with their differences") for name in absent(text)]
    assert found == [name for number, name in enumerate(missing) if number not in made]
    assert "had not finished" in text


def test_one_missing_file_takes_only_what_it_is_needed_for(run):
    run.duplicates.unlink()
    text = page(run)
    assert absent(text) == ["the tiles and their folds, with the methods"]
    assert '<section id="scores">' in text


def test_an_unfinished_training_is_shown_from_its_newest_checkpoint(run):
    run.scores.unlink()
    run.masks.unlink()
    fold = run.fold("first", 1)
    rows = pd.read_csv(fold.history).astype({"score": float})
    fold.history.unlink()
    with Checkpoints(fold.checkpoints, "mine") as checkpoints:
        for length in (1, len(rows) - 1):
            checkpoints.save({"history": rows[:length].to_dict("records"), "phase": 1, "seconds": 5}, {"none": {}})
    text = page(run)
    assert "Trainings that have begun and are not done" in text
    last = rows.iloc[-2]
    words = f"phase {last['phase']:.0f} of 2, epoch {last['epoch']:.0f} of at most 4"
    assert f"<td>fold 1</td><td>{words}</td><td>{rows['score'][:-1].max():.4f}</td>" in text
    assert so_far.read(fold)[0]["score"].tolist() == rows["score"][:-1].tolist()


def test_scores_of_finished_folds_stand_in_for_scores_of_stages(run):
    run.scores.unlink()
    run.masks.unlink()
    run.fold("second", 1).history.unlink()
    text = page(run)
    best = [pd.read_csv(run.fold("first", fold).history)["score"].max() for fold in (0, 1)]
    row = f"<td>2 of 2</td><td>{sum(best) / 2:.4f}</td><td>{best[0]:.4f}, {best[1]:.4f}</td>"
    assert row in text
    assert "<th><code>second</code></th><td>2</td><td>1 of 2</td>" in text


def test_what_is_of_another_config_or_older_than_its_inputs_is_not_taken_for_true(run):
    table = pd.read_csv(run.scores)
    table[table["name"] != "third"].to_csv(run.scores, index=False)
    newer = run.scores.stat().st_mtime + 100
    os.utime(run.ensemble("first").test, (newer, newer))
    run.pseudo_labels("sure", "fold0").masks.touch()
    run.fold("third", 0).snapshots_table.touch()
    text = page(run)
    assert absent(text) == ["scores of models and ensembles, with their differences"]
    assert "<b>Older than what they are made from:</b> scores.csv, masks.npy." in text
    assert jobs(text, "train_fold") == (1, 6)


def test_a_run_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(UserError, match=r"Expected .*/none/config.yaml, which a run writes as it starts.*make report"):
        so_far.main(["--run", str(tmp_path / "none")])
