import copy
import json
from pathlib import Path

import pytest
import yaml

from salt.report import comparison
from salt.report.comparison import Score
from salt.runtime import provenance
from salt.runtime.paths import Run
from salt.workflow.dag import Plan
from salt.workflow.run_hooks import save_config
from schemas.errors import UserError

WINNING = yaml.safe_load(Path("workflow_config.yaml").read_text())
HEADER = "name,labels,tta,jigsaw,score,sd_folds,tiles"


def finish(folder, scores, **changes):
    """Write the files of a finished run that comparisons read; changes: to sections of the winning recipe."""
    raw = copy.deepcopy(WINNING)
    for section, values in changes.items():
        raw[section] = raw.get(section, {}) | values if isinstance(values, dict) else values
    plan = Plan(raw | {"pathvars": {"results": str(folder)}})
    save_config(plan.config)
    rows = [f"{name},out_of_fold,True,none,{score},0.01,100" for name, score in scores.items()]
    rows += [
        f"{name},out_of_fold,{tta},{rule},0.9,,100" for name in scores for tta, rule in ((False, "none"), (True, "x"))
    ]
    rows += [f"{name},true_test,True,none,0.9,,100" for name in scores]
    (folder / "scores.csv").write_text("\n".join([HEADER, *rows]))
    for name in ("differences.csv", "report.html"):
        (folder / name).touch()
    provenance.write(folder / "report.html", plan.report_settings(), {})
    return plan.config


def test_out_of_fold_scores_of_what_both_runs_have_are_compared(tmp_path):
    here = finish(tmp_path / "here", {"stage1": 0.6, "mine": 0.4})
    finish(tmp_path / "there", {"theirs": 0.3, "stage1": 0.5})
    found = comparison.compare(here, Run(tmp_path / "here"), str(tmp_path / "there"))
    assert found.scores == {"stage1": (Score(0.6, 0.01), Score(0.5, 0.01))}


def test_settings_that_differ_are_listed_unless_no_score_depends_on_them(tmp_path):
    here = finish(tmp_path / "here", {}, compute={"device": "cpu"}, report={"compare": ["elsewhere"]})
    finish(tmp_path / "there", {}, seed=14, folds={"by": "mosaic"})
    found = comparison.compare(here, Run(tmp_path / "here"), str(tmp_path / "there"))
    assert found.changes == ["seed: 13 -> 14", 'folds.by: "depth" -> "mosaic"']
    assert not found.isolates_neighbours


def test_controls_change_no_score_of_others(tmp_path):
    here = finish(tmp_path / "here", {"final": 0.6})
    finish(tmp_path / "there", {"final": 0.6, "final_control": 0.5}, controls=True)
    found = comparison.compare(here, Run(tmp_path / "here"), str(tmp_path / "there"))
    assert (found.changes, list(found.scores)) == ([], ["final"])


@pytest.mark.parametrize(
    ("here", "there", "only_neighbours"),
    [
        ({"by": "depth"}, {"by": "mosaic"}, True),
        ({"by": "mosaic"}, {"by": "coverage"}, True),
        ({"by": "depth"}, {"by": "coverage"}, False),
        ({"by": "mosaic"}, {"by": "mosaic"}, False),
        ({"by": "depth", "count": 5}, {"by": "mosaic", "count": 4}, False),
    ],
)
def test_only_runs_that_differ_in_whether_folds_keep_mosaics_isolate_the_effect_of_neighbours(
    tmp_path, here, there, only_neighbours
):
    config = finish(tmp_path / "here", {}, folds=here)
    finish(tmp_path / "there", {}, folds=there)
    found = comparison.compare(config, Run(tmp_path / "here"), str(tmp_path / "there"))
    assert found.isolates_neighbours == only_neighbours


@pytest.mark.parametrize(
    ("changes", "only_seeds"),
    [
        ({"seed": 14}, True),
        ({"seed": 14, "survey": {"seed": 1}, "data": {"root": "data/elsewhere"}}, True),
        ({"seed": 14, "folds": {"count": 4}}, False),
        ({}, False),
        ({"data": {"root": "data/elsewhere"}}, False),  # the same survey
    ],
)
def test_only_runs_whose_seeds_alone_differ_show_the_chance_of_seeds(tmp_path, changes, only_seeds):
    survey = {"survey": {"seed": 0, "sections": 2}}
    config = finish(tmp_path / "here", {}, **survey)
    finish(tmp_path / "there", {}, **survey | changes | {"survey": survey["survey"] | changes.get("survey", {})})
    found = comparison.compare(config, Run(tmp_path / "here"), str(tmp_path / "there"))
    assert found.only_seeds == only_seeds


def test_other_data_are_no_other_seed(tmp_path):
    config = finish(tmp_path / "here", {})
    finish(tmp_path / "there", {}, seed=14, data={"root": "data/elsewhere"})
    assert not comparison.compare(config, Run(tmp_path / "here"), str(tmp_path / "there")).only_seeds


def test_the_files_of_finished_runs_are_read(tmp_path):
    folders = [str(tmp_path / name) for name in "ab"]
    for folder in folders:
        finish(Path(folder), {})
    names = ("config.yaml", "scores.csv", "differences.csv")
    assert comparison.inputs(folders) == [Path(folder, name) for folder in folders for name in names]


def must_fail(folder, found):
    with pytest.raises(UserError, match=f"finished run in {folder}, which report.compare names, found {found}"):
        comparison.inputs([str(folder)])


def test_a_run_that_is_missing_or_has_not_finished_is_reported(tmp_path):
    run = tmp_path / "run"
    must_fail(run, "no such folder")
    finish(run, {})
    (run / "report.html").unlink()
    must_fail(run, "no report.html there")
    (run / "scores.csv").unlink()
    must_fail(run, "no scores.csv and no report.html there")


def test_a_run_that_was_started_again_with_other_settings_is_reported(tmp_path):
    config = finish(tmp_path, {})
    config = config.model_copy(update={"seed": 14})
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config.model_dump(mode="json")))
    must_fail(tmp_path, "a report.html with other settings than config.yaml")


def test_a_run_of_another_version_is_reported(tmp_path):
    finish(tmp_path, {})
    text = (tmp_path / "config.yaml").read_text()
    (tmp_path / "config.yaml").write_text(text.replace("seed:", "sead:"))
    must_fail(tmp_path, "a config.yaml of another version")


def test_settings_of_the_report_are_equal_after_json_and_yaml(tmp_path):
    finish(tmp_path, {})
    kept = yaml.safe_load((tmp_path / "config.yaml").read_text())
    reported = json.loads(provenance.path_of(tmp_path / "report.html").read_text())["settings"]
    assert {key: kept[key] for key in reported} == reported
