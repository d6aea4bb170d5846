"""Ids of tiles: plain names that mean the same on every system, safe in paths, tables and messages."""

import re
from collections import defaultdict
from collections.abc import Iterable

from salt.intake.faults import Faults

# Slashes lead to other folders; spreadsheets run cells that begin with = + - @; spaces get lost; macOS writes non-ASCII
# names differently, and zips write them in the code page of their maker; records reserve the longest id's length for
# every tile.
PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")

FORMULA = ("=", "+", "-", "@")  # starts of a cell that a spreadsheet runs


def plain_ids(ids: Iterable[str], source: str, faults: Faults) -> list[str]:
    """The ids that are plain names; notes the others as faults. `source` says where the ids come from."""
    names = list(ids)
    faults.add(
        f"ids of {source} that are not 1 to 100 characters of A-Z a-z 0-9 . _ -, the first a letter, a digit or _",
        [repr(name[:50]) for name in names if not PLAIN.fullmatch(name)],
        "Rename these tiles wherever they appear.",
    )
    return [name for name in names if PLAIN.fullmatch(name)]


def check_case(ids: Iterable[str], faults: Faults) -> None:
    """Note ids that differ only in case: on some systems their files would be the same."""
    alike = defaultdict(set)
    for name in ids:
        alike[name.lower()].add(name)
    faults.add(
        "ids that differ only in upper and lower case",
        [" and ".join(sorted(names)) for names in alike.values() if len(names) > 1],
        "Rename one of each pair.",
    )
