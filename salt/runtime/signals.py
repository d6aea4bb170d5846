"""TERM and Ctrl-C as a request to stop: long work checks it between two steps, and saves before it stops."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


class Interrupted(Exception):
    """The program stopped in order because a signal asked it to. The text says how to resume."""

    def __init__(self, text: str, signal_number: int) -> None:
        super().__init__(text)
        self.signal_number = signal_number


@dataclass
class StopRequest:
    """The number of the signal that arrived; 0 before any."""

    signal_number: int = 0


@contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Catch the first TERM or Ctrl-C inside the context. A second one ends the program, as it does by default."""
    request = StopRequest()
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def note(number: int, _: FrameType | None) -> None:
        request.signal_number = number
        restore()

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    for number in before:
        signal.signal(number, note)
    try:
        yield request
    finally:
        restore()


def ignore_stop_signals() -> None:
    """Ignore TERM and Ctrl-C in a worker process: they reach the whole process group, and the parent ends workers."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
