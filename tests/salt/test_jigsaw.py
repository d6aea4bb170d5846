import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from salt.jigsaw import find_changes, repaint, straightness

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


def rule(mosaics, targets="abcdefgh", **known):
    """{id: (reason, source, line)} of the changes that the known masks make."""
    masks = np.stack([*known.values(), EMPTY])[:-1]
    changes = find_changes(mosaics, list(known), masks, set(targets))
    return {change.id: (change.reason, change.source, change.line.tolist()) for change in changes}


@pytest.mark.parametrize(
    ("mask", "kind"),
    [
        (VERTICAL, "vertical"),
        (SEMI, "semi-vertical"),
        (ENDED, "semi-vertical"),
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
    assert rule(column("a", "b", "c", "d"), b=VERTICAL) == {"c": below, "d": below}


def test_below_a_semi_vertical_tile_its_last_row_goes_on():
    assert rule(column("a", "b"), a=SEMI) == {"b": ("below a semi-vertical tile", "a", LINE.tolist())}


def test_where_the_salt_has_ended_none_follows():
    assert rule(column("a", "b"), a=ENDED) == {"b": ("below a semi-vertical tile", "a", [0, 0, 0, 0])}


@pytest.mark.parametrize("mask", [EMPTY, FULL, BENT, FULL_BELOW])
def test_other_masks_say_nothing(mask):
    assert rule(column("a", "b"), a=mask) == {}


def test_a_gap_does_not_end_the_rule():
    assert set(rule(column("a", None, None, "b"), a=VERTICAL)) == {"b"}


def test_the_first_source_from_the_top_decides():
    changes = rule(column("a", "b", "c", "d"), a=BENT, b=SEMI, d=VERTICAL[:, ::-1])
    assert {name: source for name, (_, source, _) in changes.items()} == {"c": "b"}


def test_only_targets_change_and_known_tiles_never():
    assert set(rule(column("a", "b", "c", "d"), targets="bc", a=VERTICAL, b=BENT)) == {"c"}


def test_columns_and_mosaics_do_not_mix():
    mosaics = pd.concat([column("a", "b"), column(None, "c", number=1), column(None, "d", mosaic=1)])
    assert set(rule(mosaics, a=VERTICAL)) == {"b"}


def test_with_three_tiles_above_a_vertical_tile_the_next_above_gets_its_line():
    assert rule(column("a", "b", "c", "d"), d=VERTICAL) == {"c": ("above a vertical tile", "d", LINE.tolist())}


@pytest.mark.parametrize(
    ("mosaics", "mask"),
    [
        (column("a", "b", "d"), VERTICAL),  # two above
        (column("a", None, "b", "d"), VERTICAL),  # two above and a gap
        (column("a", "b", "c", None, "d"), VERTICAL),  # nothing directly above
        (column("a", "b", "c", "d"), SEMI),
    ],
)
def test_otherwise_nothing_above_changes(mosaics, mask):
    assert rule(mosaics, d=mask) == {}


def test_repainting_makes_all_rows_the_line_and_counts_what_differs():
    masks = np.stack([EMPTY, VERTICAL, BENT])
    changes = {change.id: change for change in find_changes(column("a", "c", "b"), ["a"], VERTICAL[None], {"c"})}
    assert repaint(["b", "a", "c"], masks, changes) == {"c": 2}
    np.testing.assert_array_equal(masks, np.stack([EMPTY, VERTICAL, VERTICAL]))


def recipe(tiles):
    """The rule word by word, on one column: (row, mask or None) from the top -> {row: line}."""
    lines = {}
    for place, (row, mask) in enumerate(tiles):
        if mask is None:
            continue
        some = 0 < mask.sum() < mask.size
        vertical = some and all((line == mask[0]).all() for line in mask)
        semi = all((line == mask[-1]).all() for line in mask[3:]) and not mask[-1].all() and mask.sum() > 0
        if not vertical and not semi:
            continue
        lines = {below: mask[-1] for below, known in tiles[place + 1 :] if known is None}
        if vertical and place >= 3:
            lines |= {above: mask[0] for above, known in tiles[:place] if known is None and above == row - 1}
        break
    return {row: line.tolist() for row, line in lines.items()}


KINDS = st.sampled_from([VERTICAL, SEMI, ENDED, EMPTY, FULL, BENT, FULL_BELOW]) | st.none()


@given(st.lists(st.tuples(st.integers(1, 2), KINDS), max_size=8))
def test_the_rule_is_the_recipes(steps):
    rows = np.cumsum([step for step, _ in steps], dtype=int).tolist()
    tiles = [(row, mask) for row, (_, mask) in zip(rows, steps, strict=True)]
    table = [(f"{row}", 3, row, 2) for row, _ in tiles]
    mosaics = pd.DataFrame(table, columns=["id", "mosaic", "row", "column"]).sample(frac=1, random_state=0)
    known = [(f"{row}", mask) for row, mask in tiles if mask is not None]
    masks = np.stack([mask for _, mask in known]) if known else np.zeros((0, 6, 4), np.uint8)
    targets = {f"{row}" for row, mask in tiles if mask is None}
    changes = find_changes(mosaics, [name for name, _ in known], masks, targets)
    assert {change.row: change.line.tolist() for change in changes} == recipe(tiles)
    assert [change.row for change in changes] == sorted(change.row for change in changes)
