import numpy as np
import pandas as pd
import pytest

from salt.data.records import create_records, open_records
from salt.data.tiles import Tiles
from salt.report import examples
from schemas.augmentation import Flip, Noise
from schemas.postprocess import DEFAULT, FillHoles, Postprocess, Threshold

SIDE = 10


def tiles(masks, split="train"):
    ids = [f"{split}{number:02}" for number in range(len(masks))]
    table = pd.DataFrame({"id": ids, "split": split, "z": 0.0, "constant": False, "coverage": 0.0})
    return Tiles(table, np.zeros((len(masks), SIDE, SIDE), np.uint8), np.array(masks, np.uint8))


def left(columns):
    """A mask with salt in its first columns."""
    return np.tile(np.arange(SIDE) < columns, (SIDE, 1))


@pytest.fixture
def records(tmp_path):
    def write(ids, **fields):
        kinds = {name: np.asarray(values).dtype for name, values in fields.items()}
        with create_records(tmp_path / "records.npy", ids, kinds, SIDE, SIDE) as out:
            for name, values in fields.items():
                out[name] = values
        return open_records(tmp_path / "records.npy")

    return write


def test_there_is_one_labelled_tile_for_each_score_the_middle_one_by_id(records):
    truth = tiles([left(10)] * 3 + [left(0)] * 2 + [left(10)] * 2)
    predicted = [left(8), left(8), left(8), left(3), left(0), left(10), left(1)]  # IoU 0.8, 0.8, 0.8, 0, both empty, 1
    shown = examples.labelled(truth, records(truth.ids, tta=np.array(predicted, np.float16)), DEFAULT)
    assert [(example.id, round(example.value, 1), example.group_size) for example in shown] == [
        ("train06", 0.0, 2),
        ("train01", 0.6, 3),
        ("train05", 1.0, 1),
    ]


def test_labelled_tiles_are_shown_with_the_masks_of_all_steps(records):
    truth = tiles([left(10)])
    holed = left(10).astype(np.float16)
    holed[4, 4] = 0.4
    steps = Postprocess((Threshold(), FillHoles(smaller_than=2)))
    assert [example.value for example in examples.labelled(truth, records(truth.ids, tta=holed[None]), steps)] == [1.0]
    threshold_alone = examples.labelled(truth, records(truth.ids, tta=holed[None]), Postprocess((Threshold(),)))
    assert threshold_alone[0].tile.outlines["predicted"]  # the border of the hole


def test_test_tiles_go_from_little_salt_to_much_and_empty_ones_are_left_out(records):
    masks = np.array([left(columns) for columns in (5, 0, 10, 1)], np.uint8)
    test = tiles(masks, "test")
    final = records(test.ids[::-1], mask=masks[::-1], tta=masks[::-1].astype(np.float16))
    shown = examples.test(test, final, final, frozenset({"test00"}), 12)
    assert [(example.id, example.value, example.jigsaw) for example in shown] == [
        ("test03", 0.1, False),
        ("test00", 0.5, True),
        ("test02", 1.0, False),
    ]


def test_if_every_mask_is_empty_empty_ones_are_shown(records):
    test = tiles([left(0)] * 30, "test")
    final = records(test.ids, mask=test.masks, tta=test.masks.astype(np.float16))
    assert len(examples.test(test, final, final, frozenset(), 12)) == 12


def test_augmented_tiles_show_a_border_of_salt_and_mirrored_draws_mirrored_masks():
    masks = [left(columns) for columns in (0, 9, 3, 10, 6, 5)]
    train = tiles(masks)
    train.table["coverage"] = np.mean(masks, axis=(1, 2))
    shown = examples.augmented(train, [Flip(p=1)], 3, draws=2)
    assert [(tile.id, tile.coverage) for tile in shown] == [("train02", 0.3), ("train04", 0.6), ("train01", 0.9)]
    assert shown[0].tile.outlines == {"true": "M3 0v10"}
    assert [draw.outlines for draw in shown[0].draws] == [{"true": "M7 0v10"}] * 2


def test_every_augmented_tile_has_draws_of_its_own_and_always_the_same():
    train, noise = tiles([left(5)] * 3), [Noise(p=1, std=1)]
    shown = examples.augmented(train, noise, 3, draws=4)
    assert len({draw.image for tile in shown for draw in tile.draws}) == 3 * 4
    assert examples.augmented(train, noise, 3, draws=4) == shown
