"""Errors and warnings about the data, collected so that one message lists them all."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from salt.runtime.progress import say
from schemas.errors import UserError

SHOWN = 5  # examples of each kind
LONGEST = 1000  # characters of an example: a table may hold anything
DAMAGED = "files that cannot be read"
AGAIN = "Repair or replace them."


@dataclass
class Kind:
    """A kind of fault: its remedy, and the tiles or files that have it."""

    remedy: str
    examples: list[str] = field(default_factory=list)


class Faults:
    """Errors, which end the program, and warnings, which do not, both by kind."""

    def __init__(self) -> None:
        self._errors: dict[str, Kind] = {}
        self._warnings: dict[str, Kind] = {}

    def add(self, kind: str, examples: Iterable[str], remedy: str = AGAIN) -> None:
        """Note an error of each of `examples`; `kind` says what was expected. No examples, no error."""
        _add(self._errors, kind, examples, remedy)

    def warn(self, kind: str, examples: Iterable[str], remedy: str) -> None:
        """Note an oddity of `examples` that does not stop the run; `remedy` says what happens to them."""
        _add(self._warnings, kind, examples, remedy)

    def report_warnings(self) -> None:
        """Write the warnings to the log and to the run's terminal, one line per kind, and clear them."""
        for kind, found in self._warnings.items():
            say(f"Warning: {_line(kind, found)}")
        self._warnings.clear()

    def raise_if_any(self, outcome: str) -> None:
        """Raise UserError if there are errors: `outcome`, then a line per kind with count, examples and remedy."""
        if self._errors:
            heading = f"{outcome}. The faults by kind, with their number, the first few and what to do:"
            lines = [f"- {_line(kind, found)}" for kind, found in self._errors.items()]
            raise UserError("\n".join([heading, *lines, "Then type the same command again."]))


def _add(kinds: dict[str, Kind], kind: str, examples: Iterable[str], remedy: str) -> None:
    if examples := list(examples):
        kinds.setdefault(kind, Kind(remedy)).examples.extend(examples)


def _line(kind: str, found: Kind) -> str:
    return f"{kind} {listed(found.examples)}. {found.remedy}"


def listed(examples: list[str]) -> str:
    """The number of examples and the first few: `(2): a, b`."""
    shown = ", ".join(_readable(example) for example in examples[:SHOWN])
    more = f" and {len(examples) - SHOWN} more" if len(examples) > SHOWN else ""
    return f"({len(examples)}): {shown}{more}"


def _readable(example: str) -> str:
    """The text on one line, cut to LONGEST, with terminal control characters escaped."""
    text = example if example.isprintable() else repr(example)[1:-1]
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} ..."
