import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from salt.workflow import run_lock
from salt.workflow.snakemake_adapter import Engine

HOLDER = """
import sys, time
from types import SimpleNamespace
from salt.workflow import run_lock
from salt.workflow.snakemake_adapter import Engine
run_lock.hold(Engine(SimpleNamespace(is_main_process=True)), ["--cores", "2"])
print("held", flush=True)
time.sleep(60)
"""


MAIN = Engine(SimpleNamespace(is_main_process=True))
RUN = ["--cores", "1", "--resources", "gpu=1", "--configfile", "recipes/demo.yaml"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    repository = os.getcwd()
    monkeypatch.setenv("PYTHONPATH", repository)
    monkeypatch.chdir(tmp_path)
    held = []
    monkeypatch.setattr(run_lock, "_held", held)
    (tmp_path / ".snakemake" / "locks").mkdir(parents=True)
    yield tmp_path
    for file in held:
        file.close()


@pytest.fixture
def live_run(folder):
    process = subprocess.Popen([sys.executable, "-c", HOLDER], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_second_live_run_is_refused_with_the_process_of_the_first(live_run):
    with pytest.raises(SystemExit, match=f"process {live_run.pid}\\) is active"):
        run_lock.hold(MAIN, RUN)


def test_the_lock_of_a_killed_run_is_cleared(folder, live_run):
    locks = folder / ".snakemake" / "locks"
    (locks / "0.input.lock").touch()
    live_run.kill()
    live_run.wait()
    run_lock.hold(MAIN, RUN)
    assert list(locks.iterdir()) == []


DESCRIBING = [["-n"], ["--lint"], ["--dag"], ["--rulegraph"], ["--summary"], ["--report", "r.html"], ["--unlock"]]


@pytest.mark.parametrize("arguments", DESCRIBING, ids=lambda words: words[0])
def test_a_command_that_only_describes_the_workflow_neither_waits_nor_clears(folder, live_run, arguments):
    lock = folder / ".snakemake" / "locks" / "0.output.lock"
    lock.touch()
    run_lock.hold(MAIN, [*RUN, *arguments])
    assert lock.exists()


def test_a_folder_that_cannot_be_written_is_reported_in_one_paragraph(folder, on_a_small_disk):
    code = HOLDER.replace("time.sleep(60)", "")
    done = on_a_small_disk(folder, "ro", ["sh", "-c", 'cd "$PWD" && exec "$0" -c "$1"', sys.executable, code])
    assert done.returncode == 1
    (line,) = done.stdout.splitlines()
    assert "where Snakemake keeps its records, but cannot: the file system is read-only" in line


def test_a_job_of_an_executor_plugin_neither_waits_nor_clears(live_run):
    run_lock.hold(Engine(SimpleNamespace(is_main_process=False)), RUN)
