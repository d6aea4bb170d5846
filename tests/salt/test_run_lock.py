import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from salt import run_lock

HOLDER = """
import sys, time
from types import SimpleNamespace
from salt import run_lock
run_lock.hold(SimpleNamespace(is_main_process=True, dryrun=False, execution_settings=object()))
print("held", flush=True)
time.sleep(60)
"""


def workflow(**different):
    return SimpleNamespace(**{"is_main_process": True, "dryrun": False, "execution_settings": object()} | different)


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


def test_a_second_live_run_is_refused_and_told_who_is_at_work(live_run):
    with pytest.raises(SystemExit, match=f"process {live_run.pid}\\) is at work"):
        run_lock.hold(workflow())


def test_the_lock_of_a_killed_run_is_cleared(folder, live_run):
    locks = folder / ".snakemake" / "locks"
    locks.mkdir(exist_ok=True)
    (locks / "0.input.lock").touch()
    live_run.kill()
    live_run.wait()
    run_lock.hold(workflow())
    assert not locks.exists()


@pytest.mark.parametrize("different", [{"dryrun": True}, {"is_main_process": False}, {"execution_settings": None}])
def test_who_runs_no_jobs_neither_waits_nor_clears(folder, live_run, different):
    locks = folder / ".snakemake" / "locks"
    locks.mkdir(exist_ok=True)
    run_lock.hold(workflow(**different))
    assert locks.exists()
