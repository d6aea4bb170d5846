"""Read a table of a run."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from salt.data.damage import reading


def read_table(
    path: Path | str, types: Mapping[str, type] | None = None, columns: Iterable[str] = (), **options: Any
) -> pd.DataFrame:
    """Read a CSV of a run. Raises UserError if it is missing or damaged, or lacks a column of `types` or `columns`.

    options: of pandas.read_csv
    """
    with reading(Path(path)):
        table = pd.read_csv(path, dtype=types, **options)
        if absent := [name for name in (*(types or ()), *columns) if name not in table]:
            raise ValueError(f"without the columns {', '.join(absent)}")
        return table
