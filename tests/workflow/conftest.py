"""One whole run of the workflow on a tiny survey, killed in the middle and started again; all tests here share it."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PARTS = ("Snakefile", "workflow_config.yaml", "recipes", "profiles", "stages", "salt", "models", "schemas", "report")


def copy_of_the_repository(folder: Path) -> Path:
    """The files that a run needs, in a folder of its own."""
    for name in PARTS:
        source = REPOSITORY / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    return folder


def snakemake(folder: Path, *options: str, **kwargs) -> subprocess.CompletedProcess:
    """Run Snakemake to its end; standard error joins the output."""
    command = [sys.executable, "-m", "snakemake", *options]
    return subprocess.run(
        command, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, **kwargs
    )


@dataclass
class Run:
    """A finished run, and what was seen on the way."""

    folder: Path
    command: list[str]
    done_before_the_kill: dict[Path, int] = field(default_factory=dict)  # outputs and their time of change, ns
    second_run: subprocess.CompletedProcess | None = None  # started while the first was at work
    output: str = ""  # of the run that finished

    @property
    def results(self) -> Path:
        return self.folder / "results" / "demo"


JOB = re.compile(r"^(?:local)?rule (\w+):\n((?:    .*\n)*)", re.MULTILINE)


def field_of(block: str, name: str) -> str:
    """One line of what Snakemake prints about a job: its wildcards, its outputs ..."""
    found = re.search(rf"^    {name}: (.*)$", block, re.MULTILINE)
    return found[1] if found else ""


def jobs(text: str) -> set[str]:
    """Jobs that a (dry) run names: "train_fold model=stage1_plain, fold=0"."""
    return {f"{name} {field_of(block, 'wildcards')}".strip() for name, block in re.findall(JOB, text)}


def outputs_of_finished_jobs(folder: Path, text: str) -> dict[Path, int]:
    """Files that jobs left which Snakemake saw finish, and when they last changed, ns."""
    finished = set(re.findall(r"Finished jobid: (\d+)", text))
    blocks = [block for _, block in re.findall(JOB, text) if field_of(block, "jobid") in finished]
    paths = [folder / name for block in blocks for name in field_of(block, "output").split(", ")]
    return {path: path.stat().st_mtime_ns for path in paths}


def in_the_middle_of_a_training(results: Path, text: str) -> bool:
    """A training is done, and another has finished an epoch."""
    logs = [log.read_text() for log in results.glob("logs/train_fold/*.log")]
    busy = [log for log in logs if "epoch 1/" in log and "trained fold" not in log]
    return "(Rule: train_fold)" in text and bool(busy)


@pytest.fixture(scope="session")
def run(tmp_path_factory) -> Run:
    folder = copy_of_the_repository(tmp_path_factory.mktemp("run"))
    overlays = ["--configfile", "recipes/demo.yaml", str(REPOSITORY / "tests" / "workflow" / "tiny.yaml")]
    run = Run(folder, ["--cores", "2", "--resources", "gpu=1", *overlays])
    with (folder / "first.txt").open("w") as output:
        first = subprocess.Popen(
            [sys.executable, "-m", "snakemake", *run.command],
            cwd=folder,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        while not in_the_middle_of_a_training(run.results, (folder / "first.txt").read_text()):
            assert first.poll() is None, (folder / "first.txt").read_text()
            time.sleep(0.1)
        run.second_run = snakemake(folder, *run.command, timeout=30)
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()
    run.done_before_the_kill = outputs_of_finished_jobs(folder, (folder / "first.txt").read_text())
    finished = snakemake(folder, *run.command)
    run.output = finished.stdout
    assert finished.returncode == 0, finished.stdout
    return run
