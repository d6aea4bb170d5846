"""The summary of a dry run: the jobs, the reasons, the cost. A run that cannot fit on the disk does not start."""

import atexit
import contextlib
import math
import shutil
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from salt.runtime import gpu_peaks
from salt.runtime.makespan import Limits, critical_path, makespan
from salt.workflow import machine, preflight
from salt.workflow.cost import TRAININGS, Cost
from salt.workflow.problems import Problem, errors_first, report
from salt.workflow.snakemake_adapter import REASONS, Engine, Job
from schemas import rounds
from schemas.config import Config

MOST_CHANGES = 4  # shown for the same jobs
UNITS = (("TB", 1e12), ("GB", 1e9), ("MB", 1e6))
UNKNOWN = "unknown until a first training is done"


# Hooks ------------------------------------------------------------------------------------------------------------


def summarize_at_exit(engine: Engine, config: Config) -> None:
    """Register, while the Snakefile is read, a summary that is printed when a dry run ends.

    Snakemake calls no hook of a workflow in a dry run. At the exit of the program, its own output is written and its
    DAG still exists.
    """
    if engine.is_main_process:
        atexit.register(_print_summary, engine, config, Path.cwd())


def _print_summary(engine: Engine, config: Config, folder: Path) -> None:
    if not engine.has_planned_a_dry_run:
        return
    with contextlib.chdir(folder):  # `snakemake --directory` has changed back
        if jobs := engine.pending():
            cost, limits = Cost.of(config), engine.limits
            print("\n".join(["", *summary(jobs, cost, free_bytes(config.pathvars.results), limits), ""]))
            print(*errors_first(preflight.problems(config, cost, jobs, limits)), sep="\n")


def check(engine: Engine, config: Config) -> None:
    """Report problems and, in one line, the cost of the run. To be called before its first job.

    Ends the program if a problem would stop the run.
    """
    jobs, limits, cost, results = engine.pending(), engine.limits, Cost.of(config), config.pathvars.results
    free, needed = free_bytes(results), cost.disk(jobs, limits).total
    room = too_little_room(needed, free, results) if config.compute.check_disk else ()
    report([*preflight.problems(config, cost, jobs, limits, engine.runs_here), *room])
    time, disk = _trainings(jobs, cost, limits), _disk(jobs, cost, free, limits)
    print(f"This run: {len(jobs)} jobs; {time}; {disk}", file=sys.stderr)


def too_little_room(needed: int, free: int, results: str) -> Iterator[Problem]:
    """A problem if the run would write more bytes than are free."""
    if needed > free:
        yield Problem(
            f"expected room for what this run will write, about {_bytes(needed)}, and found {_bytes(free)} free "
            f"on the disk of {results}. Free some space there, or put `pathvars.results` on another disk; `snakemake "
            "-n` lists what takes how much. `compute.check_disk: false` starts the run anyway."
        )


def free_bytes(results: str) -> int:
    """Bytes free on the file system of the results."""
    return shutil.disk_usage(machine.nearest_existing(results)).free


# Text -------------------------------------------------------------------------------------------------------------


def summary(jobs: Sequence[Job], cost: Cost, free: int, limits: Limits) -> Iterator[str]:
    """The last lines of a dry run. free: bytes on the disk of the results; limits: of what runs side by side."""
    yield f"What this run takes: {len(jobs)} jobs"
    for rule, count in Counter(job.rule for job in jobs).items():
        yield f"{count:6}  {rule}"
        if rule in TRAININGS:
            yield from _by_model([job for job in jobs if job.rule == rule], cost)
    yield ""
    yield "Why"
    yield from _reasons(jobs)
    yield ""
    yield f"Time: {_trainings(jobs, cost, limits)}"
    yield from _by_round([job for job in jobs if job.rule in TRAININGS], cost)
    yield f"Disk: {_disk(jobs, cost, free, limits)}"
    for kind, amount in cost.disk(jobs, limits).kinds.items():
        yield f"{_bytes(amount):>10}  {kind}"


def _by_model(jobs: Sequence[Job], cost: Cost) -> Iterator[str]:
    """Trainings of one rule, one line per model."""
    for model, count in Counter(job.wildcards["model"] for job in jobs).items():
        seconds = _sum([cost.seconds(job) for job in jobs if job.wildcards["model"] == model])
        time = UNKNOWN if seconds is None else f"at most about {format_time(seconds)}"
        yield f"{count:12}  {model:24} {time}"


def _by_round(trainings: Sequence[Job], cost: Cost) -> Iterator[str]:
    """The training time of each round and, from GPU to GPU, a guess of all of it elsewhere; nothing if unknown."""
    of_round, seconds = rounds.numbers(cost.config), defaultdict[int, float](float)
    for job in trainings:
        if (time := cost.seconds(job)) is None:
            return
        seconds[of_round[job.wildcards["model"]]] += time
    for number, time in sorted(seconds.items()):
        yield f"{format_time(time):>10}  round {number}"
    devices = {basis.device for job in trainings if (basis := cost.basis(job))}
    if len(devices) == 1 and (guesses := gpu_peaks.elsewhere(sum(seconds.values()), *devices)):
        others = ", ".join(f"{name} {format_time(time)}" for name, time in guesses.items())
        yield f"            on other GPUs, guessed from their peak rates: {others}"


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
    """Changes of settings, one line each, with the jobs that they affect."""
    affected = defaultdict(list)
    for job in [job for job in jobs if job.rule != "write_report"] or jobs:  # its settings repeat those of all others
        for change in job.changes:
            affected[change].append(job)
    alike = defaultdict(list)
    for change, affected_jobs in affected.items():
        alike[f"{len(affected_jobs):6}  {_names(affected_jobs)}"].append(change)
    for names, changes in alike.items():
        yield from (f"{names}: {change}" for change in changes[:MOST_CHANGES])
        if len(changes) > MOST_CHANGES:
            yield f"{names}: ... and {len(changes) - MOST_CHANGES} more"


def _names(jobs: Sequence[Job]) -> str:
    """A phrase for some jobs: their rules and the wildcards that they share."""
    shared = set.intersection(*(set(job.wildcards.items()) for job in jobs))
    rules = " + ".join(dict.fromkeys(job.rule for job in jobs))
    return " ".join([rules, *(f"{key}={value}" for key, value in jobs[0].wildcards.items() if (key, value) in shared)])


def _trainings(jobs: Sequence[Job], cost: Cost, limits: Limits) -> str:
    """A phrase for the number of trainings and their time: together, side by side, and of the longest chain."""
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
    side_by_side, longest = makespan(loads := cost.loads(jobs), limits), critical_path(loads)
    return (
        f"{text}, at most about {format_time(sum(known))} of training ({', '.join(devices)}){of_them}; "
        f"{format_time(side_by_side)} {_with(limits, trainings)}, {format_time(longest)} on the critical path, which "
        "no number of GPUs shortens"
    )


def _with(limits: Limits, trainings: Sequence[Job]) -> str:
    """A phrase for the limits of what runs side by side."""
    cores = "any number of cores" if math.isinf(limits.cores) else f"--cores {limits.cores}"
    if not any(job.gpus for job in trainings):
        return f"with {cores}"
    return f"with {'any number of GPUs' if math.isinf(limits.gpus) else f'gpu={limits.gpus}'} and {cores}"


def _disk(jobs: Sequence[Job], cost: Cost, free: int, limits: Limits) -> str:
    disk = cost.disk(jobs, limits)
    text = f"about {_bytes(disk.total)} in {cost.config.pathvars.results}"
    if disk.unknown:
        text += f" and the weights of {', '.join(disk.unknown)}, {UNKNOWN}"
    if cost.tiles is None and not cost.config.predict:
        text += " and everything made from tiles, whose number is unknown"
    return f"{text}; {_bytes(free)} are free" + ("" if disk.total <= free else ", which is too little")


def format_time(seconds: float) -> str:
    """Minutes, or hours."""
    return (
        f"{max(1, seconds / 60):.0f} min" if seconds < 6000 else f"{seconds / 3600:.{1 if seconds < 36000 else 0}f} h"
    )


def _bytes(count: int) -> str:
    unit, size = next(((unit, size) for unit, size in UNITS if count >= size), UNITS[-1])
    return f"{count / size:.{0 if count >= 100 * size else 1}f} {unit}"
