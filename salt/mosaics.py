"""Mosaics: which tiles are neighbours, and where each lies in the image they were cut from."""

from pathlib import Path

import pandas as pd


def load_mosaics(path: Path | str) -> pd.DataFrame:
    """`mosaics.csv`: id (str), mosaic, row, column (int); tiles of both splits that have a neighbour."""
    types = {"id": str, "mosaic": int, "row": int, "column": int}
    return pd.read_csv(path, dtype=types, keep_default_na=False)
