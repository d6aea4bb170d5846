import pytest

from salt.data.tiles import Tiles
from salt.intake.faults import Faults
from salt.intake.packing import check_tables, check_tiles
from schemas.errors import UserError
from tests.easy_tiles import easy_tiles


@pytest.fixture
def warnings(caplog):
    """A function that runs a check which finds no error, and returns what is warned of."""
    caplog.set_level("INFO")

    def run(check, *args):
        faults = Faults()
        check(*args, faults)
        faults.raise_if_any("")
        faults.report_warnings()
        return [message.removeprefix("Warning: ") for message in caplog.messages]

    return run


def change(tiles, **columns):
    return Tiles(tiles.table.assign(**columns), tiles.images, tiles.masks)


def test_good_tiles_are_not_talked_about(warnings):
    assert warnings(check_tiles, easy_tiles(12), easy_tiles(6, "test")) == []


def test_many_constant_tiles_are_warned_of(warnings):
    test = change(easy_tiles(4, "test"), constant=[True, True, False, True])
    assert warnings(check_tiles, easy_tiles(12), test) == [
        "tiles of test, more than half of them constant (3): test000, test001, test003. "
        "They are predicted empty; models skip them, except for those with constant_tiles: train."
    ]


def test_full_masks_and_masks_of_constant_tiles_are_warned_of(warnings):
    train = change(easy_tiles(4), coverage=[0.5, 1, 0, 0.2])
    assert warnings(check_tiles, train, easy_tiles(4, "test")) == [
        "masks that are entirely salt (1): train001. Check that salt and background are not swapped.",
        "constant tiles with salt in their masks (1): train000. "
        "Models skip them, except for those with constant_tiles: train.",
    ]


@pytest.mark.parametrize(
    ("train", "test", "said"),
    [
        ({"coverage": 0.0}, {}, "labelled tiles, none of them with salt (4)"),
        ({"constant": True}, {}, "tiles of train, all of them constant (4)"),
        ({}, {"constant": True}, "tiles of test, all of them constant (4)"),
    ],
)
def test_nothing_to_learn_or_to_predict_is_an_error(train, test, said):
    faults = Faults()
    check_tiles(change(easy_tiles(4), **train), change(easy_tiles(4, "test"), **test), faults)
    with pytest.raises(UserError) as error:
        faults.raise_if_any("")
    assert said in str(error.value)


def test_what_no_table_needs_is_warned_of(warnings):
    samples = {name: {"id": name, "rle_mask": mask} for name, mask in zip("abc", ("1 1", "1 1", "3 4"), strict=True)}
    depths = {name: {"id": name, "z": "1"} for name in "abcq"}
    assert warnings(check_tables, samples, depths, set("abc")) == [
        "ids in depths.csv without a tile (1): q. Their depths are ignored.",
        "masks in sample_submission.csv (1): c. They are ignored: the masks of test tiles are unknown.",
    ]


def test_missing_depths_are_warned_of(warnings):
    (line,) = warnings(check_tables, None, None, {"a"})
    assert line == "missing tables (1): depths.csv. `folds.by: depth` and `channels: depth` need it."


@pytest.mark.parametrize("placeholder", ["", "1 1", "anything"])
def test_any_placeholder_of_the_sample_is_fine(warnings, placeholder):
    samples = {name: {"id": name, "rle_mask": placeholder} for name in "ab"}
    assert warnings(check_tables, samples, {}, {"a", "b"}) == []
