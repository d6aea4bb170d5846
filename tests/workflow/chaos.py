"""Kills and faults at random moments of a run, which must end like an undisturbed one."""

import hashlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
import yaml

from tests.workflow.conftest import JOB, field_of, overlays, snakemake, snakemakes_log, start, with_fake_gpus

START = 4.0  # s until Snakemake's first job is running
TRAINING = re.compile(r"stages\.(train_fold|pretrain)")


def outputs_of_finished_jobs(folder: Path, text: str) -> dict[Path, int]:
    """Outputs of the jobs that Snakemake recorded as finished, with their mtimes, ns."""
    finished = set(re.findall(r"Finished jobid: (\d+)", text))
    blocks = [block for _, block in re.findall(JOB, text) if field_of(block, "jobid") in finished]
    outputs = [field_of(block, "output") for block in blocks]  # the rule `all` has none
    paths = [folder / name for given in outputs if given for name in given.split(", ")]
    return {path: path.stat().st_mtime_ns for path in paths if path.exists()}  # temporary ones may be gone


@dataclass
class Hit:
    """An event that disturbed a run."""

    event: str
    after: float  # s since the command was typed
    jobs: list[str]  # running jobs
    lost: float  # s of work since their last checkpoints, or since they started
    ended: str = ""  # the last line of the run's output


@dataclass
class Victim:
    """A run of the workflow in a folder, restarted after each event. Its jobs take leases of two GPUs."""

    folder: Path
    rng: np.random.Generator
    hits: list[Hit] = field(default_factory=list)
    started: int = 0  # number of starts
    done: dict[Path, int] = field(default_factory=dict)  # outputs of finished jobs and their mtimes, ns

    def __post_init__(self) -> None:
        self.environment = with_fake_gpus(self.folder, 2)

    @property
    def results(self) -> Path:
        return self.folder / "results" / "tiny"

    @property
    def output(self) -> str:
        return (self.folder / "output.txt").read_text()

    def command(self, workers: int | None = None) -> list[str]:
        """The same command each time, except for the use of the machine, which must change nothing."""
        self.started += 1
        workers = (0, 1, 4)[self.started % 3] if workers is None else workers
        compute = {"device": "auto", "loader_workers": workers, "checkpoint_seconds": (0.1, 2)[self.started // 2 % 2]}
        (self.folder / "compute.yaml").write_text(yaml.safe_dump({"compute": compute}))
        return ["--cores", str(1 + self.started % 2), "--resources", "gpu=2", *overlays("compute.yaml")]

    def disturb(self, event: str, wait: float) -> bool:
        """Run until the event. Returns False if the run was done before."""
        needs_workers = event == "kill a loader worker"
        command, output = self.command(2 if needs_workers else None), self.folder / "output.txt"
        process = start(self.folder, *command, output=output, env=self.environment)
        begin = time.monotonic()
        while time.monotonic() - begin < wait or (needs_workers and not workers_of(process)):
            if process.poll() is not None:
                assert process.returncode == 0, self.output
                return False
            time.sleep(0.05)
        jobs, lost = running_jobs(process)
        hit = Hit(event, time.monotonic() - begin, jobs, lost)
        EVENTS[event](self, process)
        process.wait(timeout=300)
        self.done |= outputs_of_finished_jobs(self.folder, snakemakes_log(self.folder))
        hit.ended = self.output.strip().rsplit("\n", 1)[-1]
        self.hits.append(hit)
        return True

    def finish(self) -> None:
        """Type the command once more, and wait for the end."""
        done = snakemake(self.folder, *self.command()[2:], "--cores", "2", env=self.environment)
        assert done.returncode == 0, done.stdout
        again = {path for path, changed in self.done.items() if path.exists() and path.stat().st_mtime_ns != changed}
        assert not again, sorted(map(str, again))  # no finished job has run again


def running_jobs(process: subprocess.Popen) -> tuple[list[str], float]:
    """Running jobs, and the seconds of work that they would lose if they were killed now."""
    jobs, lost = [], 0.0
    for job in descendants(process):
        found = re.search(r"-m stages\.(\w+)", command_of(job))
        if not found or TRAINING.search(command_of(parent_of(job))):  # its parent is the training: a loader worker
            continue
        name = re.search(
            r"results/tiny/(?:models|ensembles)/([\w/]+?)/(?:history|out_of_fold|test|held_out)", command_of(job)
        )
        jobs.append(f"{found[1]} {name[1]}" if name else found[1])
        saved = [job.create_time()]
        if checkpoints := re.search(r"--checkpoints (\S+)", command_of(job)):
            folder = Path(job.cwd(), checkpoints[1])
            saved += [path.stat().st_mtime for path in folder.rglob("[0-9]*.json") if path.exists()]
        lost += time.time() - max(saved)
    return jobs, lost


def descendants(process: subprocess.Popen) -> list[psutil.Process]:
    try:
        return psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def command_of(process: psutil.Process | None) -> str:
    try:
        return " ".join(process.cmdline()) if process else ""
    except psutil.Error:
        return ""


def parent_of(process: psutil.Process) -> psutil.Process | None:
    try:
        return process.parent()
    except psutil.Error:
        return None


def workers_of(process: subprocess.Popen) -> list[psutil.Process]:
    """Loader workers: children of a training, with the same command line."""
    return [child for child in descendants(process) if TRAINING.search(command_of(parent_of(child)))]


# Events --------------------------------------------------------------------------------------------------------------


def kill(victim: Victim, process: subprocess.Popen) -> None:
    os.killpg(process.pid, signal.SIGKILL)


def terminate(victim: Victim, process: subprocess.Popen) -> None:
    os.killpg(process.pid, signal.SIGTERM)


def interrupt(victim: Victim, process: subprocess.Popen) -> None:
    os.killpg(process.pid, signal.SIGINT)


def kill_and_cut(victim: Victim, process: subprocess.Popen) -> None:
    kill(victim, process)
    process.wait()
    for path in some_of_newest_checkpoints(victim):
        os.truncate(path, victim.rng.integers(0, max(1, path.stat().st_size)))


def kill_and_flip(victim: Victim, process: subprocess.Popen) -> None:
    kill(victim, process)
    process.wait()
    for path in some_of_newest_checkpoints(victim):
        content = bytearray(path.read_bytes())
        for place in victim.rng.integers(0, len(content), 3) if content else ():
            content[place] ^= 0xFF
        path.write_bytes(content)


def some_of_newest_checkpoints(victim: Victim) -> Iterator[Path]:
    """The manifest or one of the tensor files of each training's newest checkpoint."""
    for folder in victim.results.glob("checkpoints/*/*/"):
        manifests = sorted(folder.glob("[0-9]*.json"))
        if manifests:
            named = re.findall(r'"([0-9a-f]{32})"', manifests[-1].read_text())
            files = [manifests[-1], *(folder / f"{digest}.safetensors" for digest in named)]
            yield files[victim.rng.integers(len(files))]


def kill_a_worker(victim: Victim, process: subprocess.Popen) -> None:
    for worker in workers_of(process)[:1]:
        worker.kill()


def fill_the_disk(victim: Victim, process: subprocess.Popen) -> None:
    """Fill the disk until the run fails; kill the run if it writes nothing for a while."""
    ballast, filled = victim.results / "ballast", False
    with ballast.open("wb") as file:
        while not filled:
            free = os.statvfs(victim.results)
            with suppress(OSError):  # the run itself may have taken some of the free space meanwhile
                os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_frsize)
                filled = True
    try:
        process.wait(timeout=60)
    except subprocess.TimeoutExpired:
        kill(victim, process)
    process.wait()
    ballast.unlink()
    assert "Traceback" not in "".join(log.read_text() for log in victim.results.glob("logs/**/*.log"))


def forbid_writing(victim: Victim, process: subprocess.Popen) -> None:
    kill(victim, process)
    process.wait()
    remount(victim.results, "ro")
    try:
        done = snakemake(victim.folder, *victim.command(), timeout=120, env=victim.environment)
    finally:
        remount(victim.results, "rw")
    assert done.returncode != 0
    # Snakemake itself reports it if it must first replace the output of a killed job.
    assert re.search("ead-only|Write-protected output", done.stdout), done.stdout


EVENTS: dict[str, Callable[[Victim, subprocess.Popen], None]] = {
    "kill": kill,
    "term": terminate,
    "ctrl-c": interrupt,
    "kill, and a checkpoint is cut": kill_and_cut,
    "kill, and bytes of a checkpoint flip": kill_and_flip,
    "kill a loader worker": kill_a_worker,
    "full disk": fill_the_disk,
    "kill, then a read-only folder": forbid_writing,
}
OF_THE_DISK = {"full disk", "kill, then a read-only folder"}  # need a separate file system


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[bool]:
    """Mount a separate file system on a folder if this user may do so. Yields whether it is mounted."""
    folder.mkdir(parents=True, exist_ok=True)
    options = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "none", str(folder)]
    mounted = subprocess.run(options, capture_output=True, check=False).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


def remount(folder: Path, how: str) -> None:
    """Remount a folder; retried, since killed programs may keep their files open for a moment."""
    for _ in range(100):
        if (
            subprocess.run(["mount", "-o", f"remount,{how}", str(folder)], capture_output=True, check=False).returncode
            == 0
        ):
            return
        time.sleep(0.1)
    raise OSError(f"{folder} could not be mounted again as {how}")


def digests(results: Path) -> dict[str, str]:
    """Digests of everything that a run computes."""
    left_out = re.compile(
        r"(logs|checkpoints|survey|timings|tensorboard|benchmarks)/|report\.html|config\.yaml|.*provenance\.json|.*/\.snakemake"
    )
    files = {str(path.relative_to(results)): path for path in sorted(results.rglob("*")) if path.is_file()}
    return {
        name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in files.items() if not left_out.match(name)
    }
