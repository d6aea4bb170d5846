"""What a run shows instead of a paragraph for each job: jobs done and left, the time left, what each job does now.

The programs write to their logs alone, on whatever machine they run; this module reads the logs while they grow. On a
terminal, lines below the finished jobs are drawn again each second. Elsewhere, each line of a log is a plain line.
"""

import atexit
import contextlib
import os
import re
import shutil
import statistics
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Self, TextIO

from salt.runtime import gpu_lease
from salt.runtime.makespan import Limits, makespan
from salt.runtime.progress import duration
from salt.workflow.cost import TRAININGS, Cost
from salt.workflow.dry_run import UNKNOWN, format_time
from salt.workflow.snakemake_adapter import Engine, Job
from schemas.config import Config

EVERY = 1.0  # s between two looks at the logs
ESTIMATES = 10.0  # s between two estimates of the time left
END = 14  # characters of a line that is too long: "| 1:12:10 left"
LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (.*)")  # of a program itself (salt/runtime/program.py)


class Screen:
    """Lines that stay and, on a terminal, some below them that are drawn again and again."""

    def __init__(self, out: TextIO) -> None:
        self.out, self.drawn = out, 0
        self.redraws = out.isatty() and os.environ.get("TERM") != "dumb"

    def clear(self) -> None:
        """Erase the drawn lines."""
        if self.drawn:
            self._write(f"\x1b[{self.drawn}A\x1b[J")  # up, and erase to the end
            self.drawn = 0

    def say(self, line: str) -> None:
        """Write a line that stays."""
        self.clear()
        self._write(f"{line}\n")

    def draw(self, lines: list[str]) -> None:
        """Draw lines in the place of those that are drawn, as far as the terminal has room."""
        self.clear()
        columns, rows = shutil.get_terminal_size()
        shown = [_fitted(line, columns - 1) for line in lines[: rows - 1]]
        self._write("".join(f"{line}\n" for line in shown))
        self.drawn = len(shown)

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError):  # the terminal may be gone
            self.out.write(text)
            self.out.flush()


def _fitted(line: str, width: int) -> str:
    """A line without its middle if it is too long: the time left of a job stands at its end."""
    return line if len(line) <= width else f"{line[: max(0, width - END - 1)]}…{line[-END:]}"[:width]


@dataclass
class Running:
    """A job that has started. start: s; stale: time of the log of an earlier attempt, ns; read: bytes of the log."""

    job: Job
    start: float
    stale: int | None
    read: int = 0
    last: str = "starts"
    gpu: str = ""

    @classmethod
    def of(cls, job: Job) -> Self:
        """A job that starts now: its log still shows an earlier attempt, if any."""
        return cls(job, time.monotonic(), job.log.stat().st_mtime_ns if job.log.is_file() else None)

    @property
    def label(self) -> str:
        """The GPU, if it has one, and the name."""
        return f"{self.gpu} | {self.job.name}" if self.gpu else self.job.name

    def new_lines(self) -> Iterator[str]:
        """The lines that the program has added to its log since the last call."""
        if not self.job.log.is_file() or self.job.log.stat().st_mtime_ns == self.stale:
            return
        with self.job.log.open("rb") as file:
            file.seek(self.read)
            whole, end, _ = file.read().rpartition(b"\n")
        self.read += len(whole) + len(end)
        for line in whole.decode(errors="replace").splitlines():
            if found := LINE.fullmatch(line):
                self.last = found[1]
                if taken := gpu_lease.TAKEN.search(self.last):
                    self.gpu = taken[1]
                yield self.last


class Watch:
    """The jobs of a run, and what is known of them. Snakemake's threads tell it what happens."""

    def __init__(self, out: TextIO) -> None:
        self.screen, self.lock = Screen(out), threading.RLock()
        self.jobs: dict[int, Job] = {}
        self.running: dict[int, Running] = {}
        self.done: set[int] = set()
        self.took: dict[str, list[float]] = defaultdict(list)  # s, by rule
        self.descriptor = "3"  # where programs report their progress themselves
        self.left, self.estimated = "", 0.0

    @classmethod
    def of(cls, engine: Engine) -> Self:
        """Register, while the Snakefile is read, a watch of the run, unless another display was asked for."""
        watch = cls(sys.stderr)
        if engine.watched_by(watch):
            watch.descriptor = ""
        return watch

    def begin(self, engine: Engine, config: Config) -> None:
        """Begin before the first job, when the jobs are known."""
        if not self.descriptor:
            self.expect(engine.pending(), config, engine.limits)
            atexit.register(self.clear)
            threading.Thread(target=self._look_again, daemon=True).start()

    def expect(self, jobs: list[Job], config: Config, limits: Limits) -> None:
        """Learn which jobs will run."""
        self.jobs, self.config, self.limits = {job.number: job for job in jobs}, config, limits
        self.cost = Cost.of(config)

    # What happens to jobs -------------------------------------------------------------------------------------

    def started(self, number: int) -> None:
        """A job starts, or is queued on a cluster."""
        with self.lock:
            if number in self.jobs:
                self.running[number] = Running.of(self.jobs[number])

    def finished(self, number: int) -> None:
        """A job is done."""
        with self.lock:
            self.look()
            if ended := self.running.pop(number, None):
                seconds = time.monotonic() - ended.start
                self.done.add(number)
                self.took[ended.job.rule].append(seconds)
                if ended.job.rule in TRAININGS:
                    self.cost = Cost.of(self.config)  # it left a timing
                self.estimated = 0.0
                what = ended.last if self.screen.redraws else self.status()
                self.screen.say(f"{ended.label} | done in {duration(seconds)} | {what}")

    def failed(self, number: int) -> None:
        """A job failed; Snakemake shows why."""
        with self.lock:
            self.look()
            self.running.pop(number, None)
            self.screen.clear()

    def clear(self) -> None:
        """Make room for other output."""
        with self.lock:
            self.screen.clear()

    # What is shown --------------------------------------------------------------------------------------------

    def look(self) -> None:
        """Read the logs of running jobs, and show what is new."""
        with self.lock:
            for running in self.running.values():
                for line in running.new_lines():
                    if not self.screen.redraws or line.lower().startswith("warning"):
                        self.screen.say(f"{running.label} | {line}")
            if self.screen.redraws and self.running:
                shown = sorted(f"{running.label} | {running.last}" for running in self.running.values())
                self.screen.draw([self.status(), *shown])

    def _look_again(self) -> None:
        while True:
            time.sleep(EVERY)
            self.look()

    def status(self) -> str:
        """How far the run is."""
        if not self.estimated or time.monotonic() - self.estimated > ESTIMATES:
            seconds, self.estimated = self.seconds_left(), time.monotonic()
            self.left = UNKNOWN if seconds is None else f"at most about {format_time(seconds)}"
        return f"{len(self.done)} of {len(self.jobs)} jobs done, {len(self.running)} running | time left {self.left}"

    def seconds_left(self) -> float | None:
        """Seconds until the last job is done, side by side; None if the time of a training is unknown.

        Other jobs count as much as those of the same rule in this run took, or not at all before the first one.
        """
        left = [job for number, job in self.jobs.items() if number not in self.done]
        if any(job.rule in TRAININGS and self.cost.seconds(job) is None for job in left):
            return None
        loads = self.cost.loads(left)
        for job in left:
            load, running = loads[job.number], self.running.get(job.number)
            seconds = load.seconds or statistics.fmean(self.took[job.rule] or [0.0])
            passed = time.monotonic() - running.start if running else 0.0
            loads[job.number] = replace(load, seconds=max(0.0, seconds - passed), runs=running is not None)
        return makespan(loads, self.limits)
