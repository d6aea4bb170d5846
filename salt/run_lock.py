"""One run at a time in a folder, and no lock left behind by a run that was killed.

Snakemake's own lock is a list of files without an owner: after `kill -9` it refuses the next run until somebody types
`--unlock`. Here a live run holds an flock, which the system takes back however the run ends. Who gets the flock knows
that files of Snakemake's lock are stale.
"""

import fcntl
import os
import shutil
from pathlib import Path
from typing import Any

_held: list[Any] = []  # open files: their locks last as long as this process


def hold(workflow: Any) -> None:
    """Called while the Snakefile is read. Ends the program where another run is at work in this folder.

    Only the process that runs the jobs holds the lock: not a dry run, nor a job started by an executor plugin.
    """
    if _held or not workflow.is_main_process or not executes(workflow):
        return
    folder = Path(".snakemake")
    folder.mkdir(exist_ok=True)
    file = (folder / "run.lock").open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        owner = file.read().strip() or "unknown"
        file.close()
        raise SystemExit(
            f"Error: another run (process {owner}) is at work in {Path.cwd()}; two would overwrite each other's files. "
            "Wait for it or stop it, then type the same command again."
        ) from None
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    _held.append(file)
    shutil.rmtree(folder / "locks", ignore_errors=True)


def executes(workflow: Any) -> bool:
    """Whether this invocation runs jobs, rather than only telling about them."""
    return workflow.execution_settings is not None and not workflow.dryrun
