"""A GPU for this program, held from before torch is imported until the program dies.

Snakemake counts GPUs but hands none out, and torch would take the first one in every job. So a program locks a file
that stands for a GPU, and shows itself no other GPU through CUDA_VISIBLE_DEVICES. The kernel releases the lock (flock)
however the program ends. The files lie in a folder of the user and the machine, so that all runs share its GPUs.
"""

import argparse
import contextlib
import fcntl
import os
import re
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from salt.runtime import gpu_count, program
from salt.runtime.progress import duration, say
from schemas.config import Compute
from schemas.errors import UserError
from schemas.reading import read_settings

VISIBLE = "CUDA_VISIBLE_DEVICES"
LISTED = re.compile(r"GPU (?P<index>\d+): (?P<model>.*) \(UUID: (?P<uuid>\S+)\)")  # by `nvidia-smi -L`
LISTED_PART = re.compile(r"\s+MIG (?P<model>\S+)\s+Device\s+(?P<index>\d+): \(UUID: (?P<uuid>\S+)\)")
TAKEN = re.compile(r"runs on (GPU [^ ,]+)")  # what a program's log says once it holds a GPU
POLL = 0.5  # s between two attempts
REMIND = 600.0  # s between two lines about the wait

_held: list[int] = []  # descriptors: their locks last as long as this process


class Gpu(NamedTuple):
    """A GPU, or a part of one (MIG).

    name: what CUDA_VISIBLE_DEVICES calls it; uuid: the same for all processes; label: for people
    """

    name: str
    uuid: str
    label: str


# The GPUs of this machine -----------------------------------------------------------------------------------------


def visible() -> list[Gpu]:
    """The GPUs that CUDA shows this process, by their names in CUDA_VISIBLE_DEVICES, else by UUID.

    The lock needs the UUID: in two jobs of a cluster, index 0 may be two GPUs. Where nvidia-smi is missing, the name
    and the cluster's job stand for it.
    """
    wanted = os.environ.get(VISIBLE)
    if listing := _nvidia_smi():
        return select(listing, wanted)
    names = [str(number) for number in range(gpu_count.count())]
    names = wanted.split(",") if names and wanted else names
    return [Gpu(name, f"{name}-{os.environ.get('SLURM_JOB_ID', '')}", f"GPU {name}") for name in names]


def _nvidia_smi() -> str:
    """The list of GPUs by NVIDIA's driver; empty if there is none."""
    try:
        command = ["nvidia-smi", "-L"]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout  # noqa: S603 (fixed)
    except (OSError, subprocess.SubprocessError):
        return ""


def select(listing: str, wanted: str | None) -> list[Gpu]:
    """The GPUs of a list by `nvidia-smi -L` that CUDA shows for a value of CUDA_VISIBLE_DEVICES; None: all.

    Names may be indices, UUIDs, or their first letters. Like CUDA, it ignores everything after an unknown name.
    Indices count in the order of the list. CUDA's own order differs where GPUs of several models are mixed, unless
    CUDA_DEVICE_ORDER is PCI_BUS_ID; UUIDs are always right.
    """
    names = _names(listing)
    if wanted is None:
        return list(dict.fromkeys(names.values()))
    found = []
    for name in wanted.split(","):
        gpu = names.get(name) or next((gpu for key, gpu in names.items() if "-" in name and key.startswith(name)), None)
        if gpu is None:
            break
        found.append(gpu._replace(name=name))
    return found


def _names(listing: str) -> dict[str, Gpu]:
    """GPUs by index and UUID. A GPU that is split stands for its first part, as in CUDA."""
    names: dict[str, Gpu] = {}
    whole: re.Match[str] | None = None
    for line in listing.splitlines():
        if found := LISTED.match(line):
            whole = found
            gpu = Gpu(whole["uuid"], whole["uuid"], f"GPU {whole['index']} ({whole['model']})")
            names |= {whole["index"]: gpu, whole["uuid"]: gpu}
        elif (part := LISTED_PART.match(line)) and whole:
            gpu = Gpu(part["uuid"], part["uuid"], f"GPU {whole['index']}.{part['index']} ({part['model']})")
            if names[whole["index"]].uuid == whole["uuid"]:
                names |= {whole["index"]: gpu, whole["uuid"]: gpu}
            names[gpu.uuid] = gpu
    return names


# The lease --------------------------------------------------------------------------------------------------------


def start_program() -> None:
    """Start a program that computes on a GPU, to be called before torch is imported.

    Its option --compute says whether it needs a GPU, and how many jobs share one. Waits until a GPU is free.
    """
    program.start()
    with program.faults_in_words():
        parser = argparse.ArgumentParser(add_help=False)
        parser.add_argument("--compute")
        given = parser.parse_known_args(sys.argv[1:])[0].compute
        compute = read_settings(Compute, given) if given else None
        if compute and compute.device != "cpu" and (gpus := visible()):
            hold(gpus, compute.jobs_per_gpu, lock_folder())


def hold(gpus: Sequence[Gpu], jobs_per_gpu: int, folder: Path) -> Gpu:
    """Wait until one of these GPUs has room for one more job, and keep it as long as this process lives.

    A job that wants a GPU for itself gets it so, even if the jobs of another run would share it. The locks are files in
    `folder`. CUDA_VISIBLE_DEVICES then names this GPU alone.
    """
    start, told = time.monotonic(), -REMIND
    while (gpu := _take(gpus, jobs_per_gpu, folder)) is None:
        waited = time.monotonic() - start
        if waited - told >= REMIND:
            told = waited
            say(f"waits for a GPU, {duration(waited)} so far; taken: {', '.join(gpu.label for gpu in gpus)}")
        time.sleep(POLL)
    os.environ[VISIBLE] = gpu.name
    shared = f", shared by up to {jobs_per_gpu} jobs" if jobs_per_gpu > 1 else ""
    say(f"runs on {gpu.label}, {gpu.uuid}{shared}")
    return gpu


def _take(gpus: Sequence[Gpu], jobs_per_gpu: int, folder: Path) -> Gpu | None:
    """Lock a GPU with room for one more job, an unused one first; None if there is none."""
    for place in range(jobs_per_gpu):
        for gpu in gpus:
            file = folder / re.sub(r"[^\w.-]", "_", gpu.uuid)
            if jobs_per_gpu == 1:
                locks = [(file, fcntl.LOCK_EX)]
            else:
                locks = [(file, fcntl.LOCK_SH), (file.with_name(f"{file.name}.{place}"), fcntl.LOCK_EX)]
            if _lock_all(locks):
                return gpu
    return None


def _lock_all(locks: Sequence[tuple[Path, int]]) -> bool:
    """Take all of these locks, or none. Python closes their descriptors in programs that this one starts."""
    taken: list[int] = []
    for path, how in locks:
        taken.append(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600))
        try:
            fcntl.flock(taken[-1], how | fcntl.LOCK_NB)
        except BlockingIOError:
            _close(taken)
            return False
    _held.extend(taken)
    return True


def _close(files: list[int]) -> None:
    while files:
        os.close(files.pop())


# Processes that load tiles are forks of the training. They may outlive it for a moment, and must not keep its GPU.
os.register_at_fork(after_in_child=lambda: _close(_held))


def lock_folder() -> Path:
    """The folder of the locks of this user on this machine. Raises UserError if it may be somebody else's."""
    folder = Path(tempfile.gettempdir(), f"salt-gpus-{os.getuid()}-{socket.gethostname()}")
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise UserError(
            f"{folder}: expected a folder that only you can use, for the locks of this machine's GPUs, found a link or "
            "a folder that others can change. Delete it, or set TMPDIR to a folder of your own."
        )
    return folder
