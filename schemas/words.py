"""Describe a JSON Schema in words: what each place of the config accepts. For messages and docs/configuration.md."""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

BOUNDS = {  # JSON Schema keywords for numbers
    "minimum": "of at least {:g}",
    "exclusiveMinimum": "above {:g}",
    "maximum": "of at most {:g}",
    "exclusiveMaximum": "below {:g}",
}
KINDS = {"integer": "a whole number", "number": "a number", "boolean": "true or false", "string": "a string"}


@dataclass(frozen=True)
class Node:
    """What one place of the config accepts, from pydantic's JSON Schema.

    definitions: schemas by the name that references use
    """

    schema: Mapping[str, Any]
    definitions: Mapping[str, Any]

    @classmethod
    def of(cls, schema: Mapping[str, Any]) -> Self:
        """The root of a whole schema."""
        return cls(schema, schema.get("$defs", {}))._resolved()

    def _to(self, schema: Mapping[str, Any]) -> "Node":
        return Node(schema, self.definitions)._resolved()

    def _resolved(self) -> Self:
        """The node without references, and without the null that stands for an absent key.

        `about` is the docstring of a section, `description` that of the key that holds it.
        """
        schema = dict(self.schema)
        while "$ref" in schema or len(schema.get("anyOf", ())) == 1:
            if "$ref" in schema:
                inner = self.definitions[schema.pop("$ref").split("/")[-1]]
                schema = {"about": inner.get("description", ""), **inner, **schema}
            else:
                schema = {**schema.pop("anyOf")[0], **schema}
        if any(part.get("type") == "null" for part in schema.get("anyOf", ())):
            parts = [part for part in schema["anyOf"] if part.get("type") != "null"]
            return type(self)({**schema, "anyOf": parts}, self.definitions)._resolved()
        return type(self)(schema, self.definitions)

    # Parts ----------------------------------------------------------------------------------------------------

    @property
    def keys(self) -> dict[str, "Node"]:
        """What each key of a section accepts; empty for a union of sections."""
        return {key: self._to(part) for key, part in self.schema.get("properties", {}).items()}

    @property
    def variants(self) -> dict[str, "Node"]:
        """The sections of a union, by their `name`."""
        names = self.schema.get("discriminator", {}).get("mapping", {}).items()
        own = {
            name: self._to(part) for part in self.schema.get("oneOf", ()) for name, ref in names if part["$ref"] == ref
        }
        return own | {name: node for part in self.alternatives for name, node in part.variants.items()}

    @property
    def alternatives(self) -> list["Node"]:
        """The parts of any other union."""
        parts = [] if "discriminator" in self.schema else self.schema.get("oneOf", [])
        return [self._to(part) for part in self.schema.get("anyOf", parts)]

    @property
    def item(self) -> "Node | None":
        """What a list accepts as items."""
        parts = self.schema.get("prefixItems") or [self.schema.get("items")]
        return self._to(parts[0]) if parts[0] else None

    @property
    def value(self) -> "Node | None":
        """What a mapping of user-defined names accepts as values."""
        by_pattern = list(self.schema.get("patternProperties", {}).values())
        value = by_pattern[0] if by_pattern else self.schema.get("additionalProperties")
        return self._to(value) if isinstance(value, Mapping) else None

    @property
    def name(self) -> "Node":
        """What such a mapping accepts as names."""
        return self._to({"type": "string", **self.schema.get("propertyNames", {})})

    @property
    def choices(self) -> list[str]:
        """The strings accepted here, if they can be listed."""
        own = [self.schema["const"]] if "const" in self.schema else self.schema.get("enum", [])
        return [*map(str, own), *(choice for part in self.alternatives for choice in part.choices)]

    def holds(self, value: object) -> bool:
        """Whether a value is a list or a mapping and this place accepts one."""
        mapping = self.value or self.keys or self.variants
        return bool((isinstance(value, list) and self.item) or (isinstance(value, Mapping) and mapping))

    def child(self, part: str | int) -> "Node":
        """What a key or the items of a list accept; the node itself if it has neither."""
        parts = [self, *self.alternatives]
        found = [node.item if isinstance(part, int) else node.keys.get(part, node.value) for node in parts]
        return next(filter(None, found), self)

    # Words ----------------------------------------------------------------------------------------------------

    @property
    def words(self) -> str:
        """The expectation as a phrase: "a whole number of at least 2"."""
        schema = self.schema
        if "expected" in schema:
            return str(schema["expected"])
        if self.alternatives:
            return ", or ".join(part.words for part in self.alternatives)
        if self.variants:
            return f"a mapping whose name is {one_of(self.variants)}"
        if self.choices:
            return one_of(self.choices)
        if schema.get("type") == "array":
            return self._words_of_list()
        if schema.get("type") == "object":
            names = "at least one name" if schema.get("minProperties") else "names"
            return f"a mapping of {names} to {self.value.words}" if self.value else f"a mapping {some_of(self.keys)}"
        if schema.get("minLength"):
            return "a non-empty string"
        return " ".join([KINDS.get(schema.get("type", ""), "a value"), " and ".join(self._bounds())]).strip()

    def _words_of_list(self) -> str:
        fewest, most = self.schema.get("minItems", 0), self.schema.get("maxItems")
        count = {(0, None): "", (1, None): " of at least one", (fewest, fewest): f" of {fewest}"}
        length = count.get((fewest, most), f" of {fewest} to {most}")
        return f"a list{length}, each {self.item.words if self.item else 'anything'}"

    def _bounds(self) -> Iterator[str]:
        schema = self.schema
        # Of an exclusive and an inclusive bound, the exclusive one is the tighter: a share above 0.
        slack = [key.replace("exclusiveM", "m") for key in schema if key.startswith("exclusiveM")]
        bounds = {key: schema[key] for key in BOUNDS if key in schema and key not in slack}
        if bounds.keys() == {"minimum", "maximum"}:
            yield "from {minimum:g} to {maximum:g}".format(**bounds)
        else:
            yield from (BOUNDS[key].format(limit) for key, limit in bounds.items())


def one_of(choices: Iterable[str]) -> str:
    """Choices as a phrase: "one of a, b"."""
    listed = list(choices)
    return listed[0] if len(listed) == 1 else f"one of {', '.join(listed)}"


def some_of(keys: Iterable[str], most: int = 12) -> str:
    """The first few keys of a mapping as a phrase: "with a, b"."""
    return f"with {first_of(keys, most)}"


def first_of(items: Iterable[object], most: int, between: str = ", ") -> str:
    """The first few items joined, with dots if there are more."""
    listed = [str(item) for item in items]
    return between.join(listed[:most]) + (" ..." if len(listed) > most else "")


def nearest(word: object, known: Iterable[str]) -> str | None:
    """The known word nearest to a misspelt one, ignoring case; None if none is near."""
    folded = {name.lower(): name for name in known}
    close = difflib.get_close_matches(str(word).lower(), folded, n=1, cutoff=0.7)
    return folded[close[0]] if close else None
