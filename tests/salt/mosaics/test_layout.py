from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from salt.intake.competition import read_competition
from salt.mosaics import layout as layout_module
from salt.mosaics.layout import assemble, lay_out, load_mosaics
from salt.mosaics.neighbours import seam_lines
from salt.survey.survey import make_tiles
from schemas.data import Mosaics, Survey
from schemas.errors import UserError

RIGHT, BELOW = (0, 1), (1, 0)
REAL = Path("../shared/data/tgs")


def kept(count, *pairs):
    ids = [chr(ord("a") + number) for number in range(count)]
    rows = [(ids.index(first), ids.index(second), *step) for first, second, step in pairs]
    return assemble(ids, pd.DataFrame(rows, columns=["first", "second", "down", "right"]))[1].tolist()


def places(count, *pairs):
    """{id: (mosaic, row, column)} of tiles a, b, c ... after pairs such as ("a", "b", RIGHT)."""
    ids = [chr(ord("a") + number) for number in range(count)]
    rows = [(ids.index(first), ids.index(second), *step) for first, second, step in pairs]
    table, _ = assemble(ids, pd.DataFrame(rows, columns=["first", "second", "down", "right"]))
    return {row.id: (row.mosaic, row.row, row.column) for row in table.itertuples()}


def test_pairs_become_one_mosaic_with_its_corner_at_0_0():
    assert places(4, ("b", "a", BELOW), ("c", "b", RIGHT), ("d", "c", BELOW)) == {
        "a": (0, 2, 1),
        "b": (0, 1, 1),
        "c": (0, 1, 0),
        "d": (0, 0, 0),
    }


def test_without_pairs_the_table_is_empty_but_has_its_columns():
    table, kept = assemble(["a"], pd.DataFrame(columns=["first", "second", "down", "right"]))
    assert table.empty
    assert kept.tolist() == []
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


def test_what_contradicts_more_certain_pairs_is_reported():
    assert kept(3, ("a", "b", RIGHT), ("a", "c", RIGHT)) == [True, False]
    assert kept(3, ("a", "b", RIGHT), ("b", "c", BELOW), ("c", "a", RIGHT)) == [True, True, False]
    assert kept(2, ("a", "b", RIGHT), ("b", "a", RIGHT)) == [True, False]


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.sampled_from([RIGHT, BELOW])), max_size=40))
def test_whatever_the_pairs_no_tile_has_two_places_and_no_place_two_tiles(pairs):
    rows = [(first, second, *step) for first, second, step in pairs if first != second]
    ids = [f"{number}" for number in range(10)]
    table, kept = assemble(ids, pd.DataFrame(rows, columns=["first", "second", "down", "right"]))
    assert table["id"].is_unique
    assert not table.duplicated(["mosaic", "row", "column"]).any()
    at = {row.id: (row.mosaic, row.row, row.column) for row in table.itertuples()}
    for (first, second, down, right), true in zip(rows, kept, strict=True):
        mosaic, row, column = at.get(ids[first], (-1, 0, 0))
        assert true == (at.get(ids[second]) == (mosaic, row + down, column + right))


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
    table, all_kept = assemble(ids, pd.DataFrame(pairs, columns=["first", "second", "down", "right"]))
    assert all_kept.all()
    assert len(table) == (len(ids) if len(ids) > 1 else 0)
    assert (table["mosaic"] == 0).all()
    assert (table["row"] * columns + table["column"] == table["id"].astype(int)).all()


def test_mosaics_are_read_as_they_were_written(tmp_path):
    written = pd.DataFrame({"id": ["007", "NA"], "mosaic": [0, 0], "row": [0, 1], "column": [2, 2]})
    written.to_csv(tmp_path / "mosaics.csv", index=False)
    pd.testing.assert_frame_equal(load_mosaics(tmp_path / "mosaics.csv"), written)


def section(rows, columns, seed=0, side=64, wrapped=False):
    """{(row, column): tile} of a smooth random section; wrapped: its ends fit each other, as on a torus."""
    noise = np.random.default_rng(seed).standard_normal((rows * side, columns * side)).astype(np.float32)
    edge = np.pad(noise, 12, mode="wrap" if wrapped else "reflect")
    grey = cv2.normalize(cv2.GaussianBlur(edge, (0, 0), 2.0)[12:-12, 12:-12], None, 0, 255, cv2.NORM_MINMAX, cv2.CV_8U)
    windows = grey.reshape(rows, side, columns, side).swapaxes(1, 2)
    return {(row, column): windows[row, column] for row in range(rows) for column in range(columns)}


def laid_out(tiles):
    """The layout of {id: image} and {id: (mosaic, row, column)}."""
    layout = lay_out(list(tiles), np.stack(list(tiles.values())), Mosaics())
    return layout, {row.id: (row.mosaic, row.row, row.column) for row in layout.mosaics.itertuples()}


def named(tiles, prefix=""):
    return {f"{prefix}{row}{column}": image for (row, column), image in tiles.items()}


def test_a_section_is_put_together():
    layout, at = laid_out(named(section(3, 4)))
    assert at == {f"{row}{column}": (0, row, column) for row in range(3) for column in range(4)}
    assert layout.neighbours["kept"].all()
    assert layout.neighbours["direction"].value_counts().to_dict() == {"right": 9, "below": 8}
    assert layout.duplicates.empty


@pytest.mark.parametrize("count", [0, 1])
def test_no_tile_and_one_tile_have_empty_tables(count):
    layout = lay_out(["a"][:count], section(1, 1)[0, 0][None][:count], Mosaics())
    assert [table.empty for table in layout] == [True] * 3
    assert layout.neighbours.columns.tolist() == [
        *("first", "second", "direction", "similarity", "next_best", "loops", "kept")
    ]


def test_constant_tiles_are_in_no_mosaic_and_no_duplicates():
    layout = lay_out(["a", "b", "c"], np.zeros((3, 20, 20), np.uint8), Mosaics())
    assert [table.empty for table in layout] == [True] * 3


def test_of_two_identical_sections_one_is_laid_out_and_the_other_is_copies():
    tiles = section(2, 3)
    layout, at = laid_out(named(tiles, "b") | named(tiles, "a"))
    assert at == {f"a{row}{column}": (0, row, column) for row, column in tiles}
    assert layout.duplicates.to_numpy().tolist() == [
        [f"b{row}{column}", f"a{row}{column}", "identical"] for row, column in tiles
    ]


def test_a_mirrored_section_is_a_mosaic_of_its_own():
    tiles = section(2, 3)
    layout, at = laid_out(named(tiles, "a") | {name: image[:, ::-1] for name, image in named(tiles, "b").items()})
    expected = {f"a{row}{column}": (0, row, column) for row, column in tiles}
    assert at == expected | {f"b{row}{column}": (1, row, 2 - column) for row, column in tiles}
    assert (layout.duplicates["how"] == "mirrored").all()


def test_a_turned_copy_that_is_there_twice_has_one_place():
    tiles = named(section(2, 2), "b") | {f"c{name}": image for name, image in named(section(2, 2)).items()}
    tiles |= {"a": np.rot90(tiles["b00"])}
    _, at = laid_out(tiles)
    assert at == {name: (0, int(name[1]), int(name[2])) for name in ("b00", "b01", "b10", "b11")}


def test_a_checkerboard_has_no_neighbours_and_with_one_more_tile_it_has_those_of_that():
    black = {place: image for place, image in section(4, 4).items() if sum(place) % 2 == 0}
    layout, at = laid_out(named(black))
    assert not at
    assert layout.neighbours.empty
    _, at = laid_out(named(black | {(1, 2): section(4, 4)[1, 2]}))
    assert at == {"02": (0, 0, 1), "11": (0, 1, 0), "12": (0, 1, 1), "13": (0, 1, 2), "22": (0, 2, 1)}


def test_a_section_that_ends_where_it_begins_is_cut_open():
    layout, at = laid_out(named(section(3, 4, wrapped=True)))
    assert len(layout.neighbours) == 24  # every tile has four
    assert (layout.neighbours["loops"] == 2).all()
    assert set(at) == set(named(section(3, 4)))
    assert len(set(at.values())) == 12
    assert 0 < (~layout.neighbours["kept"]).sum() < 24


@settings(max_examples=20)
@given(st.permutations(range(17)), st.sampled_from([(20, 31), (24, 24), (3, 3)]))
def test_the_order_of_the_tiles_does_not_matter(order, shape):
    height, width = shape
    tiles = [image[:height, :width] for image in named(section(3, 4)).values()]
    images = np.stack([*tiles, tiles[0], tiles[5][::-1], tiles[5][:, ::-1], np.zeros_like(tiles[0]), tiles[7]])
    ids = [f"{number:02}" for number in range(17)]
    wanted = Mosaics(min_similarity=0.1, max_ambiguity=1)  # many doubtful pairs
    straight = lay_out(ids, images, wanted)
    shuffled = lay_out([ids[row] for row in order], images[order], wanted)
    for table, other in zip(straight, shuffled, strict=True):
        pd.testing.assert_frame_equal(table, other)


def agreement(truth, at):
    """Per direction: the share of true neighbours that are found, and of the found ones those that can be true.

    truth, at: {id: (mosaic, row, column)}, the truth of some tiles. A pair contradicts it where one of its tiles is
    known to have another neighbour there, or where both are known and lie elsewhere.
    """
    shares = []
    for down, right in (RIGHT, BELOW):

        def beside(places, down=down, right=right):
            tiles = {place: name for name, place in places.items()}
            steps = {name: (mosaic, row + down, column + right) for name, (mosaic, row, column) in places.items()}
            return {(name, tiles[step]) for name, step in steps.items() if step in tiles}

        true, found = beside(truth), beside(at)
        firsts, seconds = ({pair[end] for pair in true} for end in (0, 1))
        wrong = {pair for pair in found - true if pair[0] in firsts or pair[1] in seconds or set(pair) <= set(truth)}
        shares.append((len(found & true) / len(true), 1 - len(wrong) / len(found)))
    return shares


def assert_bars(truth, at):
    (across, right_across), (below, right_below) = agreement(truth, at)
    assert across >= 0.96
    assert below >= 0.985
    assert min(right_across, right_below) >= 0.995


@pytest.mark.skipif(not REAL.is_dir(), reason="the competition's tiles are not at ../shared/data/tgs")
def test_the_known_mosaics_of_real_tiles_are_found():
    splits = read_competition(REAL, (101, 101))
    ids = [name for split in splits for name in split.ids]
    layout = lay_out(ids, np.concatenate([split.images for split in splits]), Mosaics())
    truth = load_mosaics(REAL / "known_mosaics.csv")
    assert_bars(*({row.id: (row.mosaic, row.row, row.column) for row in t.itertuples()} for t in (truth, layout[0])))
    assert layout.duplicates.empty


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_mosaics_of_synthetic_surveys_are_found(seed):
    survey = make_tiles(Survey(seed=seed, sections=3, rows=(4, 6), columns=(5, 8), missing=0.1), tile=101)
    truth = {t.id: (t.mosaic, t.row, t.column) for t in survey if t.image.any()}
    _, at = laid_out({tile.id: tile.image for tile in survey})
    assert_bars(truth, at)


def test_more_tiles_than_allowed_are_refused_with_the_remedy():
    images = np.concatenate([section(1, 3)[0, place][None] for place in range(3)])
    with pytest.raises(UserError, match=r"most_tiles: expected at most 2 tiles.*found 3.*set it to 0"):
        lay_out(["a", "b", "c"], images, Mosaics(most_tiles=2))


def test_without_a_search_copies_are_found_and_no_tile_has_neighbours():
    tiles = {f"{place}": section(1, 3)[0, place] for place in range(3)}
    layout = lay_out([*tiles, "copy"], np.stack([*tiles.values(), tiles["1"]]), Mosaics(most_tiles=0))
    assert layout.mosaics.empty
    assert layout.neighbours.empty
    assert layout.duplicates.to_numpy().tolist() == [["copy", "1", "identical"]]
    searched = lay_out(list(tiles), np.stack(list(tiles.values())), Mosaics())
    assert [table.columns.tolist() for table in layout] == [table.columns.tolist() for table in searched]


def test_seam_lines_read_in_chunks_are_those_of_all_tiles_at_once():
    images = np.random.default_rng(1).integers(0, 256, (600, 7, 9), dtype=np.uint8)
    rows = np.random.default_rng(2).permutation(600)
    for side, lines in layout_module._seams(images, rows).items():
        np.testing.assert_array_equal(lines, seam_lines(images, side)[rows])
