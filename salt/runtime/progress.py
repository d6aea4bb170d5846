"""How far long work is: a line now and then in the log, and on the terminal that started the run.

The log of a program is a file, so that it can be read afterwards; a bar that redraws itself would fill it. Whoever
started the run looks at a terminal, which the Snakefile hands down as a file descriptor whose number is in the
environment variable PROGRESS_TO: each line goes there too.
"""

import contextlib
import logging
import os
import time

from tqdm import tqdm


def say(line: str) -> None:
    """Write one line to the log and to the terminal of the run, where the workflow started the program."""
    logging.info(line)
    if terminal := os.environ.get("PROGRESS_TO"):
        with contextlib.suppress(OSError):  # the terminal may be gone
            os.write(int(terminal), f"{line}\n".encode())


class Clock:
    """Time left of work whose size is known."""

    def __init__(self) -> None:
        self.start = time.monotonic()

    def left(self, done: float, ahead: float) -> str:
        """Time left, as hours:minutes:seconds, for what is `ahead` at the pace of what was `done` so far."""
        return duration((time.monotonic() - self.start) / done * ahead) if done else "?"


def duration(seconds: float) -> str:
    """Seconds as [hours:]minutes:seconds."""
    return str(tqdm.format_interval(max(0.0, seconds)))


class Ticker:
    """Says how far a pass over many tiles is, every few seconds."""

    def __init__(self, what: str, total: int, every: float = 10.0, unit: str = "tiles") -> None:
        self.what, self.total, self.every, self.unit = what, total, every, unit
        self.clock = Clock()
        self.said = self.clock.start

    def tick(self, done: int) -> None:
        """Called after each batch with the number of tiles done."""
        now = time.monotonic()
        if now - self.said < self.every:
            return
        self.said = now
        rate, left = done / (now - self.clock.start), self.clock.left(done, self.total - done)
        rate_of = f"{rate:.{0 if rate >= 1 else 2}f} {self.unit}/s"
        say(f"{self.what} | {done}/{self.total} {self.unit} | {rate_of} | {left} left")
