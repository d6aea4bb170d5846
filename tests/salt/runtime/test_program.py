import errno
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from salt.data.tiles import save_tiles
from salt.runtime import program, provenance
from salt.runtime.signals import Interrupted
from schemas.errors import UserError
from tests.easy_tiles import easy_tiles


@pytest.fixture(autouse=True)
def process_as_it_was(monkeypatch):
    """`run` sets up a process; here the process is pytest's."""
    monkeypatch.setattr(logging, "basicConfig", lambda **_: None)
    monkeypatch.setattr(logging, "shutdown", lambda: None)
    monkeypatch.setattr(program, "end_with_parent", lambda: None)


def test_a_users_mistake_is_its_text_alone():
    def main():
        raise UserError("expected a, found b; do c")

    with pytest.raises(SystemExit) as exit_:
        program.run(main)
    assert exit_.value.code == "Error: expected a, found b; do c"  # Python prints it and exits with 1


def test_a_fault_of_the_program_is_not_hidden():
    def main():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        program.run(main)


def test_a_full_disk_is_reported_with_its_remedy():
    def main():
        raise OSError(errno.ENOSPC, "No space left on device", "results/x.npy")

    with pytest.raises(SystemExit) as exit_:
        program.run(main)
    assert "results/x.npy could not be written: the disk is full. Free some space" in exit_.value.code


def test_full_memory_is_reported_with_its_remedy():
    def main():
        raise MemoryError("Unable to allocate 9 GiB")

    with pytest.raises(SystemExit) as exit_:
        program.run(main)
    assert exit_.value.code.startswith("Error: this machine's memory is full (Unable to allocate 9 GiB). Close other")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_program_that_stopped_in_order_says_so_with_the_signals_exit_code(number, caplog):
    def main():
        raise Interrupted("Stopped; the same command goes on.", number)

    with pytest.raises(SystemExit) as exit_, caplog.at_level("INFO"):
        program.run(main)
    assert exit_.value.code == 128 + number
    assert caplog.messages == ["Stopped; the same command goes on."]


def test_the_commit_is_asked_for_before_the_work():
    def main():
        assert provenance.origin.cache_info().currsize == 1

    provenance.origin.cache_clear()
    with pytest.raises(SystemExit) as exit_:
        program.run(main)
    assert exit_.value.code == 0


STARTS_A_PROGRAM = """
import subprocess, sys, time
child = "from salt.runtime import program; program.end_with_parent()"
child += "; import os, time; print(os.getpid(), flush=True); time.sleep(60)"
subprocess.Popen([sys.executable, "-c", child])
time.sleep(60)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can tell a program that its parent died")
def test_a_program_does_not_outlive_the_workflow():
    parent = subprocess.Popen([sys.executable, "-c", STARTS_A_PROGRAM], stdout=subprocess.PIPE, text=True)
    child = Path("/proc", parent.stdout.readline().strip())
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    for _ in range(100):
        if not child.exists() or ") Z " in (child / "stat").read_text():
            return
        time.sleep(0.1)
    pytest.fail("the program still runs")


def test_the_log_begins_with_the_command_that_runs_the_job_again(tmp_path):
    save_tiles(tmp_path / "tiles of 2", easy_tiles(8), easy_tiles(4, split="test"))
    options = ["--settings", '{"count": 2, "by": "coverage"}', "--tiles", f"{tmp_path}/tiles of 2"]
    command = [sys.executable, "-m", "stages.make_folds", *options, "--mosaics", "--out", f"{tmp_path}/folds.csv"]
    log = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    first_line, *others = log.splitlines()
    assert others
    written = (tmp_path / "folds.csv").read_bytes()
    (tmp_path / "folds.csv").unlink()
    subprocess.run(first_line, shell=True, capture_output=True, check=True)  # noqa: S602 (as it would be pasted)
    assert (tmp_path / "folds.csv").read_bytes() == written


def test_success_exits_with_zero():
    with pytest.raises(SystemExit) as exit_:
        program.run(lambda: None)
    assert exit_.value.code == 0
