"""Strict reading of the competition's CSV tables: every deviation is a fault, nothing is guessed."""

import csv
import io
from collections import Counter
from collections.abc import Collection, Iterator

from salt.intake.faults import DAMAGED, Faults
from salt.intake.files import Files, Unreadable

Table = dict[str, dict[str, str]]  # rows by id, in the file's order

SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}  # of CSV dialects that are refused


def read_table(
    files: Files, name: str, columns: Collection[str], faults: Faults, optional: Collection[str] = ()
) -> Table | None:
    """The rows of a table that has `columns`, one of them `id`. Empty, and a fault, if unusable; None if absent.

    Spaces around values, lines without values, quotes, a byte-order mark and the line endings of any system are
    ignored. Columns that are neither required nor `optional` give a warning.
    """
    if name not in files.names:
        alike = [f"{other} (expected {name})" for other in files.names if other.lower() in (name, f"{name}.zip")]
        faults.add("tables with another name or in a zip", alike, "Rename or unpack them.")
        return {} if alike else None
    try:
        text = _text(files.read(name))
        lines = list(_lines(text))
    except Unreadable as damage:
        faults.add(DAMAGED, [str(damage)])
    except UnicodeError as error:
        faults.add("tables that are not UTF-8 text", [f"{name} ({error})"], "Save them as CSV in UTF-8.")
    except csv.Error as error:
        faults.add("tables that are not valid CSV", [f"{name} ({error})"], "Check the quotes around the values.")
    else:
        header = lines[0][1] if lines else []
        if _is_header(header, name, columns, faults):
            unknown = [column for column in header if column not in {*columns, *optional}]
            faults.warn(f"unknown columns in {name}", unknown, "They are ignored.")
            return _rows(header, lines[1:], name, faults)
    return {}


def _text(data: bytes) -> str:
    """The bytes as text. Raises UnicodeError saying why they are not UTF-8."""
    if b"\0" in data:
        raise UnicodeError("zero bytes, as in UTF-16 or in a binary file")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnicodeError(f"byte {error.start + 1} is 0x{data[error.start]:02x}") from None


def _lines(text: str) -> Iterator[tuple[int, list[str]]]:
    """The number and the values of each line that is not empty. Raises csv.Error."""
    # The mask of a large tile exceeds the default limit. The limit holds for the whole process: never lower it.
    csv.field_size_limit(max(csv.field_size_limit(), len(text) + 1))
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, skipinitialspace=True)
    for line in reader:
        values = [value.strip() for value in line]
        if any(values):
            yield reader.line_num, values


def _is_header(found: list[str], name: str, columns: Collection[str], faults: Faults) -> bool:
    """Whether the first line names the columns, each once. Notes otherwise."""
    twice = [column for column, count in Counter(found).items() if count > 1 and column in columns]
    faults.add(f"columns that appear more than once in {name}", twice, "Keep one of each.")
    missing = [column for column in columns if column not in found]
    if missing:
        shown = ", ".join(found)[:80] or "nothing"
        separator = next((word for sign, word in SEPARATORS.items() if sign in shown and len(found) == 1), None)
        faults.add(
            "tables with missing columns",
            [f"{name} (expected {', '.join(columns)}; found {shown}{f', with {separator}' if separator else ''})"],
            "The first line must name the columns, separated by commas.",
        )
    return not (twice or missing)


def _rows(header: list[str], lines: list[tuple[int, list[str]]], name: str, faults: Faults) -> Table:
    """The rows by id. Empty if a line is malformed, so that no further faults follow from it."""
    rows: Table = {}
    wrong = [f"line {number} ({len(values)})" for number, values in lines if len(values) != len(header)]
    faults.add(f"lines of {name} without exactly {len(header)} values", wrong, "Write one value for each column.")
    if wrong:
        return rows
    for _, values in lines:
        row = dict(zip(header, values, strict=True))
        first = rows.setdefault(row["id"], row)
        if row is first:
            continue
        if row == first:
            faults.warn(
                f"ids that appear more than once in {name}, with equal rows", [row["id"]], "One of each is used."
            )
        else:
            faults.add(f"ids that appear more than once in {name}", [row["id"]], "Keep the correct row.")
    if not lines:
        faults.add("tables without rows below their header", [name], "Replace or remove them.")
    return rows
