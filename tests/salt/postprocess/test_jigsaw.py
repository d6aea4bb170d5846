import json
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from salt.data import rle
from salt.intake.competition import read_competition
from salt.mosaics.layout import load_mosaics
from salt.postprocess.jigsaw import apply_changes, find_changes, load_changes, straightness, usable_masks

# Masks of 6 x 4; the lower half is 3 rows.
LINE = np.array([0, 1, 1, 0], np.uint8)
VERTICAL = np.tile(LINE, (6, 1))
SEMI = np.concatenate([np.zeros((3, 4), np.uint8), VERTICAL[:3]])
ENDED = SEMI[::-1].copy()  # salt above, three empty rows below
EMPTY = np.zeros((6, 4), np.uint8)
FULL = np.ones((6, 4), np.uint8)
BENT = np.concatenate([VERTICAL[:5], [[0, 0, 1, 1]]]).astype(np.uint8)
FULL_BELOW = np.concatenate([EMPTY[:3], FULL[:3]])


def column(*names, mosaic=0, number=0):
    """A column of tiles from the top; None is a gap."""
    rows = [(name, mosaic, row, number) for row, name in enumerate(names) if name is not None]
    return pd.DataFrame(rows, columns=["id", "mosaic", "row", "column"])


def said(rule, mosaics, targets="abcdefgh", empty="", **known):
    """{id: (reason, source, line)} of the changes that the known masks make."""
    changes = find_changes(rule, mosaics, known, set(targets), set(empty))
    assert all((change.mask == change.mask[0]).all() for change in changes)
    return {change.id: (change.reason, change.source, change.mask[0].tolist()) for change in changes}


def published(mosaics, targets="abcdefgh", **known):
    return said("published", mosaics, targets, empty="abcdefgh", **known)


def extended(mosaics, empty, targets="abcdefgh", **known):
    return said("extended", mosaics, targets, empty, **known)


@pytest.mark.parametrize(
    ("mask", "kind"),
    [
        (VERTICAL, "vertical"),
        (SEMI, "semi-vertical"),
        (ENDED, None),
        (EMPTY, None),
        (FULL, None),
        (BENT, None),
        (FULL_BELOW, None),
        (VERTICAL * SEMI, "semi-vertical"),
        (np.concatenate([EMPTY[:4], VERTICAL[:2]]), None),
    ],
)
def test_a_mask_is_vertical_semi_vertical_or_neither(mask, kind):
    assert straightness(mask) == kind


def test_fifty_rows_of_101_make_a_tile_semi_vertical():
    mask = np.zeros((101, 101), np.uint8)
    mask[51:, 20:30] = 1
    assert straightness(mask) == "semi-vertical"
    mask[51] = 0
    assert straightness(mask) is None


def test_every_target_below_a_vertical_tile_gets_its_line():
    below = ("below a vertical tile", "b", LINE.tolist())
    assert published(column("a", "b", "c", "d"), b=VERTICAL) == {"c": below, "d": below}


def test_below_a_semi_vertical_tile_its_last_row_goes_on():
    assert published(column("a", "b"), a=SEMI) == {"b": ("below a semi-vertical tile", "a", LINE.tolist())}


@pytest.mark.parametrize("mask", [EMPTY, FULL, BENT, FULL_BELOW, ENDED])
def test_other_masks_say_nothing(mask):
    assert published(column("a", "b"), a=mask) == {}


def test_a_gap_does_not_end_the_rule():
    assert set(published(column("a", None, None, "b"), a=VERTICAL)) == {"b"}


def test_the_first_source_from_the_top_decides():
    changes = published(column("a", "b", "c", "d"), a=BENT, b=SEMI, d=VERTICAL[:, ::-1])
    assert {name: source for name, (_, source, _) in changes.items()} == {"c": "b"}


def test_only_targets_change_and_known_tiles_never():
    assert set(published(column("a", "b", "c", "d"), targets="bc", a=VERTICAL, b=BENT)) == {"c"}


def test_columns_and_mosaics_do_not_mix():
    mosaics = pd.concat([column("a", "b"), column(None, "c", number=1), column(None, "d", mosaic=1)])
    assert set(published(mosaics, a=VERTICAL)) == {"b"}


@pytest.mark.parametrize("above", [("a", "b", "c"), (None, None, "c"), ("a", None, "c")])
def test_from_row_three_on_the_tile_above_a_vertical_one_gets_its_line_whatever_lies_higher(above):
    assert published(column(*above, "d"), d=VERTICAL) == {"c": ("above a vertical tile", "d", LINE.tolist())}


@pytest.mark.parametrize(
    ("mosaics", "mask"),
    [
        (column("d"), VERTICAL),  # row 0
        (column("a", "b", "d"), VERTICAL),  # row 2
        (column("a", "b", "c", None, "d"), VERTICAL),  # nothing directly above
        (column(None, None, None, "d"), VERTICAL),  # nothing above at all
        (column("a", "b", "c", "d"), SEMI),
    ],
)
def test_otherwise_nothing_above_changes(mosaics, mask):
    assert published(mosaics, d=mask) == {}


ABOVE = np.concatenate([[LINE], EMPTY[1:]]).astype(np.uint8)  # salt in the first row only
BELOW = ABOVE[::-1].copy()
INSIDE = np.concatenate([EMPTY[:4], [LINE], EMPTY[:1]]).astype(np.uint8)


def test_an_empty_tile_right_below_salt_gets_its_last_row():
    below = ("predicted empty below salt", "a", LINE.tolist())
    assert extended(column("a", "b", "c"), empty="bc", a=BELOW) == {"b": below}


def test_an_empty_tile_right_above_salt_gets_its_first_row():
    above = ("predicted empty above salt", "c", LINE.tolist())
    assert extended(column("a", "b", "c"), empty="ab", c=ABOVE) == {"b": above}


def test_between_two_tiles_with_salt_the_upper_one_counts():
    changes = extended(column("a", "b", "c"), empty="b", a=BELOW, c=ABOVE[:, ::-1])
    assert {name: source for name, (_, source, _) in changes.items()} == {"b": "a"}


def test_what_the_published_rule_says_counts_more():
    tiles = {"a": SEMI[:, ::-1], "b": BELOW}
    assert extended(column("a", "b", "c"), empty="c", **tiles) == published(column("a", "b", "c"), **tiles)


@pytest.mark.parametrize(
    ("mosaics", "empty", "mask"),
    [
        (column("a", "b"), "", BELOW),  # salt is predicted
        (column("a", None, "b"), "b", BELOW),  # a gap
        (column("a", "b"), "b", INSIDE),  # the salt does not reach the edge
        (column("a", "b"), "b", EMPTY),
        (column("a", "b"), "b", FULL_BELOW),  # salt from end to end
        (pd.concat([column("a"), column(None, "b", number=1)]), "b", BELOW),
    ],
)
def test_otherwise_a_prediction_stays(mosaics, empty, mask):
    assert extended(mosaics, empty, a=mask) == {}


def test_no_rule_changes_nothing():
    assert said("none", column("a", "b"), a=VERTICAL, empty="b") == {}


def test_repainting_gives_tiles_their_masks_and_records_both():
    masks = np.stack([EMPTY, VERTICAL, BENT])
    changes = find_changes("published", column("a", "c", "b"), {"a": VERTICAL}, {"c"}, set())
    record = apply_changes(["b", "a", "c"], masks, changes)
    np.testing.assert_array_equal(masks, np.stack([EMPTY, VERTICAL, VERTICAL]))
    row = {"id": "c", "mosaic": 0, "row": 1, "column": 0, "reason": "below a vertical tile", "source": "a"}
    assert record.to_dict("records") == [row | {"pixels": 2, "before": rle.encode(BENT), "after": rle.encode(VERTICAL)}]


def test_the_record_of_no_changes_has_the_same_columns():
    columns = apply_changes(["b"], EMPTY[None].copy(), []).columns.tolist()
    assert columns == ["id", "mosaic", "row", "column", "reason", "source", "pixels", "before", "after"]


def test_the_record_is_read_as_it_was_written(tmp_path):
    masks = np.zeros((1, 6, 4), np.uint8)  # empty before: no run lengths
    record = apply_changes(
        ["NA"], masks, find_changes("published", column("1e5", "NA"), {"1e5": VERTICAL}, {"NA"}, set())
    )
    record.to_csv(tmp_path / "changes.csv", index=False)
    assert load_changes(tmp_path / "changes.csv").to_dict("records") == record.to_dict("records")


def recipe(tiles):
    """The rule word by word, on one column: (row, mask or None) from the top -> {row: line}."""
    lines = {}
    for place, (row, mask) in enumerate(tiles):
        if mask is None:
            continue
        some = 0 < mask.sum() < mask.size
        vertical = some and all((line == mask[0]).all() for line in mask)
        semi = all((line == mask[-1]).all() for line in mask[3:]) and not mask[-1].all() and mask[3:].sum() > 0
        if not vertical and not semi:
            continue
        lines = {below: mask[-1] for below, known in tiles[place + 1 :] if known is None}
        if vertical and row >= 3:
            lines |= {above: mask[0] for above, known in tiles[:place] if known is None and above == row - 1}
        break
    return {row: line.tolist() for row, line in lines.items()}


KINDS = st.sampled_from([VERTICAL, SEMI, ENDED, EMPTY, FULL, BENT, FULL_BELOW]) | st.none()


@given(st.lists(st.tuples(st.integers(1, 3), KINDS), max_size=8))
def test_the_rule_is_the_recipes(steps):
    rows = np.cumsum([step for step, _ in steps], dtype=int).tolist()
    tiles = [(row, mask) for row, (_, mask) in zip(rows, steps, strict=True)]
    table = [(f"{row}", 3, row, 2) for row, _ in tiles]
    mosaics = pd.DataFrame(table, columns=["id", "mosaic", "row", "column"]).sample(frac=1, random_state=0)
    known = {f"{row}": mask for row, mask in tiles if mask is not None}
    targets = {f"{row}" for row, mask in tiles if mask is None}
    changes = find_changes("published", mosaics, known, targets, targets)
    assert {change.place.row: change.mask[0].tolist() for change in changes} == recipe(tiles)
    assert [change.place.row for change in changes] == sorted(change.place.row for change in changes)


def seams(tiles):
    """The extended rule word by word, on one column of (row, mask or None for an empty prediction)."""
    by_row, lines = dict(tiles), {}
    for row, mask in tiles:
        if mask is not None:
            continue
        above, below = by_row.get(row - 1), by_row.get(row + 1)
        for line in ([above[-1]] if above is not None else []) + ([below[0]] if below is not None else []):
            if 0 < line.sum() < len(line):
                lines.setdefault(row, line.tolist())
    return lines | recipe(tiles)


KINDS_AT_SEAMS = KINDS | st.sampled_from([ABOVE, BELOW])


@given(st.lists(st.tuples(st.integers(1, 3), KINDS_AT_SEAMS), max_size=8), st.randoms(use_true_random=False))
def test_the_extended_rule_is_the_recipes_and_the_seams_for_any_order_of_the_tiles(steps, random):
    rows = np.cumsum([step for step, _ in steps], dtype=int).tolist()
    tiles = [(row, mask) for row, (_, mask) in zip(rows, steps, strict=True)]
    table = [(f"{row}", 3, row, 2) for row, _ in tiles]
    random.shuffle(table)
    mosaics = pd.DataFrame(table, columns=["id", "mosaic", "row", "column"])
    known = {f"{row}": mask for row, mask in random.sample(tiles, len(tiles)) if mask is not None}
    targets = {f"{row}" for row, mask in tiles if mask is None}
    changes = find_changes("extended", mosaics, known, targets, targets)
    assert {change.place.row: change.mask[0].tolist() for change in changes} == seams(tiles)
    assert [change.place.row for change in changes] == sorted(change.place.row for change in changes)


def test_the_masks_of_constant_tiles_are_not_used():
    known = usable_masks(["a", "b"], [VERTICAL, SEMI], pd.Series([True, False]))
    assert known.keys() == {"b"}
    assert known["b"] is SEMI


# The original's rule on made-up columns -----------------------------------------------------------------------------

DOWN, RIGHT = np.mgrid[:101, :101]  # i and j of the golden file: row and column of a tile's pixels
MADE_UP = {
    "V": RIGHT >= 40,
    "W": RIGHT % 20 < 7,
    "S": np.where(DOWN <= 50, RIGHT < 30 + 2 * (51 - DOWN), RIGHT < 30),
    "T": (RIGHT < 30) | (DOWN == 51),  # only the last 49 rows are equal
    "U": DOWN < 40,
    "F": DOWN >= 0,
    "B": DOWN >= 51,
    "E": DOWN < 0,
    "C": RIGHT >= 40,  # of a constant tile
    "H": np.where(DOWN <= 49, RIGHT >= 60, RIGHT >= 20),
}
# A column from the top (x: test tile, -: gap, other letters: training tiles with this mask) | what the original gives
# its tiles: 3v2V is row 3, as the last row of the vertical tile V in row 2; ^: above a tile; s: semi-vertical.
COLUMNS = """
x x x V x x | 2^3V 4v3V 5v3V
x x V x x x | 3v2V 4v2V 5v2V
- - x V x x | 2^3V 4v3V 5v3V
x x x - V x | 5v4V
U x V x x - | 3v2V 4v2V
S x - x x - | 1s0S 3s0S 4s0S
E F B T W x | 3^4W 5v4W
x x x S V x | 4s3S 5s3S
x x x C V x | 3^4V 5v4V
x x x V W x | 2^3V 4v3V 5v3V
x x x H x x | 4s3H 5s3H
x - - W x x | 4v3W 5v3W
x x x x x V | 4^5V
"""
REASONS = {"^": "above a vertical tile", "v": "below a vertical tile", "s": "below a semi-vertical tile"}


def named(columns):
    """Tiles, by id, of columns that are given as words of kinds: a table of mosaics."""
    return pd.DataFrame(
        [
            (f"c{number:02}r{row}{kind}", 0, row, number)
            for number, kinds in enumerate(columns)
            for row, kind in enumerate(kinds.split())
            if kind != "-"
        ],
        columns=["id", "mosaic", "row", "column"],
    )


def covered(mosaics, known):
    """{id: change} of all tiles that the published rule covers: of test tiles, and of training tiles but its sources.

    known: the usable masks. A training tile is covered if it would get a mask as a test tile.
    """
    unknown = set(mosaics["id"]) - known.keys()
    found = {change.id: change for change in find_changes("published", mosaics, known, unknown, set())}
    for name in sorted(known.keys() & set(mosaics["id"]) - {change.source for change in found.values()}):
        others = {other: mask for other, mask in known.items() if other != name}
        found |= {change.id: change for change in find_changes("published", mosaics, others, {name}, set())}
    return found


def made_up_changes(columns):
    """What the rule does to columns of made-up tiles: {id: (reason, source, run lengths)}."""
    mosaics = named(columns)
    kinds = {name: name[-1] for name in mosaics["id"] if name[-1] != "x"}
    masks = [MADE_UP[kind].astype(np.uint8) for kind in kinds.values()]
    known = usable_masks(kinds, masks, [kind == "C" for kind in kinds.values()])
    changes = covered(mosaics, known).values()
    return {change.id: (change.reason, change.source, rle.encode(change.mask)) for change in changes}


def test_made_up_columns_get_what_the_original_gives_them():
    columns, told = zip(*(line.split(" | ") for line in COLUMNS.strip().splitlines()), strict=True)
    expected = {}
    for number, words in enumerate(told):
        for row, how, source_row, kind in map(tuple, words.split()):
            line = MADE_UP[kind][0 if how == "^" else -1]
            lengths = rle.encode(np.tile(line, (101, 1)))
            cell = columns[number].split()[int(row)]
            expected[f"c{number:02}r{row}{cell}"] = REASONS[how], f"c{number:02}r{source_row}{kind}", lengths
    assert made_up_changes(columns) == expected


GOLDEN, REAL = Path("../shared/fidelity/jigsaw.json"), Path("../shared/data/tgs")
needs_golden = pytest.mark.skipif(not GOLDEN.is_file(), reason=f"the original's masks are not at {GOLDEN}")
needs_tiles = pytest.mark.skipif(not REAL.is_dir(), reason=f"the competition's tiles are not at {REAL}")


@needs_golden
def test_the_made_up_columns_are_those_of_the_golden_file():
    golden = json.loads(GOLDEN.read_text())["made_up_columns"]
    assert [line.split(" | ")[0] for line in COLUMNS.strip().splitlines()] == golden["columns_from_the_top"]
    words = {"none": None, "left out (constant image)": "vertical"}
    for kind, found in golden["kinds_found"].items():
        assert straightness(MADE_UP[kind].astype(np.uint8)) == words.get(found, found)
    rows = {name: (reason, source, lengths) for name, _, reason, source, lengths in golden["changes"]}
    found = made_up_changes(golden["columns_from_the_top"])
    assert {name: (as_golden(reason), *rest) for name, (reason, *rest) in found.items()} == rows
    assert {name: "test" if name[-1] == "x" else "train" for name in found} == {
        name: split for name, split, *_ in golden["changes"]
    }


def as_golden(reason):
    return reason.replace("a ", "").replace(" tile", "")


@pytest.fixture(scope="module")
def labelled():
    """The labelled real tiles."""
    return read_competition(REAL, (101, 101))[0]


@needs_golden
@needs_tiles
def test_real_tiles_are_straight_where_the_originals_are(labelled):
    golden = json.loads(GOLDEN.read_text())
    usable = usable_masks(labelled.ids, labelled.masks, labelled.table["constant"])
    kinds = {name: straightness(mask) for name, mask in usable.items()}
    in_mosaics = set(load_mosaics(REAL / "known_mosaics.csv")["id"])
    found = {
        kind: sorted(name for name, of in kinds.items() if of == kind and name in in_mosaics)
        for kind in ("vertical", "semi-vertical")
    }
    assert found == {
        "vertical": golden["vertical_ids_in_mosaics"],
        "semi-vertical": golden["semi_vertical_ids_in_mosaics"],
    }
    counts, of = golden["counts"], Counter(kinds.values())
    assert (len(labelled), len(usable)) == (counts["labelled_tiles"], counts["of_these_not_constant"])
    assert of["vertical"] == counts["vertical"]
    assert of["semi-vertical"] == counts["semi_vertical_without_vertical"]


@needs_golden
@needs_tiles
def test_real_tiles_get_the_originals_masks(labelled):
    golden, mosaics = json.loads(GOLDEN.read_text()), load_mosaics(REAL / "known_mosaics.csv")
    known = usable_masks(labelled.ids, labelled.masks, labelled.table["constant"])
    rows = [
        [
            change.id,
            "train" if change.id in known else "test",
            *change.place[1:],
            as_golden(change.reason),
            change.source,
            rle.encode(change.mask),
        ]
        for change in covered(mosaics, known).values()
    ]
    assert sorted(rows) == sorted(golden["changes"])
    counts, splits = golden["counts"], Counter(split for _, split, *_ in rows)
    reasons = {split: Counter(row[5] for row in rows if row[1] == split) for split in splits}
    assert (counts["covered_test_tiles"], counts["covered_training_tiles"]) == (splits["test"], splits["train"])
    for split in ("test", "train"):
        told = counts["test_by_reason" if split == "test" else "training_by_reason"]
        assert {reason: reasons[split][reason] for reason in told} == told
    sources = mosaics[mosaics["id"].isin([row[6] for row in rows])]
    assert len(sources) == counts["sources_vertical"] == counts["sources_that_say_something_on_another_tile"]
    from_row_three_on = sorted(sources.loc[sources["row"] >= 3, "id"])
    assert from_row_three_on == golden["sources_assigned_their_own_mask"]  # no change
