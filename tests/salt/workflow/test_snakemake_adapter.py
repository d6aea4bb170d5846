import re
from pathlib import Path
from types import SimpleNamespace

import pytest

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
