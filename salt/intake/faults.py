"""What is wrong or odd about the data, gathered so that all of it is said at once."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from salt.runtime.progress import say
from schemas.errors import UserError

SHOWN = 5  # tiles or files of a kind
LONGEST = 1000  # characters of one of them: a table may hold anything
DAMAGED = "files that cannot be read"
AGAIN = "Mend them or get them again."


@dataclass
class Kind:
    """A kind of fault: what to do about it, and the tiles or files that have it."""

    remedy: str
    examples: list[str] = field(default_factory=list)


class Faults:
    """Errors, which end the program, and warnings, which do not; both by kind."""

    def __init__(self) -> None:
        self._errors: dict[str, Kind] = {}
        self._warnings: dict[str, Kind] = {}

    def add(self, kind: str, examples: Iterable[str], remedy: str = AGAIN) -> None:
        """Note that each of `examples` has a fault; `kind` says what was expected. No examples, no fault."""
        _add(self._errors, kind, examples, remedy)

    def warn(self, kind: str, examples: Iterable[str], remedy: str) -> None:
        """Note what is odd about `examples` but can be worked with; `remedy` says what becomes of them."""
        _add(self._warnings, kind, examples, remedy)

    def say_warnings(self) -> None:
        """Say the warnings in the log and on the terminal of the run, one line a kind, and forget them."""
        for kind, odd in self._warnings.items():
            say(f"Warning: {_line(kind, odd)}")
        self._warnings.clear()

    def raise_if_any(self, outcome: str) -> None:
        """Raise UserError with what cannot be done, and one line a kind: how many, the first few, what to do."""
        if self._errors:
            heading = f"{outcome}. Each kind of fault, how often it was found, the first few, what to do:"
            lines = [f"- {_line(kind, wrong)}" for kind, wrong in self._errors.items()]
            raise UserError("\n".join([heading, *lines, "Then type the same command again."]))


def _add(kinds: dict[str, Kind], kind: str, examples: Iterable[str], remedy: str) -> None:
    if examples := list(examples):
        kinds.setdefault(kind, Kind(remedy)).examples.extend(examples)


def _line(kind: str, found: Kind) -> str:
    return f"{kind} {listed(found.examples)}. {found.remedy}"


def listed(examples: list[str]) -> str:
    """How many, and the first few."""
    shown = ", ".join(_readable(example) for example in examples[:SHOWN])
    more = f" and {len(examples) - SHOWN} more" if len(examples) > SHOWN else ""
    return f"({len(examples)}): {shown}{more}"


def _readable(example: str) -> str:
    """On one line and not too long, without characters that a terminal would obey."""
    text = example if example.isprintable() else repr(example)[1:-1]
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} ..."
