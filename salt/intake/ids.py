"""Ids of tiles: plain names, the same on every system and harmless in paths, tables and messages."""

import re
from collections import defaultdict
from collections.abc import Iterable

from salt.intake.faults import Faults

# A path part leads elsewhere; a spreadsheet runs a cell that begins with = + - @; spaces get lost; what is not ASCII
# is written differently by macOS, and by zips as their maker's code page has it; records reserve the longest id's
# length for each tile.
PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")

FORMULA = ("=", "+", "-", "@")  # what a spreadsheet takes for the start of one


def plain_ids(ids: Iterable[str], source: str, faults: Faults) -> list[str]:
    """The ids that are plain names; the others are noted as faults. `source` says where they are from."""
    names = list(ids)
    faults.add(
        f"ids of {source} that are not 1 to 100 of A-Z a-z 0-9 . _ -, the first a letter, a digit or _",
        [repr(name[:50]) for name in names if not PLAIN.fullmatch(name)],
        "Rename these tiles wherever they are named.",
    )
    return [name for name in names if PLAIN.fullmatch(name)]


def check_case(ids: Iterable[str], faults: Faults) -> None:
    """Note as faults the ids that differ in case alone: the files of some systems would be the same."""
    alike = defaultdict(set)
    for name in ids:
        alike[name.lower()].add(name)
    faults.add(
        "ids that differ from another in upper and lower case alone",
        [" and ".join(sorted(names)) for names in alike.values() if len(names) > 1],
        "Rename one of each.",
    )
