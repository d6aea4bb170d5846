"""The records of a run: what its programs wrote, by the provenance beside their results."""

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from salt.runtime import provenance
from salt.runtime.paths import Run
from schemas.config import Config
from schemas.errors import UserError

TIMESTAMP = ".snakemake_timestamp"  # Snakemake's, in each folder that is an output


class Written(NamedTuple):
    """What a program recorded of a file that it wrote."""

    sha256: str
    bytes: int


@dataclass(frozen=True)
class Record:
    """The record of one job, at `path`. content: as salt/runtime/provenance.py writes it."""

    path: Path
    content: provenance.Record

    @property
    def program(self) -> str:
        """The rule of the job."""
        return str(self.content.get("program", provenance.UNKNOWN))

    @cached_property
    def files(self) -> dict[Path, Written]:
        """The outputs of the job, file by file; none in a record of an older version of this workflow."""
        outputs = self.content.get("outputs", {})
        return {self.path.parent / name: Written(of["sha256"], of["bytes"]) for name, of in outputs.items()}


def walk(folder: Path, but: Collection[Path] = ()) -> Iterator[Path]:
    """Yield all files below a folder, sorted within each folder, but those of some folders."""
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if Path(parent, name) not in but)
        yield from (Path(parent, name) for name in sorted(names) if Path(parent, name) not in but)


def read(paths: Collection[Path]) -> tuple[list[Record], list[Path]]:
    """The records among some files, and those that are damaged."""
    records, damaged = [], []
    for path in paths:
        if path.name.endswith(provenance.SUFFIX):
            try:
                records.append(Record(path, provenance.load(path)))
            except UserError:
                damaged.append(path)
    return records, damaged


def expected(config: Config, run: Run) -> list[Path]:
    """The records of a finished run."""
    outputs = [output for of_stage in provenance.results(config, run).values() for output in of_stage]
    return [provenance.path_of(output) for output in (*outputs, run.report)]


def temporary(config: Config, run: Run) -> set[Path]:
    """Outputs that the workflow deletes once they are blended; while they wait, they may be there."""
    folds = [run.fold(name, fold) for name in config.models for fold in range(config.folds.count)]
    tests = (
        [] if config.keeps_fold_predictions else [path for fold in folds for path in fold.tests(config.compute.shards)]
    )
    return {*(fold.held_out for fold in folds), *tests}
