import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from salt.data import rle
from salt.postprocess.jigsaw import apply_changes, find_changes, load_changes, straightness

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
    assert published(column("a", "b", "c", "d"), b=VERTICAL) == {"c": below, "d": below}


def test_below_a_semi_vertical_tile_its_last_row_goes_on():
    assert published(column("a", "b"), a=SEMI) == {"b": ("below a semi-vertical tile", "a", LINE.tolist())}


def test_where_the_salt_has_ended_none_follows():
    assert published(column("a", "b"), a=ENDED) == {"b": ("below a semi-vertical tile", "a", [0, 0, 0, 0])}


@pytest.mark.parametrize("mask", [EMPTY, FULL, BENT, FULL_BELOW])
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


def test_with_three_tiles_above_a_vertical_tile_the_next_above_gets_its_line():
    assert published(column("a", "b", "c", "d"), d=VERTICAL) == {"c": ("above a vertical tile", "d", LINE.tolist())}


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


@given(st.lists(st.tuples(st.integers(1, 2), KINDS_AT_SEAMS), max_size=8), st.randoms(use_true_random=False))
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
