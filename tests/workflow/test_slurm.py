"""The tiny run on a SLURM cluster with two GPUs gives the local run's bytes, whatever happens to its jobs and its head.

`make test-slurm` runs this: it needs Debian's packages of SLURM, root, and some minutes.
"""

import os
import re
import subprocess
from collections import Counter
from pathlib import Path

import psutil
import pytest

from tests.slurm_cluster import GPUS, ask, cluster, missing, wait_until
from tests.workflow.conftest import copy_of_the_repository, overlays, start

pytestmark = pytest.mark.slow

COMMAND = ["--workflow-profile", "profiles/slurm", "--resources", f"gpu={GPUS}", "--slurm-status-command", "squeue"]
QUICK = ["--slurm-init-seconds-before-status-checks", "2", "--seconds-between-status-checks", "2"]
LONG = re.compile(r"rule_(?:train_fold|pretrain)_wildcards_(\w+_plain)_(?:fold)?(\d|all_folds)")  # with many epochs


class ClusterRun:
    """A run whose jobs go to a cluster."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder, self.environment, self.heads = folder, environment, 0
        # SLURM's GPUs are not torch's: the networks run on the CPU, as in the local run.
        (folder / "gpu.yaml").write_text("compute: {device: auto}\n")

    def start(self) -> subprocess.Popen:
        """Start Snakemake's main process."""
        self.heads += 1
        self.output = self.folder / f"output{self.heads}.txt"
        options = [*COMMAND, *QUICK, *overlays("gpu.yaml")]
        return start(self.folder, *options, output=self.output, env=self.environment)

    def jobs(self, states: str = "all") -> list[list[str]]:
        """Id, state, comment (rule and wildcards) and time limit of the jobs in some states."""
        lines = ask(self.environment, "squeue", "--noheader", "--format=%i|%T|%k|%l", f"--states={states}")
        return [line.split("|") for line in lines.splitlines()]

    def busy_training(self) -> tuple[str, Path]:
        """Wait for a training that is in its second epoch; its job and its log."""
        found: list[tuple[str, Path]] = []

        def is_busy() -> bool:
            for job, _, comment, _ in self.jobs("RUNNING"):
                if match := LONG.fullmatch(comment):
                    name = f"*/{match[1]}_*{match[2]}.log"
                    for log in (self.folder / "results" / "tiny" / "logs").glob(name):
                        if re.search(r"epoch 1/[4-9](?!.*epoch [3-9]/)", log.read_text(), re.DOTALL):
                            found.append((job, log))
            return bool(found)

        wait_until(is_busy, 600, "a training in its second epoch")
        return found[0]

    def preempt_a_training(self) -> None:
        """Requeue a training, until one was in time to save a checkpoint and continues from it."""
        text = ""
        while "resumes from a checkpoint" not in text:
            job, log = self.busy_training()
            ask(self.environment, "scontrol", "requeue", job)
            self.wait_for(job, "PENDING")
            log.unlink(missing_ok=True)
            text = self.wait_for_words(log, "resumes from a checkpoint", "trained fold", "pretrained:")

    def stop_a_training(self) -> str:
        """Send TERM to a training, as at its time limit, until one was in time to fail; its rule and wildcards."""
        failed: list[str] = []
        while not failed:
            job, _ = self.busy_training()
            ask(self.environment, "scancel", "--signal=TERM", job)
            self.wait_for(job, "FAILED", "COMPLETED")
            failed = [comment for found, state, comment, _ in self.jobs() if (found, state) == (job, "FAILED")]
        return failed[0]

    def wait_for(self, job: str, *states: str) -> None:
        """Wait until a job is in one of these states."""
        wait_until(lambda: any([job, state] in [found[:2] for found in self.jobs()] for state in states), 120, job)

    def wait_for_words(self, log: Path, *words: str) -> str:
        """Wait until a log contains one of some phrases; its text."""
        wait_until(lambda: log.exists() and any(phrase in log.read_text() for phrase in words), 300, str(log))
        return log.read_text()

    def gpus_in_use(self) -> set[str]:
        """The GPUs that the programs of jobs see."""
        found = set()
        for process in psutil.process_iter():
            try:
                if process.environ().get("SLURM_STEP_GPUS") and any("stages." in word for word in process.cmdline()):
                    found.add(process.environ()["CUDA_VISIBLE_DEVICES"])
            except psutil.Error:
                continue
        return found


@pytest.fixture(scope="module")
def slurm(request, tmp_path_factory):
    if not request.config.getoption("--slurm"):
        pytest.skip("`make test-slurm` runs this")
    assert missing() == []
    assert os.geteuid() == 0
    with cluster(tmp_path_factory.mktemp("slurm")) as environment:
        yield ClusterRun(copy_of_the_repository(tmp_path_factory.mktemp("cluster_run")), environment)


def results(folder: Path) -> dict[str, bytes]:
    """Weights, scores, members and submission of a run."""
    files = [path for kind in ("*.safetensors", "*.csv", "members.json") for path in folder.rglob(kind)]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_a_disturbed_run_on_a_cluster_gives_the_bytes_of_the_local_run(slurm, run):
    head = slurm.start()
    wait_until(lambda: slurm.gpus_in_use() == {"0", "1"} or head.poll() is not None, 300, "jobs on both GPUs")
    slurm.busy_training()
    head.kill()
    head.wait()
    left_over = {job: comment for job, _, comment, _ in slurm.jobs("RUNNING,PENDING")}

    head = slurm.start()
    slurm.preempt_a_training()
    stopped = slurm.stop_a_training()
    head.wait(timeout=1800)
    assert head.returncode == 0, slurm.output.read_text()

    assert left_over
    assert f"still in SLURM's queue: {' '.join(sorted(left_over, key=int))}" in slurm.output.read_text()
    submitted = Counter(comment for _, _, comment, _ in slurm.jobs())
    assert {comment: count for comment, count in submitted.items() if count > 1} == {stopped: 2}
    first, second = sorted((int(job), limit) for job, _, comment, limit in slurm.jobs() if comment == stopped)
    assert minutes(second[1]) == 2 * minutes(first[1])
    assert results(slurm.folder / "results" / "tiny") == results(run.results)
    assert not (slurm.folder / "results" / "tiny" / "checkpoints").exists() or not any(
        (slurm.folder / "results" / "tiny" / "checkpoints").iterdir()
    )


def minutes(limit: str) -> int:
    """A time limit of SLURM in minutes: [days-][hours:]minutes:seconds."""
    days, _, rest = limit.rpartition("-")
    *hours, in_minutes, _ = rest.split(":")
    return (int(days or 0) * 24 + int(*hours or [0])) * 60 + int(in_minutes)
