from pathlib import Path

from salt.runtime.paths import Run
from salt.verify.at_start import lines
from salt.verify.comparison import Comparison, Fault
from salt.verify.records import Record

RUN = Run(Path("results/mine"))
RECORD = Record(RUN.folder / "folds.csv.provenance.json", {})


def test_an_intact_run_gets_one_line_and_a_new_one_none():
    assert lines(RUN, Comparison([], compared=0), 0) == []
    assert lines(RUN, Comparison([], compared=3), 0) == ["3 files of earlier jobs are there, with their sizes"]


def test_a_warning_names_the_first_files_and_the_command():
    faults = [
        Fault(RUN.folder / f"{name}.csv", RECORD, found) for name, found in zip("abcd", ["cut", None] * 2, strict=True)
    ]
    (line,) = lines(RUN, Comparison([], compared=9, faults=faults), 0)
    assert line.startswith(
        "Warning: 4 of 9 files of earlier jobs are not as they were written: results/mine/a.csv (cut), "
    )
    assert "results/mine/b.csv (missing), results/mine/c.csv (cut) ..." in line
    assert "`make verify RUN=mine`" in line


def test_a_repair_says_how_many_jobs_run_first():
    assert lines(RUN, Comparison([], compared=1), 2)[0].startswith("Repair of results/mine: 2 jobs run again.")


def test_a_damaged_record_counts_as_a_damaged_file():
    (line,) = lines(RUN, Comparison([], compared=1, lost=[RECORD.path]), 0)
    assert "folds.csv.provenance.json (damaged)" in line
