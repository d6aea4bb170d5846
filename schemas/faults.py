"""What is wrong with the shape of a config, in the user's words: where, what was expected, what was found.

pydantic finds the faults; the words come from the schema. A fault is one line.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from schemas.words import Node, nearest, one_of

MOST_SHOWN = 60  # characters of a wrong value
KEY = "[key]"  # pydantic's mark of a fault in a name of a mapping

Path = tuple[str | int, ...]  # keys, and numbers in lists


class Place(NamedTuple):
    """Where a fault is.

    path: as the user wrote it
    node: what may stand there
    above: what may stand one step up
    """

    path: Path
    node: Node
    above: Node

    def __str__(self) -> str:
        return ".".join(str(part) for part in self.path) or "the settings"


def told(error: ValidationError, schema: Mapping[str, Any]) -> dict[Path, str]:
    """Every fault as one line, by its path, in the order of the schema.

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
            continue  # pydantic counts the parts that are right
        if line := _line(detail, place):
            lines.setdefault(place.path, line)
    return lines


def _is_below(path: Path, other: Path) -> bool:
    return len(path) > len(other) and path[: len(other)] == other


def instead(word: object, known: Iterable[str]) -> str:
    """What to do about a word that is not known: the nearest one that is, or all of them."""
    names = list(known)
    close = nearest(word, names)
    return f"did you mean {close}?" if close else f"there are {', '.join(names) or 'none'}"


def shown(value: object) -> str:
    """A value as it may be written in a config, cut where it is long."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]} ..."


def _line(detail: ErrorDetails, place: Place) -> str | None:
    """None where another fault says it better: of a mapping in a place for a text or a mapping, that it is no text."""
    kind, found, (path, node, above) = detail["type"], detail["input"], place
    if kind == "extra_forbidden" and (instead_of_it := above.schema.get("moved", {}).get(path[-1])):
        return f"{place}: there is no such key any more; {instead_of_it}"
    if kind in ("extra_forbidden", "invalid_key") or (kind == "literal_error" and detail["loc"][-1] == KEY):
        known = node.choices or list(above.keys)
        inherited = "" if nearest(path[-1], known) else "; set it to null if another file gives it"
        return f"{place}: there is no such key; {instead(path[-1], known)}{inherited}"
    if kind == "value_error":
        return f"{place}: {detail['ctx']['error']}"
    if kind.startswith("union_tag"):
        return _line_of_union(place, found)
    if kind == "missing" and isinstance(path[-1], int):  # of a list of fixed length
        place, node = Place(path[:-1], above, above), above
    elif kind == "missing":
        meaning = node.schema.get("description", "it is needed").rstrip(".")
        return f"{place}: expected {node.words}, found nothing; add it ({meaning})"
    if kind not in ("too_short", "too_long") and any(part.holds(found) for part in node.alternatives):
        return None
    do = f"; did you mean {close}?" if isinstance(found, str) and (close := nearest(found, node.choices)) else ""
    return f"{place}: expected {node.words}, found {shown(found)}{do}"


def _line_of_union(place: Place, found: Any) -> str:
    """The line for a section whose `name` is missing or not one of those that there are."""
    variants, name = place.node.variants, found.get("name")
    if name is None and (misspelt := nearest("name", map(str, found))):
        return f"{place}.{misspelt}: there is no such key; did you mean name?"
    do = f"; did you mean {close}?" if (close := nearest(name, variants)) else ""
    return f"{place}.name: expected {one_of(variants)}, found {'nothing' if name is None else shown(name)}{do}"


def _place(loc: Path, node: Node) -> Place:
    """Where pydantic's location leads. It also names the parts of unions, which the user did not write."""
    path: list[str | int] = []
    above = node
    for part in loc:
        if part == KEY:  # a name, not what stands at it
            node = above.name
        elif part in node.variants:
            node = node.variants[str(part)]
        elif node.alternatives and isinstance(part, str):  # `dict[...]`, `tuple[...]`, `literal[...]`
            parts = [alternative for alternative in node.alternatives if alternative.value or alternative.item]
            node = parts[0] if parts and part.startswith(("dict[", "tuple[")) and part != loc[-1] else node
        else:
            path.append(part)
            above, node = node, node.below(part)
    return Place(tuple(path), node, above)
