"""What would stop a run, or should be known before it: one line a problem."""

import sys
from collections.abc import Iterable
from typing import NamedTuple


class Problem(NamedTuple):
    """One line: what was expected, what was found and where, and what to do."""

    text: str
    stops: bool = True

    def __str__(self) -> str:
        return f"{'Error' if self.stops else 'Warning'}: {self.text}"


def report(found: Iterable[Problem]) -> None:
    """Print all problems, errors first. Ends the program if there are errors."""
    ordered = errors_first(found)
    text = "\n".join(map(str, ordered))
    if ordered and ordered[0].stops:
        raise SystemExit(text)
    if text:
        print(text, file=sys.stderr)


def errors_first(found: Iterable[Problem]) -> list[Problem]:
    """The problems, errors before warnings."""
    return sorted(found, key=lambda problem: not problem.stops)
