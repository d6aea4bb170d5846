import copy
import errno
from pathlib import Path

import pytest
import yaml

from salt.workflow import run_hooks
from salt.workflow.run_hooks import ADVICE_AFTER_FAILURE, save_config, summary
from schemas.reading import check_config

WINNING = yaml.safe_load(Path("workflow_config.yaml").read_text())


@pytest.fixture
def raw():
    return copy.deepcopy(WINNING)


@pytest.fixture
def predicting(raw, tmp_path):
    """The winning recipe about to predict other images."""
    (tmp_path / "lines").mkdir()
    raw["pathvars"]["results"] = str(tmp_path)
    return raw | {"predict": str(tmp_path / "lines")}


def test_a_prediction_ends_with_how_many_images_there_are_and_where(predicting, tmp_path):
    folder = tmp_path / "predictions" / "lines"
    folder.mkdir(parents=True)
    assert summary(check_config(predicting)) == ""
    (folder / "masks.csv").write_text("id,rle_mask\na,1 1\nb,\n")
    words = summary(check_config(predicting))
    assert words.startswith("2 images are predicted")
    for name in ("masks", "probabilities", "masks.csv"):
        assert f"{folder}/{name}" in words.split()


def test_a_part_of_the_workflow_ends_without_a_summary(raw, tmp_path):
    raw["pathvars"]["results"] = str(tmp_path)
    assert summary(check_config(raw)) == ""
    (tmp_path / "scores.csv").write_text("name,tta\nan_older_model,True\n")
    assert summary(check_config(raw)) == ""


def test_after_a_failure_the_advice_mentions_memory_and_repeating_the_command():
    words = ADVICE_AFTER_FAILURE
    assert "\n" not in words
    for word in ("The same command continues", "signal 9", "137", "memory", "--cores"):
        assert word in words


@pytest.mark.parametrize(("chosen", "last"), [("none", 1), ("published", 1), ("extended", 2)])
def test_the_summary_shows_all_scores_and_where_the_results_are(raw, tmp_path, chosen, last):
    raw["pathvars"]["results"] = str(tmp_path)
    rule = [] if chosen == "none" else [{"name": "jigsaw", "rule": chosen}]
    raw["submission"]["postprocess"] = [{"name": "threshold", "above": 0.5}, *rule]
    config = check_config(raw)
    rows = ["name,labels,tta,jigsaw,score,sd_folds,tiles"]
    rows += [
        f"{name},{labels},{tta},{jigsaw},0.{number:02d}{tta:d}{digit},0.01,100"
        for number, name in enumerate([*config.models, *config.ensembles])
        for labels in ("out_of_fold", "true_test", "hidden")
        for tta in (False, True)
        for digit, jigsaw in enumerate(("none", "published", "extended"))
    ]
    (tmp_path / "scores.csv").write_text("\n".join(rows))
    words = summary(config).splitlines()
    assert words[0].split() == [
        "out",
        "of",
        "fold",
        "+",
        "jigsaw",
        "true",
        "test",
        "+",
        "jigsaw",
        "hidden",
        "+",
        "jigsaw",
    ]
    assert words[1].split() == ["stage1_resnext50", *["0.0010", f"0.001{last}"] * 3]
    assert words[-1].split() == ["report", f"{tmp_path}/report.html"]


def test_below_the_scores_the_summary_says_whether_the_rounds_paid(raw, tmp_path):
    raw["pathvars"]["results"] = str(tmp_path)
    config = check_config(raw)
    rows = [
        f"{name},out_of_fold,True,{jigsaw},0.5,0.01,100"
        for name in [*config.models, *config.ensembles]
        for jigsaw in ("none", "published", "extended")
    ]
    (tmp_path / "scores.csv").write_text("\n".join(["name,labels,tta,jigsaw,score,sd_folds,tiles", *rows]))
    differences = [
        "labels,jigsaw,name,than,role,difference,low,high,tiles",
        "out_of_fold,none,final,stage1,first,0.9,0.9,0.9,100",  # without the submission's jigsaw rule
        "out_of_fold,published,final,stage2,before,0.01,-0.01,0.03,100",
        "out_of_fold,published,final,stage1,first,0.02,0.01,0.03,100",
    ]
    (tmp_path / "differences.csv").write_text("\n".join(differences))
    table, differences, paths = summary(config).split("\n\n")
    assert table.splitlines()[-1].startswith("final ")
    head, before, first, answer = differences.splitlines()
    assert head == "differences of 100 labelled tiles, out of fold, with 95 % intervals:"
    assert before.endswith("+0.0100 (−0.0100 to 0.0300)  no difference beyond chance")
    assert first.endswith("+0.0200 (0.0100 to 0.0300)  better")
    assert answer.startswith("final is better than stage1 by 0.0200 (0.0100 to 0.0300), over 100 labelled tiles")
    assert paths.startswith("submission ")


def test_the_config_that_is_kept_beside_the_results_is_the_whole_one(raw, tmp_path):
    raw["pathvars"] = {"results": str(tmp_path)}
    config = check_config(raw)
    save_config(config)
    kept = yaml.safe_load((tmp_path / "config.yaml").read_text())
    assert kept["compute"]["predict_batch"] == 64  # filled in
    assert check_config(kept) == config


def test_a_config_that_cannot_be_kept_ends_the_run_with_one_paragraph(raw, monkeypatch):
    def full(path):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(run_hooks, "atomic_path", full)
    with pytest.raises(SystemExit, match="config.yaml could not be written: the disk is full. Free some space"):
        save_config(check_config(raw))
