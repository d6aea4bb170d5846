"""Repair a run: remove what is damaged, and let the plain command make just that again.

Snakemake says "nothing to be done" where an intermediate file is gone, and repeats all that follows from a job that
runs, even if its bytes are the same. So a repair leaves a list of what it removed. While one of these files is missing,
they alone are the targets of the plain command. What comes back with the bytes that it had gets its old time back, so
nothing follows. Where the bytes differ, as they may on a GPU, the next command makes what depends on them.
"""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from salt.runtime import provenance
from salt.runtime.atomic import atomic_path
from salt.runtime.paths import Run
from salt.verify import records
from salt.verify.comparison import Fault
from salt.verify.records import Record, Written
from schemas.base import Section
from schemas.config import Config
from schemas.errors import UserError


class Removed(Section):
    """A job whose outputs were removed. Paths are relative to the run's folder.

    target: an output of its rule; record: its provenance; files: what it had written; time: when, ns since 1970
    """

    target: str
    record: str
    files: dict[str, Written]
    time: int


REMOVED = TypeAdapter(list[Removed])


def remove(config: Config, run: Run, faults: Iterable[Fault]) -> tuple[list[Path], list[Fault]]:
    """Remove all outputs of the jobs that have a damaged or a missing file, and list the jobs in the run's folder.

    Returns the removed files, and the faults of files that no job of this config makes: these stay.
    """
    temporary, known = records.temporary(config, run), {*records.expected(config, run)}
    jobs = {fault.record.path: fault.record for fault in faults}
    mended = {path: record for path, record in jobs.items() if path in known}
    before = {job.record: job for job in _read(run)}
    after = {job.record: job for job in (_removed(run, record, temporary) for record in mended.values())}
    with atomic_path(run.repairs) as path:
        path.write_bytes(REMOVED.dump_json([*(after | before).values()], indent=1))
    of_predictions = {path: record for path, record in jobs.items() if path.is_relative_to(run.predictions)}
    removed = [path for record in (mended | of_predictions).values() for path in _delete(record)]
    return removed, [fault for fault in faults if fault.record.path not in mended | of_predictions]


def targets(config: Config, run: Run) -> list[Path]:
    """The removed files that are still missing, an output of each job; none for a prediction, which trains nothing."""
    if config.predict:
        return []
    known = {*records.expected(config, run)}  # an edited config may make others
    found = [run.folder / job.target for job in _read(run) if run.folder / job.record in known]
    return [path for path in found if not path.exists()]


def settle(config: Config, run: Run) -> list[str]:
    """Give files that came back with the same bytes their old times, once all are back. Returns the others' names."""
    if not run.repairs.exists() or targets(config, run):
        return []
    different = []
    for job in _read(run):
        path = run.folder / job.record
        now = records.Record(path, provenance.load(path) if path.exists() else {})
        if now.files == {run.folder / name: written for name, written in job.files.items()}:
            _set_times(now, job.time)
        else:
            different.append(job.target)
    run.repairs.unlink()
    return different


def _read(run: Run) -> list[Removed]:
    try:
        return REMOVED.validate_json(run.repairs.read_bytes())
    except FileNotFoundError:
        return []
    except ValidationError as error:
        raise UserError(
            f"{run.repairs}: expected the list of files that a repair removed, found a damaged one "
            f"({error.error_count()} mistakes). Delete it, and verify the run again."
        ) from None


def _removed(run: Run, record: Record, temporary: Iterable[Path]) -> Removed:
    def relative(path: Path) -> str:
        return path.relative_to(run.folder).as_posix()

    # Each rule has an output that is a file, and what lies in a folder that is an output lies deeper.
    target = min(record.files.keys() - {*temporary}, key=lambda path: (len(path.parts), path))
    files = {relative(path): written for path, written in record.files.items()}
    time = record.path.stat().st_mtime_ns  # after its inputs were made, and before what read its outputs
    return Removed(target=relative(target), record=relative(record.path), files=files, time=time)


def _delete(record: Record) -> list[Path]:
    """Delete the outputs of a job, and folders that are outputs. Returns what was there."""
    there = [path for path in record.files if path.exists()]
    for path in there:
        path.unlink()
    for folder in {path.parent for path in record.files}:
        if (folder / records.TIMESTAMP).exists() and len([*folder.iterdir()]) == 1:
            shutil.rmtree(folder)
    return there


def _set_times(record: Record, time: int) -> None:
    stamps = {path.parent / records.TIMESTAMP for path in record.files}
    for path in (*record.files, *stamps):
        if path.exists():
            os.utime(path, ns=(time, time))
