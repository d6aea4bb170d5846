import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from salt.data import folds
from schemas.data import Folds
from schemas.errors import UserError


def tiles(count, train=None, **columns):
    """A table of `count` tiles t00, t01 ...; the first `train` are training tiles."""
    train = count if train is None else train
    table = pd.DataFrame(
        {
            "id": [f"t{number:02}" for number in range(count)],
            "split": ["train"] * train + ["test"] * (count - train),
            "z": np.arange(count, dtype=float),
            "constant": False,
            "coverage": [0.0] * train + [np.nan] * (count - train),
        }
    )
    return table.assign(**columns)


def test_depth_is_dealt_over_both_splits_and_training_rows_are_kept():
    table = tiles(6, train=3, z=[600.0, 100, 300, 200, 400, 500])
    result = folds.assign(table, None, Folds(count=2))
    # by depth: t01, a test tile, t02, two test tiles, t00
    assert result.to_dict("list") == {"id": ["t00", "t01", "t02"], "fold": [1, 0, 0]}


def test_ties_in_depth_are_broken_by_id_whatever_the_order_of_the_rows():
    table = tiles(12, z=100.0)
    shuffled = table.sample(frac=1, random_state=1).reset_index(drop=True)
    result = folds.assign(shuffled, None, Folds(count=3)).sort_values("id")
    assert result["fold"].tolist() == [0, 1, 2] * 4


def test_training_rows_keep_their_order():
    table = tiles(9, z=[3.0, 1, 2, 9, 8, 7, 4, 5, 6])
    result = folds.assign(table, None, Folds(count=3))
    assert result["id"].tolist() == table["id"].tolist()
    assert result["fold"].tolist() == [2, 0, 1, 2, 1, 0, 0, 1, 2]


ORIGINAL = [810, 804, 811, 790, 785]  # labelled tiles that each fold of the original held out (recipe 2)


def full_size(seed, feet):
    """A table of the competition's size, 4,000 labelled tiles and 18,000 more, its rows in any order.

    Dealt in the order of depth and id, its folds hold out as many tiles as the original's.
    feet: number of different depths
    """
    rng = np.random.default_rng(seed)
    table = pd.DataFrame({"id": [f"{number:010x}" for number in rng.permutation(22_000)]})
    table["z"] = (
        rng.integers(0, feet, len(table)).astype(float) if feet < len(table) else rng.permutation(22_000).astype(float)
    )
    order = table.sort_values(["z", "id"]).index.to_numpy()
    labelled = [rng.choice(order[fold::5], size, replace=False) for fold, size in enumerate(ORIGINAL)]
    table["split"] = np.where(table.index.isin(np.concatenate(labelled)), "train", "test")
    return table.assign(constant=False, coverage=np.where(table["split"] == "train", 0.5, np.nan))


@pytest.mark.parametrize(
    ("feet", "sizes"),
    [(22_000, ORIGINAL), (900, [800] * 5)],
    ids=["every depth once", "as many equal depths as in the competition"],
)
def test_folds_of_a_full_size_table_are_even_where_depths_are_equal_and_do_not_depend_on_the_order_of_rows(feet, sizes):
    table = full_size(1, feet)
    result = folds.assign(table, None, Folds(count=5)).set_index("id")["fold"]
    assert result.value_counts().sort_index().tolist() == sizes
    for seed in range(3):
        shuffled = table.sample(frac=1, random_state=seed)
        assert (
            folds.assign(shuffled, None, Folds(count=5))
            .set_index("id")["fold"]
            .sort_index()
            .equals(result.sort_index())
        )


@st.composite
def tables_of_depths(draw, test_tiles):
    """A table, and the number of folds. At each depth are up to 4 training tiles; test_tiles(l, count): for l of them.

    Ids and rows are in an order of their own.
    """
    count = draw(st.integers(2, 5))
    labelled = draw(st.lists(st.integers(0, 4), min_size=1, max_size=12).filter(lambda of: sum(of) >= count))
    rows = [
        (float(z), split)
        for z, of in enumerate(labelled)
        for split in ["train"] * of + ["test"] * draw(test_tiles(of, count))
    ]
    table = pd.DataFrame(draw(st.permutations(rows)), columns=["z", "split"])
    ids = [f"t{number:03}" for number in draw(st.permutations(range(len(rows))))]
    return table.assign(id=ids, constant=False, coverage=0.5), count


def deal(table, count):
    """The folds by depth; nothing if one holds out no tile."""
    try:
        return folds.assign(table, None, Folds(count=count))["fold"]
    except UserError:
        return None


@settings(max_examples=50)
@given(tables_of_depths(lambda labelled, count: st.integers(0, 6)))
def test_folds_by_depth_are_a_deal_of_both_splits_in_the_order_of_depth(given_table):
    table, count = given_table
    fold = deal(table, count)
    if fold is None:
        return
    dealt = table.sort_values("z").assign(fold=np.arange(len(table)) % count)
    room = dealt.groupby(["z", "fold"]).size()
    taken = table[table["split"] == "train"].reset_index(drop=True).assign(fold=fold).groupby(["z", "fold"]).size()
    assert (room.reindex(taken.index, fill_value=0) >= taken).all()


@settings(max_examples=50)
@given(tables_of_depths(lambda labelled, count: st.integers(labelled * (count - 1), labelled * (count - 1) + 6)))
def test_where_test_tiles_leave_a_choice_folds_by_depth_differ_by_one_labelled_tile_at_most(given_table):
    table, count = given_table
    fold = deal(table, count)
    assert fold.nunique() == count
    assert fold.value_counts().max() - fold.value_counts().min() <= 1


REAL = Path("../shared/data/tgs")


@pytest.mark.skipif(not REAL.is_dir(), reason=f"the competition's tiles are not at {REAL}")
@pytest.mark.parametrize("count", [2, 5, 10])
def test_folds_of_the_real_depths_differ_by_one_labelled_tile_at_most(count):
    table, labelled = pd.read_csv(REAL / "depths.csv"), pd.read_csv(REAL / "train.csv")["id"]
    split = np.where(table["id"].isin(labelled), "train", "test")
    sizes = deal(table.assign(split=split, constant=False, coverage=0.5), count).value_counts()
    assert len(sizes) == count
    assert sizes.max() - sizes.min() <= 1


def test_the_folds_of_a_full_size_table_are_the_same_on_every_machine():
    result = folds.assign(full_size(2, 900), None, Folds(count=5)).sort_values("id")
    assert hashlib.sha256(result["fold"].to_numpy(np.uint8).tobytes()).hexdigest()[:16] == "cbdc9227d46a47a8"


def test_folds_from_a_file_are_as_listed():
    table = tiles(5, train=4, z=np.nan)
    listed = {"t03": 0, "t02": 0, "t01": 1, "t00": 0}
    result = folds.assign(table, None, Folds(count=2, by="file", file="mine.csv"), listed)
    assert result.to_dict("list") == {"id": ["t00", "t01", "t02", "t03"], "fold": [0, 1, 0, 0]}


def test_a_listed_fold_that_holds_nothing_out_is_an_error():
    with pytest.raises(UserError, match=r"in fold 1 of 2 \(folds.by: file\)"):
        folds.assign(tiles(2), None, Folds(count=2, by="file", file="mine.csv"), {"t00": 0, "t01": 0})


def test_coverage_is_dealt_over_training_tiles_alone():
    table = tiles(6, train=4, coverage=[0.9, 0.1, 0.5, 0.3, np.nan, np.nan], z=np.nan)
    result = folds.assign(table, None, Folds(count=2, by="coverage"))
    assert result["fold"].tolist() == [1, 0, 0, 1]


def mosaics(**places):
    """A table of mosaics from id=(mosaic, row, column)."""
    rows = [(name, *place) for name, place in places.items()]
    return pd.DataFrame(rows, columns=["id", "mosaic", "row", "column"])


def duplicates(**originals):
    """A table of duplicates from id=of."""
    rows = [(name, of, "mirrored") for name, of in originals.items()]
    return pd.DataFrame(rows, columns=["id", "of", "how"], dtype=str)


@settings(max_examples=50)
@given(
    st.lists(st.integers(-1, 6), min_size=4, max_size=40),
    st.integers(2, 4),
)
def test_tiles_of_one_mosaic_stay_in_one_fold_and_folds_are_even(numbers, count):
    table = tiles(len(numbers))
    mosaic = pd.DataFrame({"id": table["id"], "mosaic": numbers}).query("mosaic >= 0")
    groups = mosaic["mosaic"].nunique() + numbers.count(-1)
    if groups < count:
        return
    families = folds.families(mosaic, duplicates())
    result = folds.assign(table, families, Folds(count=count, by="mosaic"))
    assert result.merge(mosaic).groupby("mosaic")["fold"].nunique().le(1).all()
    sizes = result["fold"].value_counts()
    largest = max(mosaic["mosaic"].value_counts().max() if len(mosaic) else 1, 1)
    assert sizes.max() - sizes.min() <= largest


def test_a_family_is_a_mosaic_with_its_copies_and_their_mosaics():
    laid_out = mosaics(a=(0, 0, 0), b=(0, 0, 1), c=(1, 0, 0), d=(1, 0, 1), e=(2, 0, 0), f=(2, 0, 1))
    families = folds.families(laid_out, duplicates(b="g", d="g", i="h"))
    assert sorted(sorted(group.index) for _, group in families.groupby(families)) == [
        ["a", "b", "c", "d", "g"],
        ["e", "f"],
        ["h", "i"],
    ]


def test_labelled_copies_of_a_test_tile_stay_in_one_fold_with_its_mosaic():
    table = tiles(8, train=7)
    families = folds.families(mosaics(t01=(0, 0, 0), t07=(0, 0, 1)), duplicates(t03="t07", t05="t07"))
    fold_of = folds.assign(table, families, Folds(count=2, by="mosaic")).set_index("id")["fold"]
    assert fold_of["t01"] == fold_of["t03"] == fold_of["t05"]


def test_mosaics_with_test_tiles_only_do_not_matter():
    table = tiles(4, train=2)
    families = folds.families(mosaics(t02=(0, 0, 0), t03=(0, 0, 1)), duplicates())
    assert folds.assign(table, families, Folds(count=2, by="mosaic"))["fold"].tolist() == [0, 1]


def test_without_mosaics_and_duplicates_every_tile_is_on_its_own():
    families = folds.families(mosaics(), duplicates())
    assert families.empty
    assert folds.assign(tiles(4), families, Folds(count=2, by="mosaic"))["fold"].tolist() == [0, 1, 0, 1]


def test_tiles_with_a_neighbour_or_a_copy_in_another_fold_are_counted_once():
    dealt = pd.DataFrame({"id": list("abcdefg"), "fold": [0, 1, 0, 0, 1, 1, 0]})
    # a b c stand in a row, d below a, e across the corner from d; x is a test tile
    laid_out = mosaics(a=(0, 0, 0), b=(0, 0, 1), c=(0, 0, 2), d=(0, 1, 0), x=(0, 1, 1), e=(0, 2, 1), f=(1, 0, 0))
    assert folds.shared_across_folds(dealt, laid_out, duplicates()) == 3
    assert folds.shared_across_folds(dealt, laid_out, duplicates(b="a")) == 3
    assert folds.shared_across_folds(dealt, laid_out, duplicates(f="x", g="x")) == 5
    assert folds.shared_across_folds(dealt, laid_out, duplicates(f="e")) == 3
    assert folds.shared_across_folds(dealt, mosaics(), duplicates()) == 0


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1))
def test_folds_by_mosaic_share_nothing(seed):
    rng = np.random.default_rng(seed)
    table = tiles(20)
    laid_out = mosaics(**{name: (rng.integers(9), 0, k) for k, name in enumerate(table["id"]) if rng.random() < 0.7})
    copies = duplicates(**{f"t{k:02}": f"t{rng.integers(k):02}" for k in rng.permutation(range(1, 20))[:4]})
    dealt = folds.assign(table, folds.families(laid_out, copies), Folds(count=2, by="mosaic"))
    assert folds.shared_across_folds(dealt, laid_out, copies) == 0


def test_constant_tiles_have_a_fold_but_are_neither_trained_on_nor_held_out():
    table = tiles(6, train=5, constant=[False, True, False, False, True, False])
    result = folds.assign(table, None, Folds(count=2))
    assert len(result) == 5
    training, held_out = folds.split(table, result, 0)
    assert (training, held_out) == (["t03"], ["t00", "t02"])
    assert folds.split(table, result, 0, train_constant=True) == (["t01", "t03"], held_out)


def test_unknown_depths_are_an_error_that_names_the_remedy():
    with pytest.raises(UserError, match=r"found 1 of 4 tiles without \(the first is t02\).*folds\.by: coverage"):
        folds.assign(tiles(4, z=[1, 2, np.nan, 3]), None, Folds(count=2))


def test_fewer_training_tiles_than_folds_are_an_error():
    with pytest.raises(
        UserError, match="at least as many training tiles as folds, and found 3 tiles for folds.count: 5"
    ):
        folds.assign(tiles(9, train=3), None, Folds(count=5))


def test_a_fold_that_holds_nothing_out_is_an_error():
    with pytest.raises(UserError, match="in fold 1 of 2"):
        folds.assign(tiles(4, constant=[False, True, False, True]), None, Folds(count=2))


def test_folds_by_mosaic_need_mosaics():
    with pytest.raises(UserError, match="--mosaics"):
        folds.assign(tiles(4), None, Folds(count=2, by="mosaic"))
