import json

import numpy as np
import pytest

from salt.report import costs, rendering
from salt.runtime import provenance
from salt.runtime.paths import Run
from salt.runtime.timings import Timing
from schemas.reading import check_config
from tests.stages.test_write_report import NO_ROUNDS

HEAD = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"
CONFIG = check_config(NO_ROUNDS | {"pathvars": {"results": "x"}})


def measure(run, seconds, memory, *job):
    path = run.benchmark(*job)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{HEAD}{seconds}\t0:00:01\t99999\t1\t1\t{memory}\t1\t1\t1\t1\n")


def found(run):
    return costs.about(CONFIG, run)["costs"]


def test_jobs_are_added_up_by_rule_in_the_order_of_the_workflow(tmp_path):
    run = Run(tmp_path)
    measure(run, 7, 10, "write_submission")
    measure(run, 100, 2000, "train_fold", "first_fold0")
    measure(run, 300, 1000, "train_fold", "first_fold1")
    measure(run, 0.1, "-", "make_folds")
    assert list(found(run)) == ["make_folds", "train_fold", "write_submission"]
    train = found(run)["train_fold"]
    assert (train["jobs"], train["seconds"], train["longest"]) == (2, 400, 300)
    assert train["memory"] == pytest.approx(2.097152)  # of 2000 MiB
    assert np.isnan(found(run)["make_folds"]["memory"])


def test_a_training_that_was_interrupted_counts_with_all_of_its_parts(tmp_path):
    run = Run(tmp_path)
    for job in (
        ("train_fold", "first_fold0"),
        ("pretrain", "first_pretrain_all_folds"),
        ("predict_fold", "first_fold0"),
    ):
        measure(run, 100, 10, *job)
    for training in (run.fold("first", 0), run.pretraining("first", "all_folds")):
        Timing("{}", (64, 64), 10, 5000.0, 10, "CPU").write(training.timing)
    assert {rule: of["seconds"] for rule, of in found(run).items()} == {
        "pretrain": 5000,
        "train_fold": 5000,
        "predict_fold": 100,
    }


def test_devices_are_those_of_the_provenance(tmp_path):
    run = Run(tmp_path)
    measure(run, 100, 10, "train_fold", "first_fold0")
    path = provenance.path_of(run.fold("first", 0).snapshots)
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"device": "NVIDIA H200, bf16"}))
    assert found(run)["train_fold"]["devices"] == ["NVIDIA H200, bf16"]


def test_a_run_that_measured_nothing_has_no_costs_and_half_a_file_counts_as_none(tmp_path):
    run = Run(tmp_path)
    assert found(run) is None
    for text in ("", HEAD, "what\n1\n"):
        run.benchmarks.mkdir(exist_ok=True)
        (run.benchmarks / "score.tsv").write_text(text)
        assert found(run) is None


def test_durations_in_words():
    words = [rendering.duration(seconds).replace("\N{NO-BREAK SPACE}", " ") for seconds in (0.04, 9.96, 59, 90, 9000)]
    assert words == ["0.0 s", "10 s", "59 s", "1.5 min", "2.5 h"]
