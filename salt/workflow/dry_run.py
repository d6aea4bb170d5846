"""What a run will do, why, and what it takes: told after a dry run. What cannot fit on the disk does not start."""

import atexit
import contextlib
import shutil
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from salt.workflow import preflight
from salt.workflow.cost import TRAININGS, Cost
from salt.workflow.preflight import Problem
from salt.workflow.snakemake_adapter import REASONS, Engine, Job
from schemas.config import Config

MOST_CHANGES = 4  # that are shown of the same jobs
UNITS = (("TB", 1e12), ("GB", 1e9), ("MB", 1e6))
UNKNOWN = "unknown until a first training is done"


# Hooks ------------------------------------------------------------------------------------------------------------


def tell_after_dry_run(engine: Engine, config: Config) -> None:
    """Called while the Snakefile is read. Has the outlook printed when a dry run ends.

    Snakemake calls no hook of a workflow in a dry run, so it is the program's end that is waited for: by then its own
    output is written, and its DAG is as it was.
    """
    if engine.is_main_process:
        atexit.register(_tell, engine, config, Path.cwd())


def _tell(engine: Engine, config: Config, folder: Path) -> None:
    if not engine.has_planned_a_dry_run:
        return
    with contextlib.chdir(folder):  # `snakemake --directory` has left it again
        if jobs := engine.pending():
            cost = Cost.of(config)
            print("\n".join(["", *outlook(jobs, cost, free_bytes(config.pathvars.results)), ""]))
            print(*preflight.in_order(preflight.problems(config, cost, jobs)), sep="\n")


def check(engine: Engine, config: Config) -> None:
    """Called as a run starts, before its first job: tells what is wrong, and in one line what the run takes.

    Ends the program where something would stop the run.
    """
    jobs, cost, free = engine.pending(), Cost.of(config), free_bytes(config.pathvars.results)
    room = too_little_room(cost.disk(jobs).total, free, config.pathvars.results) if config.compute.check_disk else ()
    preflight.tell([*preflight.problems(config, cost, jobs, engine.runs_here), *room])
    print(f"This run: {len(jobs)} jobs; {_trainings(jobs, cost)}; {_disk(jobs, cost, free)}", file=sys.stderr)


def too_little_room(needed: int, free: int, results: str) -> Iterator[Problem]:
    """A problem where bytes to be written are more than those that are free."""
    if needed > free:
        yield Problem(
            f"expected room for what this run will write, about {_bytes(needed)}, and found {_bytes(free)} free "
            f"on the disk of {results}. Free some space there, or put `pathvars.results` on another disk; `snakemake "
            "-n` shows what takes how much. `compute.check_disk: false` starts the run all the same."
        )


def free_bytes(results: str) -> int:
    """What is free on the file system of the results."""
    return shutil.disk_usage(preflight.nearest(results)).free


# Words ------------------------------------------------------------------------------------------------------------


def outlook(jobs: Sequence[Job], cost: Cost, free: int) -> Iterator[str]:
    """The lines that a dry run ends with; `free`: bytes on the disk of the results."""
    yield f"What this run takes: {len(jobs)} jobs"
    for rule, count in Counter(job.rule for job in jobs).items():
        yield f"{count:6}  {rule}"
        if rule in TRAININGS:
            yield from _by_model([job for job in jobs if job.rule == rule], cost)
    yield ""
    yield "Why"
    yield from _reasons(jobs)
    yield ""
    yield f"Time: {_trainings(jobs, cost)}"
    yield f"Disk: {_disk(jobs, cost, free)}"
    for kind, amount in cost.disk(jobs).kinds.items():
        yield f"{_bytes(amount):>10}  {kind}"


def _by_model(jobs: Sequence[Job], cost: Cost) -> Iterator[str]:
    """Trainings of one rule, a line a model."""
    for model, count in Counter(job.wildcards["model"] for job in jobs).items():
        seconds = _sum([cost.seconds(job) for job in jobs if job.wildcards["model"] == model])
        time = UNKNOWN if seconds is None else f"at most about {_time(seconds)}"
        yield f"{count:12}  {model:24} {time}"


def _sum(seconds: Sequence[float | None]) -> float | None:
    known = [value for value in seconds if value is not None]
    return sum(known) if len(known) == len(seconds) else None


def _reasons(jobs: Sequence[Job]) -> Iterator[str]:
    counts = Counter(job.why for job in jobs)
    for why in sorted(counts, key=REASONS.index):
        yield f"{counts[why]:6}  {why}"
    if any(job.changes for job in jobs):
        yield "Changed settings"
        yield from _changes([job for job in jobs if job.changes])


def _changes(jobs: Sequence[Job]) -> Iterator[str]:
    """What changed in the settings, a line a change, with the jobs that it concerns."""
    concerned = defaultdict(list)
    for job in [job for job in jobs if job.rule != "write_report"] or jobs:  # its settings are those of all others
        for change in job.changes:
            concerned[change].append(job)
    alike = defaultdict(list)
    for change, those in concerned.items():
        alike[f"{len(those):6}  {_names(those)}"].append(change)
    for names, changes in alike.items():
        yield from (f"{names}: {change}" for change in changes[:MOST_CHANGES])
        if len(changes) > MOST_CHANGES:
            yield f"{names}: ... and {len(changes) - MOST_CHANGES} more"


def _names(jobs: Sequence[Job]) -> str:
    """Which jobs these are: by their rules, and by what else they have in common."""
    shared = set.intersection(*(set(job.wildcards.items()) for job in jobs))
    rules = " + ".join(dict.fromkeys(job.rule for job in jobs))
    return " ".join([rules, *(f"{key}={value}" for key, value in jobs[0].wildcards.items() if (key, value) in shared)])


def _trainings(jobs: Sequence[Job], cost: Cost) -> str:
    """How many trainings there are and how long they take."""
    trainings = [job for job in jobs if job.rule in TRAININGS]
    pretrainings = sum(job.rule == "pretrain" for job in trainings)
    if not trainings:
        return "no trainings"
    known = [seconds for job in trainings if (seconds := cost.seconds(job)) is not None]
    text = f"{len(trainings) - pretrainings} trainings of folds and {pretrainings} pretrainings"
    if not known:
        return f"{text}, {UNKNOWN}"
    devices = dict.fromkeys(basis.device for job in trainings if (basis := cost.basis(job)))
    of_them = "" if len(known) == len(trainings) else f" for {len(known)} of them, the others {UNKNOWN}"
    return f"{text}, at most about {_time(sum(known))} of training ({', '.join(devices)}){of_them}"


def _disk(jobs: Sequence[Job], cost: Cost, free: int) -> str:
    disk = cost.disk(jobs)
    text = f"about {_bytes(disk.total)} in {cost.config.pathvars.results}"
    if disk.unknown:
        text += f" and the weights of {', '.join(disk.unknown)}, {UNKNOWN}"
    if cost.tiles is None and not cost.config.predict:
        text += " and all that is made of tiles, whose number is unknown"
    return f"{text}; {_bytes(free)} are free" + ("" if disk.total <= free else ", which is too little")


def _time(seconds: float) -> str:
    return (
        f"{max(1, seconds / 60):.0f} min" if seconds < 6000 else f"{seconds / 3600:.{1 if seconds < 36000 else 0}f} h"
    )


def _bytes(count: int) -> str:
    unit, size = next(((unit, size) for unit, size in UNITS if count >= size), UNITS[-1])
    return f"{count / size:.{0 if count >= 100 * size else 1}f} {unit}"
