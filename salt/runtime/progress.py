"""Progress of long work: an occasional line in the log.

A program's log is a file, which a self-redrawing bar would fill. The run reads it (salt/workflow/watch.py). Where it
does not, each line also goes to the terminal: the environment variable PROGRESS_TO names its file descriptor.
"""

import contextlib
import logging
import os
import time

from tqdm import tqdm


def say(line: str) -> None:
    """Write one line to the log and, if the workflow started the program, to the terminal of the run."""
    logging.info(line)
    if terminal := os.environ.get("PROGRESS_TO"):
        with contextlib.suppress(OSError):  # the terminal may be gone
            os.write(int(terminal), f"{line}\n".encode())


class Clock:
    """Estimates the time left of work whose size is known."""

    def __init__(self) -> None:
        self.start = time.monotonic()

    def left(self, done: float, ahead: float) -> str:
        """Time for the work `ahead` at the pace of the work `done` so far, as [hours:]minutes:seconds; "?" at first."""
        return duration((time.monotonic() - self.start) / done * ahead) if done else "?"


def duration(seconds: float) -> str:
    """Seconds as [hours:]minutes:seconds."""
    return str(tqdm.format_interval(max(0.0, seconds)))


class Ticker:
    """Reports the progress of a pass over many tiles, at most once in `every` seconds."""

    def __init__(self, what: str, total: int, every: float = 10.0, unit: str = "tiles") -> None:
        self.what, self.total, self.every, self.unit = what, total, every, unit
        self.clock = Clock()
        self.reported = self.clock.start

    def tick(self, done: int) -> None:
        """To be called after each batch with the number of tiles done so far."""
        now = time.monotonic()
        if now - self.reported < self.every:
            return
        self.reported = now
        rate, left = done / (now - self.clock.start), self.clock.left(done, self.total - done)
        rate_of = f"{rate:.{0 if rate >= 1 else 2}f} {self.unit}/s"
        say(f"{self.what} | {done}/{self.total} {self.unit} | {rate_of} | {left} left")
