import numpy as np
import pandas as pd
import pytest

from salt.data.predictions import FIELDS
from salt.data.records import create_records, open_records
from salt.postprocess import steps
from salt.postprocess.final_masks import write_masks
from schemas.postprocess import EmptyConstant, FillHoles, Jigsaw, Postprocess, RemoveComponents, Threshold

COUNT = 300  # more than a chunk
IDS = [f"t{number}" for number in range(COUNT)]
CONSTANT = {"t3", "t299", "of another split"}
LINE = np.tile(np.array([0, 1, 1, 0, 0, 0], np.uint8), (6, 1))
CLEANING = (RemoveComponents(smaller_than=3), FillHoles(smaller_than=3), EmptyConstant())


@pytest.fixture
def predicted(tmp_path):
    """Noise; nothing in t5."""
    with create_records(tmp_path / "p.npy", IDS, dict.fromkeys(FIELDS, np.float16), 6, 6) as out:
        out["plain"] = 1  # not what is submitted
        out["tta"] = np.random.default_rng(0).random((COUNT, 6, 6))
        out["tta"][5] = 0
    return open_records(tmp_path / "p.npy")


def written(tmp_path, predicted, *chosen, mosaics=()):
    """Ids, masks and the changes, with the training tile `known`, a straight line."""
    table = pd.DataFrame(mosaics, columns=["id", "mosaic", "row", "column"])
    path = tmp_path / "masks.npy"
    changes = write_masks(path, predicted, CONSTANT, {"known": LINE}, table, Postprocess((Threshold(), *chosen)))
    records = open_records(path)
    return records["id"].tolist(), records["mask"], changes


def test_masks_are_those_of_the_steps_on_the_mirrored_mean_in_the_order_of_the_predictions(tmp_path, predicted):
    ids, masks, changes = written(tmp_path, predicted, *CLEANING, Jigsaw())
    constant = np.array([name in CONSTANT for name in IDS])
    assert ids == IDS
    assert masks.dtype == np.uint8
    assert np.array_equal(masks, steps.masks(predicted["tta"], constant, Postprocess((Threshold(), *CLEANING))))
    assert constant.sum() == 2
    assert not masks[constant].any()
    assert changes.empty


def test_the_jigsaw_rule_comes_after_all_others_and_is_recorded(tmp_path, predicted):
    mosaics = [("known", 0, 0, 0), ("t3", 0, 1, 0), ("t7", 0, 2, 0)]
    _, masks, changes = written(tmp_path, predicted, EmptyConstant(), Jigsaw(), mosaics=mosaics)
    assert changes["id"].tolist() == ["t3", "t7"]
    assert np.array_equal(masks[[3, 7]], [LINE, LINE])
    assert changes["before"].iloc[0] == ""
    assert written(tmp_path, predicted, EmptyConstant(), mosaics=mosaics)[2].empty


def test_the_extended_rule_takes_for_empty_what_the_steps_have_emptied(tmp_path, predicted):
    mosaics = [("below", 0, 0, 0), ("t8", 0, 1, 0)]
    edge = LINE * (np.arange(6) == 5)[:, None].astype(np.uint8)
    table = pd.DataFrame(mosaics, columns=["id", "mosaic", "row", "column"])
    for cleaning, reached in ((RemoveComponents(smaller_than=37), ["t8"]), (RemoveComponents(smaller_than=1), [])):
        chosen = Postprocess((Threshold(), cleaning, Jigsaw(rule="extended")))
        changes = write_masks(tmp_path / "m.npy", predicted, set(), {"below": edge}, table, chosen)
        assert changes["id"].tolist() == reached


def test_no_test_tiles_leave_no_masks(tmp_path):
    with create_records(tmp_path / "p.npy", [], dict.fromkeys(FIELDS, np.float16), 6, 6):
        pass
    ids, masks, changes = written(tmp_path, open_records(tmp_path / "p.npy"), Jigsaw())
    assert (ids, masks.shape, len(changes)) == ([], (0, 6, 6), 0)
