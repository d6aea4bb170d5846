"""The competition's CSV tables, read strictly: what is not as it should be is a fault, and nothing is guessed."""

import csv
import io
from collections import Counter
from collections.abc import Collection, Iterator

from salt.intake.faults import DAMAGED, Faults
from salt.intake.files import Files, Unreadable

Table = dict[str, dict[str, str]]  # rows by id, in the file's order

SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}  # of what goes for a CSV elsewhere


def read_table(
    files: Files, name: str, columns: Collection[str], faults: Faults, optional: Collection[str] = ()
) -> Table | None:
    """The rows of a table that has `columns`, one of them `id`; none where it is of no use, None where it is absent.

    Spaces around values, lines without values, quotes, a byte-order mark and the ends of lines of any system mean
    nothing. Columns that are not `optional` either are warned of.
    """
    if name not in files.names:
        alike = [f"{other} (expected {name})" for other in files.names if other.lower() in (name, f"{name}.zip")]
        faults.add("tables that are named or packed otherwise", alike, "Rename or unpack them.")
        return {} if alike else None
    try:
        text = _text(files.read(name))
        lines = list(_lines(text))
    except Unreadable as damage:
        faults.add(DAMAGED, [str(damage)])
    except UnicodeError as error:
        faults.add("tables that are no text in UTF-8", [f"{name} ({error})"], "Save them as CSV in UTF-8.")
    except csv.Error as error:
        faults.add("tables that are no CSV", [f"{name} ({error})"], "Look at the quotes around its values.")
    else:
        header = lines[0][1] if lines else []
        if _is_header(header, name, columns, faults):
            unknown = [column for column in header if column not in {*columns, *optional}]
            faults.warn(f"columns of {name} that mean nothing here", unknown, "They are not read.")
            return _rows(header, lines[1:], name, faults)
    return {}


def _text(data: bytes) -> str:
    """Raises UnicodeError saying what the bytes are instead."""
    if b"\0" in data:
        raise UnicodeError("zeros among its bytes, as in UTF-16 or in what is no text")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnicodeError(f"byte {error.start + 1} is 0x{data[error.start]:02x}") from None


def _lines(text: str) -> Iterator[tuple[int, list[str]]]:
    """The values of each line that has any, and its number. Raises csv.Error."""
    # The mask of a large tile is longer than the default allows. The limit is the whole process's: never lower it.
    csv.field_size_limit(max(csv.field_size_limit(), len(text) + 1))
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, skipinitialspace=True)
    for line in reader:
        values = [value.strip() for value in line]
        if any(values):
            yield reader.line_num, values


def _is_header(found: list[str], name: str, columns: Collection[str], faults: Faults) -> bool:
    """Whether the first line names the columns, each of them once."""
    twice = [column for column, count in Counter(found).items() if count > 1 and column in columns]
    faults.add(f"columns that {name} has more than once", twice, "Leave one of each.")
    missing = [column for column in columns if column not in found]
    if missing:
        said = ", ".join(found)[:80] or "nothing"
        separator = next((word for sign, word in SEPARATORS.items() if sign in said and len(found) == 1), None)
        faults.add(
            "tables without a column",
            [f"{name} (expected {', '.join(columns)}; found {said}{f', with {separator}' if separator else ''})"],
            "The first line must name the columns, with commas between them.",
        )
    return not (twice or missing)


def _rows(header: list[str], lines: list[tuple[int, list[str]]], name: str, faults: Faults) -> Table:
    """The rows by id; none where a line is wrong, since what is missing then is no fault of its own."""
    rows: Table = {}
    wrong = [f"line {number} ({len(values)})" for number, values in lines if len(values) != len(header)]
    faults.add(f"lines of {name} that are not {len(header)} values", wrong, "Write one value for each column.")
    if wrong:
        return rows
    for _, values in lines:
        row = dict(zip(header, values, strict=True))
        first = rows.setdefault(row["id"], row)
        if row is first:
            continue
        if row == first:
            faults.warn(f"ids that {name} has more than once, with equal rows", [row["id"]], "One of each is read.")
        else:
            faults.add(f"ids that {name} has more than once", [row["id"]], "Leave the row that is right.")
    if not lines:
        faults.add("tables without a row below their header", [name], "Get them again, or take them away.")
    return rows
