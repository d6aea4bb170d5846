"""Compare the files of a run with its records: at each start by their sizes, on request by their digests."""

from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from salt.runtime import provenance
from salt.runtime.paths import Run
from salt.verify import records
from salt.verify.records import Record, Written
from schemas.config import Config

THREADS = 4  # hashlib computes without Python's lock; a disk seldom serves more at once


@dataclass(frozen=True)
class Fault:
    """A file that is not what its program wrote. found: in words; None: no such file."""

    path: Path
    record: Record
    found: str | None


@dataclass
class Comparison:
    """What a comparison found.

    compared, bytes: number of files that were compared, and the sum of their recorded sizes
    faults: files that differ or are missing
    lost: records that are missing or damaged; foreign: files that no record tells of
    """

    records: list[Record]
    compared: int = 0
    bytes: int = 0
    faults: list[Fault] = field(default_factory=list)
    lost: list[Path] = field(default_factory=list)
    foreign: list[Path] = field(default_factory=list)

    @property
    def damaged(self) -> list[Fault]:
        """The files that differ."""
        return [fault for fault in self.faults if fault.found]

    @property
    def missing(self) -> list[Fault]:
        """The files that are gone."""
        return [fault for fault in self.faults if not fault.found]


def by_size(config: Config, run: Run, unfinished: Collection[Path] = ()) -> Comparison:
    """Compare presence and sizes, in milliseconds; unfinished: outputs of jobs that will run anyway.

    Predictions of other images, which may be a hundred thousand files, and lost records are left out.
    """
    kept, damaged = records.read([*records.walk(run.folder, [*run.of_no_rule, run.predictions])])
    found = Comparison(kept, lost=damaged)
    _compare(found, records.temporary(config, run), ignored=unfinished, digests=False)
    return found


def by_digest(config: Config, run: Run) -> Comparison:
    """Compare all bytes. Reads every file of the run once."""
    files = [*records.walk(run.folder, run.of_no_rule)]
    kept, damaged = records.read(files)
    found = Comparison(kept, lost=[*damaged, *_without_record(config, run, files)])
    _compare(found, records.temporary(config, run), ignored=(), digests=True)
    known = {path for record in kept for path in (record.path, *record.files)}
    found.foreign = [path for path in files if path not in known | {*damaged} and path.name != records.TIMESTAMP]
    return found


def _compare(found: Comparison, temporary: Collection[Path], ignored: Collection[Path], digests: bool) -> None:
    """Compare the files of all records, temporary outputs only if they are there."""
    files = [
        (path, written, record)
        for record in found.records
        for path, written in record.files.items()
        if path not in ignored and path.parent not in ignored and (path not in temporary or path.exists())
    ]
    found.compared, found.bytes = len(files), sum(written.bytes for _, written, _ in files)
    if digests:
        with ThreadPoolExecutor(THREADS) as pool:
            differences = [*pool.map(lambda file: _difference(file[0], file[1], digests), files)]
    else:  # a dry run looks when it ends, too late for threads
        differences = [_difference(path, written, digests) for path, written, _ in files]
    for (path, _, record), (differs, words) in zip(files, differences, strict=True):
        if differs:
            found.faults.append(Fault(path, record, words))


def _difference(path: Path, written: Written, digests: bool) -> tuple[bool, str | None]:
    """Whether a file differs from what was written, and how in words; None: it is missing."""
    try:
        size = path.stat().st_size
        if size != written.bytes:
            return True, f"{size:,} bytes in place of {written.bytes:,}"
        if digests and provenance.sha256(path) != written.sha256:
            return True, f"other bytes than those that were written, equally many: {size:,}"
    except (FileNotFoundError, NotADirectoryError):
        return True, None
    except OSError as error:
        return True, f"a file that cannot be read: {error.strerror}"
    return False, None


def _without_record(config: Config, run: Run, files: Iterable[Path]) -> Iterator[Path]:
    """Records that are missing beside results; those of results that were not made yet do not count."""
    there = set(files)
    finished = run.report.exists()
    for path in records.expected(config, run):
        inside = path.is_relative_to(run.folder)  # a survey may lie elsewhere
        made = finished or path.with_name(path.name.removesuffix(provenance.SUFFIX)).exists()
        if inside and made and path not in there:
            yield path
