"""Allow one run at a time in a folder, and clear the lock of a killed run.

Snakemake's own lock is a list of files without an owner: after `kill -9` it refuses the next run until somebody types
`--unlock`. Here a live run holds an flock, which the system releases however the run ends. A process that gets the
flock knows that the files of Snakemake's lock are stale.
"""

import fcntl
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from salt.runtime.paths import LOCK
from salt.runtime.program import CAUSES
from salt.workflow.snakemake_adapter import Engine

_held: list[Any] = []  # open files: their locks last as long as this process


def hold(engine: Engine, arguments: Sequence[str] | None = None) -> None:
    """Take the lock while the Snakefile is read. Ends the program if another run is active in this folder.

    Only the process that runs the jobs holds the lock: neither a dry run nor a job of an executor plugin does.

    arguments: Snakemake's command line, by default that of this process
    """
    if _held or not engine.runs_jobs(sys.argv[1:] if arguments is None else arguments):
        return
    try:
        LOCK.parent.mkdir(exist_ok=True)
        file = LOCK.open("a+")
    except OSError as error:
        raise SystemExit(
            f"Error: expected to write to {Path.cwd()}, where Snakemake keeps its records, but cannot: "
            f"{CAUSES.get(error.errno or 0, error)}, and type the same command again."
        ) from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        owner = file.read().strip() or "unknown"
        file.close()
        raise SystemExit(
            f"Error: another run (process {owner}) is active in {Path.cwd()}; two would overwrite each other's files. "
            "Wait for it or stop it, then type the same command again."
        ) from None
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    _held.append(file)
    for stale in (LOCK.parent / "locks").glob("*.lock"):
        stale.unlink()


def is_held() -> bool:
    """Whether a run is active in this folder."""
    try:
        with LOCK.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False
