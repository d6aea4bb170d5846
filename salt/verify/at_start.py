"""A look at the files of a run as it starts: presence and sizes, in milliseconds.

Snakemake sees neither a file that was cut after it was made nor a missing one that no pending job reads.
"""

import atexit
import contextlib
import sys
from pathlib import Path

from salt.data.damage import run_name
from salt.runtime.paths import Run
from salt.verify import repair
from salt.verify.comparison import Comparison, by_size
from salt.workflow.snakemake_adapter import Engine
from schemas.config import Config
from schemas.errors import UserError
from schemas.words import first_of

SHOWN = 3


def targets(engine: Engine, config: Config) -> list[Path]:
    """What a repair removed and the plain command makes again before all else. Called while the Snakefile is read.

    Ends the program if the list of these files is damaged.
    """
    run = Run.of(config)
    try:
        if engine.runs_jobs(sys.argv[1:]):
            repair.settle(config, run)  # of a run that was killed before it could do so
        return repair.targets(config, run)
    except UserError as error:
        raise SystemExit(f"Error: {error}") from None


def look_at_exit(engine: Engine, config: Config) -> None:
    """Register a look at the end of a dry run, or where nothing is to be done: Snakemake then calls no hook."""
    if engine.is_main_process:
        atexit.register(_look_without_jobs, engine, config, Path.cwd())


def _look_without_jobs(engine: Engine, config: Config, folder: Path) -> None:
    if engine.has_planned_a_dry_run or engine.has_nothing_to_do:
        with contextlib.chdir(folder):  # `snakemake --directory` has changed back
            look(engine, config)


def look(engine: Engine, config: Config) -> None:
    """Print one line about the files of finished jobs that will not run again. Requires a complete DAG."""
    run = Run.of(config)
    pending = {path for job in engine.pending() for path in job.outputs}
    for line in lines(run, by_size(config, run, pending), len(repair.targets(config, run))):
        print(line, file=sys.stderr)


def after_success(config: Config) -> None:
    """Say, at the end of a run, what came of a repair."""
    run = Run.of(config)
    if run.repairs.exists() and not config.predict:
        different = repair.settle(config, run)
        found = f"other bytes: {first_of(different, SHOWN)}" if different else "the same bytes"
        print(f"repaired    with {found}. Type the same command again for what is left to do.", file=sys.stderr)


def lines(run: Run, found: Comparison, repairs: int) -> list[str]:
    """The words of a look; repairs: jobs that a repair lets run first."""
    name, words = run_name(run.folder), []
    if repairs:
        words = [f"Repair of {run.folder}: {repairs} jobs run again. Then type the same command again."]
    if found.faults or found.lost:
        faults = [f"{fault.path} ({fault.found or 'missing'})" for fault in found.faults]
        faults += [f"{path} (damaged)" for path in found.lost]
        words.append(
            f"Warning: {len(faults)} of {found.compared} files of earlier jobs are not as they were written: "
            f"{first_of(faults, SHOWN)}. `make verify RUN={name}` compares all bytes and tells how to mend them."
        )
    elif found.compared:
        words.append(f"{found.compared} files of earlier jobs are there, with their sizes")
    return words
