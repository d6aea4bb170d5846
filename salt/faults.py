"""What is wrong with the data, gathered so that all of it is said at once."""

from collections.abc import Iterable

from salt.program import UserError

SHOWN = 5
DAMAGED = "files that cannot be read"
AGAIN = "Mend them or get them again."


class Faults:
    """Faults by kind, each kind with the tiles or files that have it, and what to do about them."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[list[str], str]] = {}

    def add(self, kind: str, examples: Iterable[str], remedy: str = "") -> None:
        """Note that each of `examples` has a fault; `kind` says what was expected. No examples, no fault."""
        if examples := list(examples):
            self._found.setdefault(kind, ([], remedy))[0].extend(examples)

    def raise_if_any(self, heading: str, remedy: str) -> None:
        """Raise UserError with the heading, one line a kind (how many, the first few), and what to do."""
        if self._found:
            raise UserError("\n".join([heading, *(_line(kind, *found) for kind, found in self._found.items()), remedy]))


def _line(kind: str, examples: list[str], remedy: str) -> str:
    line = f"- {kind} ({len(examples)}): {', '.join(examples[:SHOWN])}{' ...' if len(examples) > SHOWN else ''}"
    return f"{line}. {remedy}" if remedy else line
