"""How far long work is: a line now and then in the log, and on the terminal that started the run.

The log of a program is a file, so that it can be read afterwards; a bar that redraws itself would fill it. Whoever
started the run looks at a terminal, which the Snakefile hands down as file descriptor 3: each line goes there too.
"""

import contextlib
import logging
import os
import time

from tqdm import tqdm

TERMINAL = 3


def say(line: str) -> None:
    """Write one line to the log and to the terminal of the run, where there is one."""
    logging.info(line)
    with contextlib.suppress(OSError):  # there is no such descriptor where the workflow did not start the program
        os.write(TERMINAL, f"{line}\n".encode())


class Clock:
    """Rate and time left of work whose size is known."""

    def __init__(self, total: float) -> None:
        self.total = total
        self.start = time.monotonic()

    def left(self, done: float) -> str:
        """Time left after `done` of `total`, as hours:minutes:seconds, at the pace so far."""
        if done <= 0:
            return "?"
        return duration((time.monotonic() - self.start) / done * (self.total - done))


def duration(seconds: float) -> str:
    """Seconds as [hours:]minutes:seconds."""
    return str(tqdm.format_interval(max(0.0, seconds)))


class Ticker:
    """Says how far a pass over many tiles is, every few seconds."""

    def __init__(self, what: str, total: int, every: float = 10.0) -> None:
        self.what, self.total, self.every = what, total, every
        self.clock = Clock(total)
        self.said = self.clock.start

    def tick(self, done: int) -> None:
        """Called after each batch with the number of tiles done."""
        now = time.monotonic()
        if now - self.said < self.every:
            return
        self.said = now
        rate = done / (now - self.clock.start)
        say(f"{self.what} | {done}/{self.total} tiles | {rate:.0f} tiles/s | {self.clock.left(done)} left")
