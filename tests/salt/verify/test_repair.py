import copy
import os
from pathlib import Path

import pytest
import yaml

from salt.runtime import provenance
from salt.runtime.paths import Run
from salt.verify import repair
from salt.verify.comparison import by_digest
from schemas.errors import UserError
from schemas.reading import check_config

WINNING = yaml.safe_load(Path("workflow_config.yaml").read_text())
OLD = 1_000_000_000 * 10**9  # a time, ns since 1970


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path / "run")


@pytest.fixture
def config(run):
    return check_config(copy.deepcopy(WINNING) | {"pathvars": {"results": str(run.folder)}})


def write(run, content="1", **more):
    """A fold's training, as its program and Snakemake leave it."""
    fold = run.fold("stage1_resnet34", 0)
    fold.snapshots.mkdir(parents=True, exist_ok=True)
    for path in (fold.snapshots / "a.safetensors", fold.snapshots_table, fold.history):
        path.write_text(content)
    (fold.snapshots / ".snakemake_timestamp").touch()
    provenance.write([fold.snapshots, fold.snapshots_table, fold.history], None, {}, **more)
    return fold


def times(fold):
    stamps = (fold.snapshots / ".snakemake_timestamp", fold.snapshots / "a.safetensors", fold.history)
    return {path.stat().st_mtime_ns for path in stamps}


def damaged(config, run):
    """The fold of a training of long ago whose weights were damaged since, after a repair removed its files."""
    fold = write(run)
    record = provenance.path_of(fold.snapshots)
    os.utime(record, ns=(OLD, OLD))
    (fold.snapshots / "a.safetensors").write_text("2")
    removed, left = repair.remove(config, run, by_digest(config, run).faults)
    assert {*removed} == {fold.snapshots / "a.safetensors", fold.snapshots_table, fold.history}
    assert left == []
    return fold


def test_all_outputs_of_the_job_are_removed_and_one_of_them_is_what_the_run_makes_first(config, run):
    fold = damaged(config, run)
    assert not fold.snapshots.exists()
    assert repair.targets(config, run) == [fold.history]
    assert repair.settle(config, run) == []
    assert run.repairs.exists()  # nothing is back yet


def test_what_comes_back_with_the_same_bytes_gets_its_old_time_so_that_nothing_follows(config, run):
    damaged(config, run)
    fold = write(run, device="another")
    assert repair.targets(config, run) == []
    assert repair.settle(config, run) == []
    assert times(fold) == {OLD}
    assert not run.repairs.exists()


def test_what_comes_back_with_other_bytes_keeps_its_new_time(config, run):
    damaged(config, run)
    fold = write(run, "3")
    assert repair.settle(config, run) == ["models/stage1_resnet34/fold0/history.csv"]
    assert OLD not in times(fold)
    assert not run.repairs.exists()


def test_two_repairs_in_a_row_keep_what_was_written_first(config, run):
    fold = damaged(config, run)
    repair.remove(config, run, by_digest(config, run).faults)
    assert repair.targets(config, run) == [fold.history]
    write(run)
    assert repair.settle(config, run) == []
    assert times(fold) == {OLD}


def test_results_that_no_job_of_the_config_makes_stay(config, run):
    fold = run.fold("a_model_of_yesterday", 0)
    fold.folder.mkdir(parents=True)
    for path in (fold.history, fold.snapshots_table):
        path.write_text("1")
    provenance.write([fold.history, fold.snapshots_table], None, {})
    fold.history.write_text("2")
    removed, left = repair.remove(config, run, by_digest(config, run).faults)
    assert removed == []
    assert [fault.path for fault in left] == [fold.history]
    assert fold.history.exists()
    assert repair.targets(config, run) == []


def test_a_damaged_prediction_of_other_images_is_removed_whole_and_made_by_its_own_command(config, run):
    prediction = run.prediction("lines")
    prediction.masks.mkdir(parents=True)
    for path in (prediction.masks / "a.png", prediction.table):
        path.write_text("1")
    provenance.write([prediction.masks, prediction.table], None, {})
    (prediction.masks / "a.png").unlink()
    removed, left = repair.remove(config, run, by_digest(config, run).faults)
    assert (removed, left) == ([prediction.table], [])
    assert repair.targets(config, run) == []


def test_a_prediction_of_other_images_repairs_nothing(config, run):
    damaged(config, run)
    assert repair.targets(config.model_copy(update={"predict": "lines"}), run) == []


def test_a_damaged_list_of_removed_files_is_a_users_error(config, run):
    run.folder.mkdir()
    run.repairs.write_text("[{}]")
    with pytest.raises(UserError, match=r"repairs.json: expected the list .* Delete it, and verify the run again"):
        repair.targets(config, run)
