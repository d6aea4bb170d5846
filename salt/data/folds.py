"""Cross-validation: the fold that holds out each labelled tile (recipe 2)."""

from collections.abc import Mapping
from itertools import cycle, groupby
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from salt.data.tables import read_table
from schemas.data import Folds
from schemas.errors import UserError

PLACE = ["mosaic", "row", "column"]


def assign(
    table: pd.DataFrame,
    families: "pd.Series[int] | None",
    settings: Folds,
    listed: Mapping[str, int] | None = None,
) -> pd.DataFrame:
    """Assign to every training tile, even constant ones, the fold that holds it out.

    The assignment is deterministic: the same tiles get the same folds on every machine.

    table: id, split, z, constant, coverage of both splits (salt.data.tiles)
    families: from `families`; needed only for `by: mosaic`
    listed: the fold of each training tile by id (salt.intake.fold_file); needed only for `by: file`
    Returns id, fold (int, 0 to count - 1) in the order of the table's training rows.
    Raises UserError if a depth is unknown or a fold would hold out nothing.
    """
    training = table[table["split"] == "train"]
    if len(training) < settings.count:
        raise UserError(
            f"Expected at least as many training tiles as folds, and found {len(training)} tiles for folds.count: "
            f"{settings.count}. Use fewer folds or more tiles."
        )
    if settings.by == "depth":
        fold = _deal_by_depth(table, settings.count)
    elif settings.by == "coverage":
        fold = _deal_sorted(training, "coverage", settings.count)
    elif settings.by == "mosaic":
        fold = _deal_families(training["id"], families, settings.count)
    else:
        fold = training["id"].map(listed or {})
    folds = training[["id"]].assign(fold=fold).reset_index(drop=True)
    _check_held_out(table, folds, settings)
    return folds


def families(mosaics: pd.DataFrame, duplicates: pd.DataFrame) -> "pd.Series[int]":
    """Group the tiles that show the same ground: tiles of one mosaic, copies, and everything these connect.

    mosaics: id, mosaic, of both splits (salt.mosaics.layout); duplicates: id, of (salt.mosaics.duplicates)
    Returns the number of the family by id, for all tiles in either table.
    """
    first_of_mosaic = mosaics.groupby("mosaic")["id"].transform("first")
    ids = pd.concat([mosaics["id"], duplicates["id"]])
    related = pd.concat([first_of_mosaic, duplicates["of"]])
    codes, names = pd.factorize(pd.concat([ids, related]))
    ends = codes[: len(ids)], codes[len(ids) :]
    graph = sparse.coo_array((np.ones(len(ids), bool), ends), shape=(len(names), len(names)))
    return pd.Series(connected_components(graph, directed=False)[1], index=names)


def shared_across_folds(folds: pd.DataFrame, mosaics: pd.DataFrame, duplicates: pd.DataFrame) -> int:
    """Number of labelled tiles with a neighbour (left, right, above, below) or a copy in another fold.

    folds: id, fold; mosaics: id, mosaic, row, column (salt.mosaics.layout)
    duplicates: id, of (salt.mosaics.duplicates)
    """
    labelled = mosaics.merge(folds, on="id")
    pairs = [
        labelled.merge(labelled.assign(row=labelled["row"] + down, column=labelled["column"] + right), on=PLACE)
        for down, right in ((0, 1), (1, 0))
    ]
    originals = pd.DataFrame({"id": duplicates["of"].unique(), "of": duplicates["of"].unique()})
    alike = pd.concat([duplicates[["id", "of"]], originals]).merge(folds, on="id")
    beside = pd.concat([*pairs, alike.merge(alike, on="of")])
    apart = beside[beside["fold_x"] != beside["fold_y"]]
    return len(set(apart["id_x"]) | set(apart["id_y"]))


def split(
    table: pd.DataFrame, folds: pd.DataFrame, fold: int, train_constant: bool = False
) -> tuple[list[str], list[str]]:
    """Ids to train on and ids held out, in the table's order.

    Constant tiles show nothing to learn from, and their predictions are empty: they are never held out.
    table: as for `assign`; folds: from `assign`; train_constant: whether to train on constant tiles
    Raises UserError if there is no such fold.
    """
    if fold not in set(folds["fold"]):
        raise UserError(
            f"Expected a fold from 0 to {folds['fold'].max()}, and found {fold}. Choose one of the folds that "
            "make_folds assigned, or raise folds.count in the config."
        )
    return _split(table, folds, fold, train_constant)


def _split(
    table: pd.DataFrame, folds: pd.DataFrame, fold: int, train_constant: bool = False
) -> tuple[list[str], list[str]]:
    labelled = table[table["split"] == "train"]
    held_out, varies = labelled["id"].map(folds.set_index("id")["fold"]) == fold, ~labelled["constant"]
    to_train = ~held_out & (varies | train_constant)
    return labelled.loc[to_train, "id"].tolist(), labelled.loc[held_out & varies, "id"].tolist()


def load_folds(path: Path | str) -> pd.DataFrame:
    """`folds.csv`: id (str), fold (int)."""
    return read_table(path, {"id": str, "fold": int}, keep_default_na=False)


def _deal_by_depth(table: pd.DataFrame, count: int) -> "pd.Series[int]":
    """Sort the tiles of both splits and deal 0, 1 ... count - 1, 0, 1 ..., as the original did.

    Within a depth, each training tile, by id, gets the fold with the fewest of those that the depth is dealt; the test
    tiles get the others. Depths with few test tiles leave little choice, so they come first. With as many equal depths
    as in the competition, folds differ by one training tile at most.
    Returns the folds of the training tiles, indexed like the table.
    """
    unknown = table.loc[table["z"].isna(), "id"].tolist()
    if unknown:
        raise UserError(
            f"Expected the depth of every tile, since folds.by is depth, and found {len(unknown)} of {len(table)} "
            f"tiles without (the first is {unknown[0]}). Add them to depths.csv, or set folds.by: coverage."
        )
    ordered = table.sort_values(["z", "id"])
    dealt = zip(ordered["z"], ordered.index, ordered["split"] == "train", cycle(range(count)), strict=False)
    depths = [list(tiles) for _, tiles in groupby(dealt, key=lambda tile: tile[0])]
    sizes, fold_of = [0] * count, {}
    for tiles in sorted(depths, key=lambda tiles: sum(not labelled for _, _, labelled, _ in tiles)):
        free = [fold for *_, fold in tiles]
        for row in [row for _, row, labelled, _ in tiles if labelled]:
            fold_of[row] = min(free, key=lambda fold: (sizes[fold], fold))
            free.remove(fold_of[row])
            sizes[fold_of[row]] += 1
    return pd.Series(fold_of)


def _deal_sorted(table: pd.DataFrame, column: str, count: int) -> "pd.Series[int]":
    """Sort by the column, ties by id, and deal 0, 1 ... count - 1, 0, 1 ... Indexed like the table."""
    order = table.sort_values([column, "id"]).index
    return pd.Series(np.arange(len(order)) % count, index=order)


def _deal_families(ids: "pd.Series[str]", families: "pd.Series[int] | None", count: int) -> "pd.Series[int]":
    """Deal whole families, the largest first, each to the smallest fold; a tile without family is its own."""
    if families is None:
        raise UserError(
            "Expected the mosaics of the tiles, since folds.by is mosaic. Give --mosaics mosaics.csv duplicates.csv."
        )
    family = ids.map(families)
    groups = [group.tolist() for _, group in ids.groupby(family)] + [[name] for name in ids[family.isna()]]
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
                f"Expected tiles to hold out in every fold, and found none but constant ones in fold {fold} of "
                f"{settings.count} (folds.by: {settings.by}). Use fewer folds, or set folds.by: coverage."
            )
