import copy
import io
import math
import os
from pathlib import Path

import pytest
import yaml

from salt.runtime import timings
from salt.runtime.makespan import Limits
from salt.runtime.paths import Run
from salt.runtime.timings import Timing
from salt.workflow import watch
from salt.workflow.snakemake_adapter import Job
from salt.workflow.watch import Watch
from schemas.reading import check_config

RAW = yaml.safe_load(Path("workflow_config.yaml").read_text())
STAMP = "2026-11-21 23:40:01,123"


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """A clock that stands still, and a terminal of a known size."""
    now = [1000.0]
    monkeypatch.setattr(watch.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(watch.shutil, "get_terminal_size", lambda: os.terminal_size((60, 5)))
    monkeypatch.setenv("TERM", "xterm")
    return now


@pytest.fixture
def config(tmp_path):
    raw = copy.deepcopy(RAW)
    raw["pathvars"]["results"] = f"{tmp_path}/results/run"
    raw["data"]["root"] = str(tmp_path)
    return check_config(raw)


@pytest.fixture
def jobs(tmp_path):
    """Two trainings on a GPU, and a blend of them."""
    folds = [
        Job(
            "train_fold",
            {"model": "stage1_resnet34", "fold": str(fold)},
            number=fold + 1,
            gpus=1,
            log=tmp_path / f"stage1_fold{fold}.log",
        )
        for fold in (0, 1)
    ]
    return [*folds, Job("blend", {"name": "s"}, number=3, after=frozenset({1, 2}), log=tmp_path / "s.log")]


def watching(out, jobs, config, gpus=1):
    found = Watch(out)
    found.expect(jobs, config, Limits(8, gpus))
    return found


def test_without_a_terminal_each_line_of_a_log_is_a_line_with_its_job_and_gpu(jobs, config, clock):
    out = io.StringIO()
    seen = watching(out, jobs, config)
    seen.started(1)
    with jobs[0].log.open("w") as log:
        log.write(f"python -m stages.train_fold\n{STAMP} runs on GPU 3 (NVIDIA H200), GPU-1a2b\n{STAMP} epoch 1/2")
        log.flush()
        seen.look()
        log.write(" | 7 images/s\nTraceback\n")
    seen.look()
    seen.look()
    clock[0] += 61
    seen.finished(1)
    assert out.getvalue().splitlines() == [
        "GPU 3 | train_fold stage1_fold0 | runs on GPU 3 (NVIDIA H200), GPU-1a2b",
        "GPU 3 | train_fold stage1_fold0 | epoch 1/2 | 7 images/s",
        "GPU 3 | train_fold stage1_fold0 | done in 01:01 | 1 of 3 jobs done, 0 running | time left "
        "unknown until a first training is done",
    ]


def test_the_log_of_an_earlier_attempt_is_not_shown(jobs, config):
    out = io.StringIO()
    jobs[0].log.write_text(f"{STAMP} old\n")
    os.utime(jobs[0].log, (1, 1))
    seen = watching(out, jobs, config)
    seen.started(1)
    seen.look()
    assert out.getvalue() == ""
    jobs[0].log.write_text(f"{STAMP} new\n")
    seen.look()
    assert out.getvalue() == "train_fold stage1_fold0 | new\n"


def screen_of(text):
    """The lines on a terminal after it got a text."""
    lines = [""]
    while text:
        if text.startswith("\x1b["):
            code, _, text = text[2:].partition("A\x1b[J")
            lines = [*lines[: len(lines) - 1 - int(code)], ""]
        else:
            if text[0] == "\n":
                lines.append("")
            else:
                lines[-1] += text[0]
            text = text[1:]
    return lines[:-1]


def test_on_a_terminal_the_last_line_of_each_job_is_drawn_again_below_what_is_done(jobs, config, clock):
    out = Terminal()
    seen = watching(out, jobs, config)
    for number, job in ((1, jobs[0]), (2, jobs[1])):
        seen.started(number)
        job.log.write_text(f"{STAMP} runs on GPU {2 - number} (H200), GPU-{number}\n{STAMP} warning: skipped\n")
        seen.look()
    with jobs[0].log.open("a") as log:
        log.write(f"{STAMP} epoch 1/2\n{STAMP} epoch 2/2 with a very long line | 1:12:10 left\n")
    seen.look()
    warnings = [f"GPU {2 - n} | train_fold stage1_fold{n - 1} | warning: skipped" for n in (1, 2)]
    assert screen_of(out.getvalue()) == [
        *warnings,
        "0 of 3 jobs done, 2 running | time left unkn…aining is done",
        "GPU 0 | train_fold stage1_fold1 | warning: skipped",
        "GPU 1 | train_fold stage1_fold0 | epoch 2/2 …| 1:12:10 left",
    ]
    seen.clear()
    assert screen_of(out.getvalue()) == warnings
    clock[0] += 5
    seen.finished(2)
    seen.failed(1)
    done = "GPU 0 | train_fold stage1_fold1 | done in 00:05 | warning: skipped"
    assert screen_of(out.getvalue()) == [*warnings, done]


def test_the_time_left_is_that_of_jobs_side_by_side(jobs, config, tmp_path, clock):
    for name, count in (("train.csv", 4000), ("sample_submission.csv", 100)):
        (tmp_path / name).write_text("id\n" + "a\n" * count)
    seen = watching(io.StringIO(), jobs, config, gpus=1)
    assert seen.seconds_left() is None
    kind = timings.kind(config.models["stage1_resnet34"].network)
    timing = Timing(kind, (256, 256), tiles=960_000, seconds=3600, weights=1, device="H200")
    run = Run.of(config)
    run.timings.mkdir(parents=True)
    timing.write(run.timings / "a.json")
    for gpus, seconds in ((1, 7200), (2, 3600)):
        seen = watching(io.StringIO(), jobs, config, gpus)
        assert math.isclose(seen.seconds_left(), seconds)
        seen.started(1)
        clock[0] += 600
        assert math.isclose(seen.seconds_left(), max(3600, seconds - 600))
    seen.finished(1)
    assert math.isclose(seen.seconds_left(), 3600)
    assert "1 of 3 jobs done, 0 running | time left at most about 60 min" in seen.status()


def test_a_terminal_that_is_gone_ends_nothing(jobs, config):
    class Gone(io.StringIO):
        def write(self, _):
            raise BrokenPipeError

    seen = watching(Gone(), jobs, config)
    seen.started(1)
    seen.finished(1)
    assert seen.done == {1}


def test_jobs_that_do_not_run_here_are_ignored(jobs, config):
    seen = watching(io.StringIO(), jobs, config)
    for tell in (seen.started, seen.finished, seen.failed):
        tell(99)
    assert not seen.running
    assert not seen.done
