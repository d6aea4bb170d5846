import io
import logging
import math
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from snakemake_interface_logger_plugins.common import LogEvent

from salt.runtime.makespan import Limits
from salt.workflow import snakemake_adapter
from salt.workflow.snakemake_adapter import Engine, executes, must_be_tested, size


@pytest.mark.parametrize("version", ["9.26.1", "9.28.0", "9.270.0", "10.27.1"])
def test_a_snakemake_that_was_not_tested_ends_the_program(version, monkeypatch):
    monkeypatch.setattr(snakemake_adapter.metadata, "version", lambda _: version)
    with pytest.raises(SystemExit, match=f"expected Snakemake 9.27, .* found {re.escape(version)}. Run `make env`"):
        Engine(SimpleNamespace())


def test_the_locked_snakemake_is_the_tested_one():
    must_be_tested(re.search(r"^snakemake==(\S+)", Path("requirements.lock").read_text(), re.MULTILINE)[1])


def workflow_of(*params):
    """A workflow with one pending job that has such parameters."""
    rule = SimpleNamespace(name="score", norun=False, params=params)
    job = SimpleNamespace(rule=rule, wildcards_dict={}, output=[], log=[], threads=1, resources={})
    causes = ("incomplete_output", "code_changed", "software_stack_changed", "forced", "updated_input", "input_changed")
    reason = SimpleNamespace(missing_output=True, **dict.fromkeys(causes, False))
    dag = SimpleNamespace(
        needrun_jobs=lambda exclude_finished: [job],
        reason=lambda _: reason,
        jobid=lambda _: 1,
        job_dependencies=lambda _: [],
    )
    unchanged = SimpleNamespace(params_changed=lambda _: None)
    return SimpleNamespace(rules=[rule], dag=dag, persistence=unchanged)


def test_a_rule_with_two_parameters_is_refused_since_snakemake_would_not_see_them_swapped():
    assert [job.rule for job in Engine(workflow_of("{}")).pending()] == ["score"]
    assert [job.rule for job in Engine(workflow_of()).pending()] == ["score"]
    with pytest.raises(AssertionError, match="rule score: expected one parameter at most"):
        Engine(workflow_of("{}", "{}")).pending()


@pytest.mark.parametrize("arguments", [["-n"], ["--lint"], ["--summary"], ["--report", "r.html"]])
def test_commands_that_only_inspect_the_workflow_run_no_jobs(arguments):
    run = ["--cores", "1", "--configfile", "recipes/demo.yaml"]
    assert executes(run)
    assert not executes([*run, *arguments])
    assert Engine(SimpleNamespace(is_main_process=True)).runs_jobs(run)
    assert not Engine(SimpleNamespace(is_main_process=False)).runs_jobs(run)


def test_a_folder_is_as_large_as_all_its_files(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "one").write_bytes(b"123")
    (tmp_path / "a" / "b" / "two").write_bytes(b"45")
    assert size(tmp_path / "a") == 5
    assert size(tmp_path / "a" / "one") == 3
    assert size(tmp_path / "nothing") == 0


class Recorder:
    """A watcher that keeps what it is told."""

    def __init__(self):
        self.told = []

    def __getattr__(self, name):
        return lambda *number: self.told.append((name, *number))


def workflow_with(**settings):
    shown = SimpleNamespace(quiet=set(), verbose=False)
    return SimpleNamespace(is_main_process=True, output_settings=SimpleNamespace(**vars(shown) | settings))


@pytest.fixture
def terminal(monkeypatch):
    """Snakemake's own output, with a watcher's hand on it."""
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.name = "DefaultStreamHandler"
    logger = logging.getLogger("snakemake.logging")
    monkeypatch.setattr(logger, "handlers", [handler])
    monkeypatch.setattr(logger, "level", logging.INFO)
    monkeypatch.setattr(logger, "propagate", False)
    monkeypatch.setattr(sys, "argv", ["snakemake", "--cores", "1"])
    return logger, out


def test_a_watcher_learns_of_jobs_and_the_terminal_of_everything_else(terminal):
    logger, out = terminal
    watcher = Recorder()
    assert Engine(workflow_with()).watched_by(watcher)
    logger.info("rule train_fold:\n    input: a, b, c", extra={"event": LogEvent.JOB_INFO, "jobid": 4})
    logger.info("Select jobs to execute...")
    logger.info("Finished jobid: 3 (Rule: x)", extra={"event": LogEvent.JOB_FINISHED, "job_id": 3})
    logger.info("1 of 9 steps", extra={"event": LogEvent.PROGRESS, "done": 1, "total": 9})
    assert out.getvalue() == ""
    logger.error("Error in rule train_fold", extra={"event": LogEvent.JOB_ERROR, "jobid": 4})
    logger.info("Trying to restart job 4.")
    assert out.getvalue() == "Error in rule train_fold\nTrying to restart job 4.\n"
    assert watcher.told == [("started", 4), ("finished", 3), ("failed", 4), ("clear",), ("clear",)]


@pytest.mark.parametrize("settings", [{"quiet": {"rules"}}, {"verbose": True}])
def test_who_asks_snakemake_for_another_output_gets_it(terminal, settings):
    assert not Engine(workflow_with(**settings)).watched_by(Recorder())


def test_a_dry_run_and_another_display_are_left_alone(terminal, monkeypatch):
    terminal[0].handlers[0].name = "rich"
    assert not Engine(workflow_with()).watched_by(Recorder())
    terminal[0].handlers[0].name = "DefaultStreamHandler"
    monkeypatch.setattr(sys, "argv", ["snakemake", "-n"])
    assert not Engine(workflow_with()).watched_by(Recorder())


@pytest.mark.parametrize(
    ("shared", "limits"),
    [
        ({"_cores": 8, "gpu": 2}, Limits(8, 2)),
        ({"_cores": 8}, Limits(8, math.inf)),
        ({"_cores": sys.maxsize, "_nodes": 30}, Limits(math.inf, 30)),
    ],
)
def test_limits_are_those_of_the_command_line_and_on_a_cluster_the_number_of_jobs(shared, limits):
    workflow = SimpleNamespace(scheduler=SimpleNamespace(global_resources=shared))
    assert Engine(workflow).limits == limits
