"""Write docs/configuration.md from the schema: what every key accepts, its default and its meaning."""

import argparse
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from schemas.augmentation import PRESETS
from schemas.config import Config
from schemas.words import Node

HEAD = """\
# Configuration

This page lists every key of [workflow_config.yaml](../workflow_config.yaml) and of the recipes on top of it.
`make docs` generates it from the schema in [schemas/](../schemas).

A recipe is an overlay, `snakemake ... --configfile recipes/NAME.yaml`: mappings merge, a list replaces the inherited one, and `null` removes a key, which restores its default or removes the named entry.
`--config 'folds={count: 3}'` changes single values in the same way.
In the paths below, `<name>` is a name of your choice and `<n>` an index in a list, from 0.
`snakemake -n` checks the whole config and lists the settings that changed since the last run.
"""  # noqa: E501


def page() -> str:
    """The whole page."""
    root = Node.of(Config.model_json_schema())
    sections = _sections(root)
    paths = {kind: path for kind, (path, _) in sections.items()}
    parts = (line for path, node in sections.values() for line in _section(path, node, paths))
    return "\n".join([HEAD, *_table(root, paths), *parts, ""])


def _sections(root: Node) -> dict[str, tuple[str, Node]]:
    """All sections by kind, each with its shortest path, in the order of the top-level keys."""
    found: dict[str, tuple[str, Node]] = {}
    waiting = list(root.keys.items())
    while waiting:
        path, node = _inside(*waiting.pop(0))
        if (kind := _kind(node)) and kind not in found:
            found[kind] = path, node
            parts = node.variants.values() if node.variants else [node]
            waiting += [(f"{path}.{key}", below) for part in parts for key, below in part.keys.items()]
    top = list(root.keys)
    return dict(sorted(found.items(), key=lambda item: top.index(item[1][0].split(".")[0])))


def _inside(path: str, node: Node) -> tuple[str, Node]:
    """The items of a list or the values of a mapping of names, with their path; other nodes unchanged."""
    if node.variants:
        return path, node
    for part in (node, *node.alternatives):
        if part.item:
            return _inside(f"{path}.<n>", part.item)
        if part.value:
            return _inside(f"{path}.<name>", part.value)
    return path, node


def _kind(node: Node) -> str:
    """A key that identifies a section; empty if the node is not a section."""
    return " ".join(node.variants) or (str(node.schema["title"]) if node.keys else "")


def _section(path: str, node: Node, paths: Mapping[str, str]) -> Iterator[str]:
    """One section, or all members of a union."""
    yield from ("", f"{'#' * min(4, 2 + path.count('.') - path.count('<'))} `{path}`", "")
    if not node.variants:
        yield from (node.schema.get("about", ""), "", *_table(node, paths))
        return
    yield str(node.schema.get("about", "One of these, chosen by its `name`."))
    alike: dict[tuple[str, ...], list[str]] = {}  # sections by their table
    for name, section in node.variants.items():
        alike.setdefault(tuple(_table(section, paths)), []).append(f"- **{name}**: {section.schema['about']}")
    for table, names in alike.items():
        yield from ("", *names, *(["", *table] if table[2:] else []))
    if "flip" in node.variants:
        yield from ("", "Presets, each short for a list of these:", "", *(_preset(name) for name in PRESETS))


def _table(section: Node, paths: Mapping[str, str]) -> Iterator[str]:
    if all("const" in node.schema for node in section.keys.values()):
        return
    yield from ("| key | accepts | default | meaning |", "|---|---|---|---|")
    for key, node in section.keys.items():
        if "const" in node.schema:
            continue
        default = "*required*" if key in section.schema.get("required", ()) else _value(node.schema.get("default"))
        cells = (f"`{key}`", _accepted(node, paths), default, node.schema.get("description", ""))
        yield f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"


def _accepted(node: Node, paths: Mapping[str, str]) -> str:
    """What a key accepts, with a link to the description of a section."""
    path, inner = _inside("", node)
    if not (kind := _kind(inner)):
        return node.words
    shape = {"": "a mapping:", ".<n>": "a list of", ".<name>": "a mapping of names to"}[path]
    others = [", ".join(node.choices), *(part.words for part in node.alternatives if not path and part.value)]
    choices = "".join(f"{other}, or " for other in others if other)
    return f"{choices}{shape} [`{paths[kind]}`](#{_anchor(paths[kind])})"


def _anchor(heading: str) -> str:
    """The anchor that Markdown derives from a heading."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def _value(default: Any) -> str:
    """A default as a config would write it; empty for a section of one kind, whose own table lists its defaults."""
    if default is None:
        return "none"
    if isinstance(default, dict) and "name" in default:
        return f"`{_flow(default)}`"
    return "" if isinstance(default, dict) else f"`{default if isinstance(default, str) else json.dumps(default)}`"


def _preset(name: str) -> str:
    transforms = [_flow(transform.model_dump(mode="json")) for transform in PRESETS[name]]
    return f"- `{name}`: {', '.join(f'`{one}`' for one in transforms) or 'nothing'}"


def _flow(value: Any) -> str:
    """A value as one line of YAML, the name first."""
    if isinstance(value, list):
        return f"[{', '.join(map(_flow, value))}]"
    if isinstance(value, dict):
        return (
            "{" + ", ".join(f"{key}: {_flow(value[key])}" for key in sorted(value, key=lambda key: key != "name")) + "}"
        )
    return f"{value:g}" if isinstance(value, float) else str(value)


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs/configuration.md"), help="Markdown to write")
    parser.parse_args().out.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
