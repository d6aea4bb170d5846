"""Folds that a user lists in a file: the only way to those of another project or of the original."""

from pathlib import Path

import pandas as pd

from salt.intake.faults import Faults
from salt.intake.files import Folder
from salt.intake.tables import Table, read_table


def read_folds(path: Path, table: pd.DataFrame, count: int) -> dict[str, int]:
    """The fold, 0 to count - 1, of each labelled tile, by id.

    path: CSV with the columns id and fold. Rows of test tiles are ignored, among them tiles whose labels are hidden.
    table: id, split (salt.data.tiles)
    Raises UserError listing every fault of the file.
    """
    faults, unrelated = Faults(), Faults()  # the file may lie among any others
    rows = read_table(Folder(path.parent, unrelated, below=()), path.name, ["id", "fold"], faults)
    known, labelled = set(table["id"]), table.loc[table["split"] == "train", "id"].tolist()
    allowed = {str(fold): fold for fold in range(count)}
    if rows is None:
        faults.add("missing files", [str(path)], "Put them there, or correct folds.file.")
    elif rows:
        faults.add("ids without a tile", [name for name in rows if name not in known], "Remove their rows.")
        faults.add("labelled tiles without a row", [name for name in labelled if name not in rows], "Add their rows.")
        wrong = [f"{name} ({_fold(rows, name)})" for name in labelled if _fold(rows, name) not in (None, *allowed)]
        faults.add(f"folds other than 0 to {count - 1}", wrong, "Correct them, or set folds.count.")
    faults.report_warnings()
    faults.raise_if_any(f"{path} cannot be used as folds (folds.file)")
    return {name: allowed[fold] for name in labelled if (fold := _fold(rows or {}, name))}


def _fold(rows: Table, name: str) -> str | None:
    return rows[name]["fold"] if name in rows else None
