"""Validation errors in the user's words: the place, what was expected, what was found. One line per fault.

pydantic finds the faults; the schema gives the words.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from schemas.words import Node, nearest, one_of

MOST_SHOWN = 60  # characters of a wrong value
KEY = "[key]"  # pydantic marks a fault in a mapping's key with it

Path = tuple[str | int, ...]  # keys and list indices


class Place(NamedTuple):
    """The place of a fault.

    path: as the user wrote it
    node: what the place accepts
    above: what its parent accepts
    """

    path: Path
    node: Node
    above: Node

    def __str__(self) -> str:
        return ".".join(str(part) for part in self.path) or "the settings"


def messages(error: ValidationError, schema: Mapping[str, Any]) -> dict[Path, str]:
    """One line per fault, by its path, in the order of the schema.

    schema: pydantic's JSON Schema of what was validated
    """
    root = Node.of(schema)
    found = [(detail, _place(detail["loc"], root)) for detail in error.errors()]
    misspelt = [place for detail, place in found if detail["type"] == "extra_forbidden"]
    meant = {(*place.path[:-1], nearest(place.path[-1], place.above.keys)) for place in misspelt}
    paths = [place.path for _, place in found]
    lines: dict[Path, str] = {}
    for detail, place in found:
        if detail["type"] == "missing" and place.path in meant:
            continue
        if detail["type"] == "too_short" and any(_is_below(path, place.path) for path in paths):
            continue  # pydantic counts only the valid items
        if line := _line(detail, place):
            lines.setdefault(place.path, line)
    return lines


def _is_below(path: Path, other: Path) -> bool:
    return len(path) > len(other) and path[: len(other)] == other


def suggestion(word: object, known: Iterable[str]) -> str:
    """The remedy for an unknown word: the nearest known one, else all of them."""
    names = list(known)
    if close := nearest(word, names):
        return f"did you mean {close}?"
    return f"choose {one_of(names)}" if names else "there are none"


def shown(value: object) -> str:
    """A value as a config would write it, cut to MOST_SHOWN characters."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]} ..."


def _line(detail: ErrorDetails, place: Place) -> str | None:
    """The line of one fault; None if another fault describes it better.

    A bad mapping, where a string or a mapping is expected, gives two faults; only the one about the mapping helps.
    """
    kind, found, (path, node, above) = detail["type"], detail["input"], place
    if kind == "extra_forbidden" and (instead_of_it := above.schema.get("moved", {}).get(path[-1])):
        return f"{place}: there is no such key any more; {instead_of_it}"
    if kind in ("extra_forbidden", "invalid_key") or (kind == "literal_error" and detail["loc"][-1] == KEY):
        known = node.choices or list(above.keys)
        inherited = "" if nearest(path[-1], known) else "; set it to null if another file sets it"
        return f"{place}: there is no such key; {suggestion(path[-1], known)}{inherited}"
    if kind == "value_error":
        return f"{place}: {detail['ctx']['error']}"
    if kind.startswith("union_tag"):
        return _line_of_union(place, found)
    if kind == "missing" and isinstance(path[-1], int):  # of a list of fixed length
        place, node = Place(path[:-1], above, above), above
    elif kind == "missing":
        meaning = node.schema.get("description", "required").rstrip(".")
        return f"{place}: expected {node.words}, found nothing; add it ({meaning})"
    if kind not in ("too_short", "too_long") and any(part.holds(found) for part in node.alternatives):
        return None
    do = f"; did you mean {close}?" if isinstance(found, str) and (close := nearest(found, node.choices)) else ""
    return f"{place}: expected {node.words}, found {shown(found)}{do}"


def _line_of_union(place: Place, found: Any) -> str:
    """The line for a section whose `name` is missing or unknown."""
    variants, name = place.node.variants, found.get("name")
    if name is None and (misspelt := nearest("name", map(str, found))):
        return f"{place}.{misspelt}: there is no such key; did you mean name?"
    do = f"; did you mean {close}?" if (close := nearest(name, variants)) else ""
    return f"{place}.name: expected {one_of(variants)}, found {'nothing' if name is None else shown(name)}{do}"


def _place(loc: Path, node: Node) -> Place:
    """The place of pydantic's location, which also names members of unions that the user did not write."""
    path: list[str | int] = []
    above = node
    for part in loc:
        if part == KEY:  # the key itself, not its value
            node = above.name
        elif part in node.variants:
            node = node.variants[str(part)]
        elif node.alternatives and isinstance(part, str):  # `dict[...]`, `tuple[...]`, `literal[...]`
            parts = [alternative for alternative in node.alternatives if alternative.value or alternative.item]
            node = parts[0] if parts and part.startswith(("dict[", "tuple[")) and part != loc[-1] else node
        else:
            path.append(part)
            above, node = node, node.child(part)
    return Place(tuple(path), node, above)
