"""Cross-validation: which fold holds each labelled tile out (recipe 2)."""

from pathlib import Path

import numpy as np
import pandas as pd

from salt.program import UserError
from schemas.config import Folds


def assign(table: pd.DataFrame, mosaics: pd.DataFrame | None, settings: Folds) -> pd.DataFrame:
    """Give every training tile, constant ones too, the fold that holds it out.

    Nothing is drawn at random: the same tiles get the same folds on every machine.

    table: id, split, z, constant, coverage of both splits (salt.tiles)
    mosaics: id, mosaic (salt.mosaics); needed for `by: mosaic` alone
    Returns id, fold (int, 0 to count - 1) in the order of the table's training rows.
    Raises UserError where depths are unknown or a fold would have nothing to hold out.
    """
    training = table[table["split"] == "train"]
    if len(training) < settings.count:
        raise UserError(
            f"folds.count is {settings.count}, but there are only {len(training)} training tiles. "
            "Use fewer folds or more tiles."
        )
    if settings.by == "depth":
        fold = _deal_by_depth(table, settings.count)
    elif settings.by == "coverage":
        fold = _deal_sorted(training, "coverage", settings.count)
    else:
        fold = _deal_mosaics(training["id"], mosaics, settings.count)
    folds = training[["id"]].assign(fold=fold).reset_index(drop=True)
    _check_held_out(table, folds, settings)
    return folds


def split(table: pd.DataFrame, folds: pd.DataFrame, fold: int) -> tuple[list[str], list[str]]:
    """Ids to train on and ids held out, in the table's order, both without constant tiles.

    Constant tiles show nothing to learn from; they are predicted empty.
    table: as for `assign`; folds: what `assign` returned
    Raises UserError where there is no such fold.
    """
    if fold not in set(folds["fold"]):
        raise UserError(
            f"Expected a fold from 0 to {folds['fold'].max()}, and found {fold}. Give one of those that make_folds "
            "dealt, or set folds.count in the config."
        )
    return _split(table, folds, fold)


def _split(table: pd.DataFrame, folds: pd.DataFrame, fold: int) -> tuple[list[str], list[str]]:
    usable = table.loc[(table["split"] == "train") & ~table["constant"], "id"]
    fold_of = usable.map(folds.set_index("id")["fold"])
    return usable[fold_of != fold].tolist(), usable[fold_of == fold].tolist()


def load_folds(path: Path | str) -> pd.DataFrame:
    """`folds.csv`: id (str), fold (int)."""
    return pd.read_csv(path, dtype={"id": str, "fold": int}, keep_default_na=False)


def _deal_by_depth(table: pd.DataFrame, count: int) -> "pd.Series[int]":
    """Over both splits, as the original did: the training tiles of the folds differ in number."""
    unknown = table.loc[table["z"].isna(), "id"].tolist()
    if unknown:
        raise UserError(
            f"folds.by: depth needs the depth of every tile, but {len(unknown)} of {len(table)} have none "
            f"(the first is {unknown[0]}). Add them to depths.csv, or set folds.by: coverage."
        )
    return _deal_sorted(table, "z", count)


def _deal_sorted(table: pd.DataFrame, column: str, count: int) -> "pd.Series[int]":
    """Sort by the column, ties by id, and deal 0, 1 ... count - 1, 0, 1 ... Indexed like the table."""
    order = table.sort_values([column, "id"]).index
    return pd.Series(np.arange(len(order)) % count, index=order)


def _deal_mosaics(ids: "pd.Series[str]", mosaics: pd.DataFrame | None, count: int) -> "pd.Series[int]":
    """Deal whole mosaics, the largest first, each to the smallest fold; a tile in none is a group of one."""
    if mosaics is None:
        raise UserError("folds.by: mosaic needs the mosaics of the tiles: give --mosaics mosaics.csv.")
    mosaic = ids.map(mosaics.set_index("id")["mosaic"])
    groups = [group.tolist() for _, group in ids.groupby(mosaic)] + [[name] for name in ids[mosaic.isna()]]
    sizes, fold_of = [0] * count, {}
    for group in sorted(groups, key=lambda group: (-len(group), min(group))):
        smallest = sizes.index(min(sizes))
        sizes[smallest] += len(group)
        fold_of.update(dict.fromkeys(group, smallest))
    return ids.map(fold_of)


def _check_held_out(table: pd.DataFrame, folds: pd.DataFrame, settings: Folds) -> None:
    for fold in range(settings.count):
        if not _split(table, folds, fold)[1]:
            raise UserError(
                f"Fold {fold} of {settings.count} (folds.by: {settings.by}) would hold out no tile, or only "
                "constant ones. Use fewer folds, or set folds.by: coverage."
            )
