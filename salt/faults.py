"""What is wrong with the data, gathered so that all of it is said at once."""

from collections.abc import Iterable

from salt.program import UserError

SHOWN = 5
DAMAGED = "files that cannot be read"


class Faults:
    """Faults by kind, each kind with the tiles or files that have it."""

    def __init__(self) -> None:
        self._found: dict[str, list[str]] = {}

    def add(self, kind: str, examples: Iterable[str]) -> None:
        """Note that each of `examples` has a fault; `kind` says what was expected. No examples, no fault."""
        if examples := list(examples):
            self._found.setdefault(kind, []).extend(examples)

    def raise_if_any(self, heading: str, remedy: str) -> None:
        """Raise UserError with the heading, one line a kind (how many, the first few), and what to do."""
        if self._found:
            raise UserError("\n".join([heading, *(_line(*fault) for fault in self._found.items()), remedy]))


def _line(kind: str, examples: list[str]) -> str:
    return f"- {kind} ({len(examples)}): {', '.join(examples[:SHOWN])}{' ...' if len(examples) > SHOWN else ''}"
