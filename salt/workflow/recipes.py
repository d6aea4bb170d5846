"""The files that a config was merged from: duplicate keys, which merging hides, and the lines of faults."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, SequenceNode

OPTION = "--config"
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C loader needs libyaml


class Recipes:
    """The sources of a config, the highest priority first: the command line, then the files."""

    def __init__(self, files: Sequence[Path | str], options: Mapping[str, Any] | None = None) -> None:
        """Files: in Snakemake's order: overlays of ascending priority, then the default."""
        *overlays, default = [os.path.relpath(file) for file in files] or [""]
        roots = {OPTION: yaml.compose(yaml.safe_dump(dict(options or {})), Loader=LOADER)}
        roots |= {file: _compose(Path(file)) for file in [*reversed(overlays), default]}
        self.roots = {file: root for file, root in roots.items() if root}

    def repeated(self) -> Iterator[str]:
        """Messages about keys that appear twice in a mapping, where YAML would keep the last."""
        for file, root in self.roots.items():
            for first, second in dict.fromkeys(_repeated(root)):  # an alias repeats the finding of its anchor
                yield (
                    f"{file}, line {second.start_mark.line + 1}: expected each key once, found {second.value} again, "
                    f"first in line {first.start_mark.line + 1}; remove or rename one"
                )

    def located(self, faults: Iterable[str]) -> list[str]:
        """Faults, each with the file and line of its place, if a file has it."""
        return [f"{fault}{self._origin(fault.split(': ')[0])}" for fault in faults]

    def _origin(self, place: str) -> str:
        """The source of the deepest part of a place that any file has."""
        found = [(*_follow(root, place.split(".")), file) for file, root in self.roots.items()]
        depth, line, file = max(found, key=lambda candidate: candidate[0], default=(0, 0, ""))
        if not depth:
            return ""
        return f" ({OPTION})" if file == OPTION else f" ({file}, line {line})"


def _compose(path: Path) -> Node | None:
    """The nodes of a file; None if it cannot be read, which Snakemake has reported."""
    try:
        return yaml.compose(path.read_text(encoding="utf-8"), Loader=LOADER)
    except (OSError, UnicodeError, yaml.YAMLError):
        return None


def _repeated(node: Node) -> Iterator[tuple[Node, Node]]:
    """Pairs of equal keys within a mapping, the first one first."""
    if isinstance(node, MappingNode):
        seen: dict[str, Node] = {}
        for key, value in node.value:
            if key.value in seen:
                yield seen[key.value], key
            elif isinstance(key.value, str):
                seen[key.value] = key
            yield from _repeated(value)
    elif isinstance(node, SequenceNode):
        for value in node.value:
            yield from _repeated(value)


def _follow(node: Node, parts: Sequence[str]) -> tuple[int, int]:
    """How many parts of a place exist below a node, and the line (from 1) of the last one."""
    line = node.start_mark.line + 1
    for depth, part in enumerate(parts):
        if isinstance(node, MappingNode):
            pairs = [(key, value) for key, value in node.value if key.value == part]
        elif isinstance(node, SequenceNode):
            pairs = [(value, value) for number, value in enumerate(node.value) if str(number) == part]
        else:
            pairs = []
        if not pairs:
            return depth, line
        key, node = pairs[-1]
        line = key.start_mark.line + 1
    return len(parts), line
