"""Compare every file of a run with what its programs recorded of it, and on request remove what is damaged.

`make verify RUN=name` runs this program. It ends with 1 if a file is damaged or missing and not repaired.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

from salt.data.damage import reading, run_name
from salt.runtime.paths import REPOSITORY, Run
from salt.runtime.program import faults_in_words
from salt.runtime.provenance import code
from salt.verify import repair, settings
from salt.verify.comparison import Comparison, Fault, by_digest
from salt.workflow import run_lock
from salt.workflow.dag import Plan
from schemas.errors import UserError
from schemas.words import first_of

SHOWN = 20  # lines of a kind
SHOWN_CHANGES = 3


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Options of the program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", required=True, help="a run's folder, or its name below results/")
    parser.add_argument("--repair", action="store_true", help="remove what is damaged, so that it is made again")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run the program. Returns its exit code."""
    args = parse_args(argv)
    run, plan = open_run(args.run)
    if run_lock.is_held():
        must_not_repair(args.repair)
        print("A run is active in this folder: outputs of its jobs may be missing until they are done.")
    found = by_digest(plan.config, run)
    print("\n".join([*about_files(run, found), *about_code(found), *about_settings(plan, found)]))
    if found.faults and args.repair:
        print("\n".join(repaired(plan, run, found)))
    elif found.faults or found.lost:
        print("\n".join(advice(run, found)))
    return int(bool(found.faults or found.lost) and not args.repair)


def open_run(name: str) -> tuple[Run, Plan]:
    """A run and its plan, by the config that it was last started with. Raises UserError if there is none."""
    folder = next((path for path in (Path("results", name), Path(name)) if name and path.is_dir()), None)
    if folder is None:
        runs = [path.name for path in sorted(Path("results").glob("*")) if Run(path).config.is_file()]
        raise UserError(
            f"Expected the name of a run in RUN, such as `make verify RUN=demo`, or its folder, found {name!r}. "
            f"There are: {', '.join(runs) or 'none yet'}."
        )
    run = Run(folder)
    with reading(run.config, "The command of the run writes it anew when it starts."):
        raw = dict(yaml.safe_load(run.config.read_text(encoding="utf-8")))
    moved = raw | {"pathvars": {"results": str(folder)}}
    return run, Plan(moved)


def must_not_repair(repair: bool) -> None:
    """Raise UserError if a repair is asked for: it would remove files that jobs read."""
    if repair:
        raise UserError(
            f"Expected no active run in {Path.cwd()}, found one, whose files a repair might remove. Wait for it or "
            "stop it, then type the same command again."
        )


# Text -------------------------------------------------------------------------------------------------------------


def about_files(run: Run, found: Comparison) -> Iterator[str]:
    """What is as it was, and by kind what is not."""
    intact = found.compared - len(found.faults)
    of = f"{found.compared} files of {len(found.records)} jobs ({found.bytes / 1e6:,.1f} MB)"
    yield f"{run.folder}: {intact} of {of} are as they were written"
    yield from _listed("Damaged", [f"{_name(run, fault.path)}: {fault.found}{_by(fault)}" for fault in found.damaged])
    yield from _listed("Missing", [f"{_name(run, fault.path)}{_by(fault)}" for fault in found.missing])
    yield from _listed("Records that are missing or damaged", [_name(run, path) for path in found.lost])
    yield from _listed("Foreign, in no record; left alone", [_name(run, path) for path in found.foreign])
    if without := sum(not record.files for record in found.records):
        yield f"{without} jobs ran before digests were recorded, so their files count as foreign."


def about_code(found: Comparison) -> Iterator[str]:
    """The commits that made the results, if they are several or not the one that is checked out."""
    commits = Counter((record.content.get("commit"), record.content.get("changed")) for record in found.records)
    if commits.keys() - {code(REPOSITORY)}:
        lines = [
            f"{count} jobs by {str(commit)[:12]}{' with uncommitted changes' if edited else ''}"
            for (commit, edited), count in commits.most_common()
        ]
        yield from _listed("Code, not all of it the code that is checked out", lines)


def about_settings(plan: Plan, found: Comparison) -> Iterator[str]:
    """The jobs that ran with other settings than those of the run's config."""
    lines = [
        f"{_name(plan.run, record.path)}: {first_of(changes, SHOWN_CHANGES, '; ')}"
        for record, changes in settings.changed(plan, found.records)
    ]
    yield from _listed("Settings, not those of config.yaml; the command of the run makes these again", lines)


def advice(run: Run, found: Comparison) -> Iterator[str]:
    """What to do about faults."""
    if found.faults:
        yield (
            f"`make verify RUN={run_name(run.folder)} REPAIR=1` removes all outputs of the jobs with damaged or "
            "missing files. Then the command of the run makes them again."
        )
    if found.lost:
        yield (
            "Where a record is missing or damaged, nothing proves its results. Delete them and repair the run, or "
            "keep them as they are."
        )


def repaired(plan: Plan, run: Run, found: Comparison) -> Iterator[str]:
    """Remove what is damaged, and say so."""
    removed, left = repair.remove(plan.config, run, found.faults)
    yield (
        f"Removed {len(removed)} files. Now type the command of the run, which makes them again. Then type it once "
        "more, for what depends on them, unless their bytes are the same."
    )
    yield from _listed("Left alone, since no job of config.yaml makes them", [_name(run, fault.path) for fault in left])


def _listed(title: str, lines: Sequence[str]) -> Iterator[str]:
    if lines:
        yield f"{title}: {len(lines)}"
        yield from (f"  {line}" for line in lines[:SHOWN])
        if len(lines) > SHOWN:
            yield f"  and {len(lines) - SHOWN} more"


def _name(run: Run, path: Path) -> str:
    return path.relative_to(run.folder).as_posix()


def _by(fault: Fault) -> str:
    return f" ({fault.record.program})"


def run_program() -> None:
    """Run the program, and end with its exit code, or with one paragraph about a user's mistake."""
    with faults_in_words():
        sys.exit(main())


if __name__ == "__main__":
    run_program()
