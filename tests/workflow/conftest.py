"""One whole, undisturbed run of the workflow on a tiny survey; all tests here share it."""

import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PARTS = ("Snakefile", "workflow_config.yaml", "recipes", "profiles", "stages", "salt", "models", "schemas", "report")


def copy_of_the_repository(folder: Path) -> Path:
    """Copy the files that a run needs to a folder."""
    for name in PARTS:
        source = REPOSITORY / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    return folder


def snakemake(folder: Path, *options: str, **kwargs) -> subprocess.CompletedProcess:
    """Run Snakemake to its end; the output includes standard error."""
    command = [sys.executable, "-m", "snakemake", *options]
    return subprocess.run(
        command, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, **kwargs
    )


@dataclass
class Run:
    """A finished run, and what was observed while it ran."""

    folder: Path
    command: list[str]
    second_run: subprocess.CompletedProcess | None = None  # started while the first one was running
    second_run_left: set[str] = field(default_factory=set)  # files that it created
    output: str = ""

    @property
    def results(self) -> Path:
        return self.folder / "results" / "tiny"


JOB = re.compile(r"^(?:local)?rule (\w+):\n((?:    .*\n)*)", re.MULTILINE)


def field_of(block: str, name: str) -> str:
    """One line of what Snakemake prints about a job: its wildcards, its outputs ..."""
    found = re.search(rf"^    {name}: (.*)$", block, re.MULTILINE)
    return found[1] if found else ""


def jobs(text: str) -> set[str]:
    """Jobs that a (dry) run lists: "train_fold model=stage1_plain, fold=0"."""
    return {f"{name} {field_of(block, 'wildcards')}".strip() for name, block in re.findall(JOB, text)}


def in_the_middle_of_a_training(results: Path, text: str) -> bool:
    """Whether a training is done and another one has finished an epoch."""
    logs = [log.read_text() for log in results.glob("logs/train_fold/*.log")]
    busy = [log for log in logs if "epoch 1/" in log and "trained fold" not in log]
    return "(Rule: train_fold)" in text and bool(busy)


def start(folder: Path, *options: str, output: Path, **kwargs) -> subprocess.Popen:
    """Start Snakemake in a process group of its own."""
    with output.open("w") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "snakemake", *options],
            cwd=folder,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            **kwargs,
        )


def overlays(*more: str) -> list[str]:
    """The options for the tests' recipe, and overlays on it."""
    return ["--configfile", str(REPOSITORY / "tests" / "workflow" / "tiny.yaml"), *more]


@pytest.fixture(scope="session")
def run(tmp_path_factory) -> Run:
    folder = copy_of_the_repository(tmp_path_factory.mktemp("run"))
    run = Run(folder, ["--cores", "2", "--resources", "gpu=1", *overlays()])
    output = folder / "output.txt"
    first = start(folder, *run.command, output=output)
    while not in_the_middle_of_a_training(run.results, output.read_text()):
        assert first.poll() is None, output.read_text()
        time.sleep(0.1)
    before = files_outside_results(folder)
    run.second_run = snakemake(folder, *run.command, timeout=60)
    run.second_run_left = files_outside_results(folder) - before
    first.wait()
    run.output = output.read_text()
    assert first.returncode == 0, run.output
    return run


def files_outside_results(folder: Path) -> set[str]:
    """Files outside the results, without compiled Python and Snakemake's own logs and metadata."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    names = {str(path.relative_to(folder)) for path in paths}
    return {
        name for name in names if not re.match(r"results/|.*__pycache__|\.snakemake/(log|metadata|incomplete)", name)
    }
