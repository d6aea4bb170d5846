"""The competition's CSV tables, read strictly."""

import csv
import io

from salt.faults import DAMAGED, Faults
from salt.files import Files, Unreadable

Table = dict[str, dict[str, str]]  # rows by id, in the file's order


def read_table(files: Files, name: str, columns: list[str], faults: Faults) -> Table | None:
    """The rows of a table that has `columns`, one of them `id`; None where it is absent or of no use."""
    if name not in files.names:
        return None
    try:
        text = files.read(name).decode("utf-8-sig")
        # The mask of a large tile is longer than the default allows. The limit is the whole process's: never lower it.
        csv.field_size_limit(max(csv.field_size_limit(), len(text) + 1))
        return _rows(csv.DictReader(io.StringIO(text, newline=""), strict=True), name, columns, faults)
    except Unreadable as damage:
        faults.add(DAMAGED, [str(damage)])
    except (UnicodeDecodeError, csv.Error) as error:
        faults.add("tables that are no CSV", [f"{name} ({error})"])
    return None


def _rows(reader: "csv.DictReader[str]", name: str, columns: list[str], faults: Faults) -> Table | None:
    header = list(reader.fieldnames or [])
    if not set(columns) <= set(header):
        found = ", ".join(header)[:80] or "none"
        faults.add("tables that lack a column", [f"{name} (expected {', '.join(columns)}; found {found})"])
        return None
    rows: Table = {}
    for row in reader:
        if None in row or None in row.values():
            faults.add(f"lines of {name} that are not {len(header)} values", [f"line {reader.line_num}"])
            continue
        if row["id"] in rows:
            faults.add(f"ids that {name} has more than once", [row["id"]])
        rows[row["id"]] = row
    return rows
