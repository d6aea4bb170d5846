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


def in_the_middle_of_a_training(results: Path) -> bool:
    """At least one training is done, and another has finished an epoch."""
    done = list(results.glob("models/*/fold*/history.csv"))
    logs = list(results.glob("logs/train_fold/*.log"))
    busy = [log for log in logs if "epoch 1/" in log.read_text() and "trained fold" not in log.read_text()]
    return bool(done and busy)


def outputs(results: Path) -> dict[Path, int]:
    """Files that finished jobs left, other than logs and what is deleted when nothing needs it any more."""
    files = [path for path in results.rglob("*") if path.is_file() and not path.name.startswith(".")]
    kept = [path for path in files if "logs" not in path.parts and path.name not in ("held_out.npy", "test.npy")]
    return {path: path.stat().st_mtime_ns for path in kept}


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
        while not in_the_middle_of_a_training(run.results):
            assert first.poll() is None, (folder / "first.txt").read_text()
            time.sleep(0.2)
        if run.second_run is None:
            run.second_run = snakemake(folder, *run.command, timeout=30)
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()
    run.done_before_the_kill = {
        path: changed for path, changed in outputs(run.results).items() if "snapshots" not in path.parts
    }
    finished = snakemake(folder, *run.command)
    run.output = finished.stdout
    assert finished.returncode == 0, finished.stdout
    return run


JOB = re.compile(r"^(?:local)?rule (\w+):\n((?:    .*\n)*)", re.MULTILINE)
WILDCARDS = re.compile(r"^    wildcards: (.*)$", re.MULTILINE)


def jobs(text: str) -> set[str]:
    """Jobs that a (dry) run names: "train_fold model=stage1_plain, fold=0"."""
    return {" ".join([name, *re.findall(WILDCARDS, block)]) for name, block in re.findall(JOB, text)}
