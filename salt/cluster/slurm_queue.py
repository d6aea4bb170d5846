"""Jobs that a killed run left in SLURM's queue. They train on; a new run waits for them and continues from there.

Otherwise, it would start the same trainings again, and Snakemake would delete results that appear in the meantime.
"""

import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from salt.workflow.snakemake_adapter import Engine

PAUSE = 20  # seconds between two looks at the queue
FORMAT = "%i|%k|%Z"  # a job's id, its comment (the executor plugin's: rule_<name>...), its folder


def wait_for_left_over(engine: Engine, arguments: Sequence[str] | None = None, pause: float = PAUSE) -> None:
    """Wait until no job of an earlier run in this folder is queued or runs. To be called while the Snakefile is read.

    Dry runs and jobs do not wait, nor does a machine without SLURM.

    arguments: Snakemake's command line, by default that of this process; pause: seconds
    """
    if not engine.runs_jobs(sys.argv[1:] if arguments is None else arguments) or not shutil.which("squeue"):
        return
    before: list[str] = []
    while ids := left_over(Path.cwd()):
        if ids != before:
            print(
                f"Jobs of an earlier run in this folder are still in SLURM's queue: {' '.join(ids)}. This run waits "
                f"for them and continues with their results. To stop them, with checkpoints: scancel {' '.join(ids)}",
                file=sys.stderr,
            )
        before = ids
        time.sleep(pause)


def left_over(folder: Path) -> list[str]:
    """Ids of this user's jobs that Snakemake submitted from a folder and that have not ended.

    No ids if the queue does not answer: either there is no cluster, or Snakemake cannot submit jobs and says so.
    """
    command = ["squeue", "--me", "--noheader", f"--format={FORMAT}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 (fixed words)
    jobs = [line.split("|", 2) for line in done.stdout.splitlines()]
    return [job for job, comment, place in jobs if comment.startswith(("rule_", "group_")) and Path(place) == folder]
