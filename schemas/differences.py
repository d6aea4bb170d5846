"""What two settings differ in."""

import json
from collections.abc import Iterator
from typing import Any


def differences(old: Any, new: Any) -> Iterator[str]:
    """Values of two nested settings that are not the same, each with the path of keys that leads to it."""
    before, after = dict(_flat(old)), dict(_flat(new))
    for key in dict.fromkeys([*before, *after]):
        values = [json.dumps(values[key]) if key in values else "nothing" for values in (before, after)]
        if values[0] != values[1]:
            yield f"{key}: {' -> '.join(values)}"


def _flat(value: Any, *path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict | list) and value:
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _flat(item, *path, str(key))
    else:
        yield ".".join(path), value
