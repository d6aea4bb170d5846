import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from salt.mosaics import assemble, load_mosaics

RIGHT, BELOW = (0, 1), (1, 0)


def places(count, *pairs):
    """{id: (mosaic, row, column)} of tiles a, b, c ... after pairs such as ("a", "b", RIGHT)."""
    ids = [chr(ord("a") + number) for number in range(count)]
    rows = [(ids.index(first), ids.index(second), *step) for first, second, step in pairs]
    table = assemble(ids, pd.DataFrame(rows, columns=["first", "second", "down", "right"]))
    return {row.id: (row.mosaic, row.row, row.column) for row in table.itertuples()}


def test_pairs_become_one_mosaic_with_its_corner_at_0_0():
    assert places(4, ("b", "a", BELOW), ("c", "b", RIGHT), ("d", "c", BELOW)) == {
        "a": (0, 2, 1),
        "b": (0, 1, 1),
        "c": (0, 1, 0),
        "d": (0, 0, 0),
    }


def test_without_pairs_the_table_is_empty_but_has_its_columns():
    table = assemble(["a"], pd.DataFrame(columns=["first", "second", "down", "right"]))
    assert table.empty
    assert table.columns.tolist() == ["id", "mosaic", "row", "column"]


def test_tiles_without_neighbours_are_left_out():
    assert places(3, ("a", "c", RIGHT)) == {"a": (0, 0, 0), "c": (0, 0, 1)}


def test_mosaics_are_numbered_by_size_then_by_their_first_id():
    found = places(7, ("a", "b", RIGHT), ("e", "d", RIGHT), ("f", "c", BELOW), ("f", "g", RIGHT))
    assert {name: place[0] for name, place in found.items()} == {
        **dict.fromkeys("cfg", 0),
        **dict.fromkeys("ab", 1),
        **dict.fromkeys("de", 2),
    }


def test_a_pair_that_puts_two_tiles_in_one_place_is_dropped():
    assert places(3, ("a", "b", RIGHT), ("a", "c", RIGHT)) == {"a": (0, 0, 0), "b": (0, 0, 1)}


def test_a_pair_that_contradicts_surer_ones_changes_nothing():
    surer = [("a", "b", RIGHT), ("b", "c", BELOW)]
    assert places(3, *surer, ("c", "a", RIGHT)) == places(3, *surer)


def test_mosaics_that_would_overlap_stay_apart():
    found = places(5, ("a", "b", RIGHT), ("c", "d", RIGHT), ("d", "e", BELOW), ("a", "d", RIGHT))
    assert found["a"][0] != found["c"][0]


@given(st.integers(1, 4), st.integers(1, 4), st.randoms(use_true_random=False))
def test_a_grid_is_put_together_in_whatever_order_its_pairs_come(rows, columns, random):
    ids = [f"{number:02}" for number in range(rows * columns)]
    pairs = [
        (row * columns + column, (row + down) * columns + column + right, down, right)
        for row in range(rows)
        for column in range(columns)
        for down, right in (RIGHT, BELOW)
        if row + down < rows and column + right < columns
    ]
    random.shuffle(pairs)
    table = assemble(ids, pd.DataFrame(pairs, columns=["first", "second", "down", "right"]))
    assert len(table) == (len(ids) if len(ids) > 1 else 0)
    assert (table["mosaic"] == 0).all()
    assert (table["row"] * columns + table["column"] == table["id"].astype(int)).all()


def test_mosaics_are_read_as_they_were_written(tmp_path):
    written = pd.DataFrame({"id": ["007", "NA"], "mosaic": [0, 0], "row": [0, 1], "column": [2, 2]})
    written.to_csv(tmp_path / "mosaics.csv", index=False)
    pd.testing.assert_frame_equal(load_mosaics(tmp_path / "mosaics.csv"), written)
