import csv

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from salt.data import records, rle
from salt.data.records import record_type
from salt.postprocess.submission import write_submission
from schemas.errors import UserError


def masks_of(ids, masks):
    made = np.zeros(len(ids), record_type(ids, {"mask": np.uint8}, *masks.shape[1:]))
    made["id"], made["mask"] = ids, masks
    return made


def read(path):
    with path.open(newline="") as file:
        return list(csv.reader(file))


@pytest.fixture
def masks():
    """Five random masks and an empty one, (6, 5, 7)."""
    masks = np.random.default_rng(0).integers(0, 2, (6, 5, 7), np.uint8)
    masks[3] = 0
    return masks


def test_rows_are_in_the_order_of_the_ids_whatever_that_of_the_masks(tmp_path, masks):
    ids = ["d", "b", "f", "a", "c", "e"]
    shuffled = np.random.default_rng(1).permutation(6)
    empty = write_submission(tmp_path / "submission.csv", ids, masks_of(ids, masks)[shuffled])
    assert empty == 1
    header, *rows = read(tmp_path / "submission.csv")
    assert header == ["id", "rle_mask"]
    assert [name for name, _ in rows] == ids
    np.testing.assert_array_equal([rle.decode(text, 5, 7) for _, text in rows], masks)


def test_the_file_is_what_kaggle_reads(tmp_path):
    masks = np.array([[[0, 1], [1, 1]], [[0, 0], [0, 0]]], np.uint8)
    write_submission(tmp_path / "submission.csv", ["a", "b"], masks_of(["a", "b"], masks))
    assert (tmp_path / "submission.csv").read_bytes() == b"id,rle_mask\na,2 3\nb,\n"


@given(arrays(np.uint8, (5, 3, 4), elements=st.integers(0, 1)), st.permutations("abcde"))
def test_chunks_make_no_difference(tmp_path_factory, masks, order):
    path = tmp_path_factory.mktemp("submission") / "submission.csv"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(records.chunks, "__defaults__", (2,))
        write_submission(path, list(order), masks_of(list("abcde"), masks))
    texts = dict(read(path)[1:])
    assert list(texts) == list(order)
    assert [texts[name] for name in "abcde"] == [rle.encode(mask) for mask in masks]


@pytest.mark.parametrize(
    ("ids", "found", "message"),
    [
        ("abcdef", "abcdeg", "1 without a mask (f); 1 that are not test tiles (g)"),
        ("abcdef", "abcdee", "1 without a mask (f); 1 more than once (e)"),
        ("abcdee", "abcdef", "1 that are not test tiles (f); 1 more than once (e)"),
        ("abcde", "abcdef", "1 that are not test tiles (f)"),
    ],
)
def test_ids_that_do_not_match_are_reported_and_nothing_is_written(tmp_path, masks, ids, found, message):
    with pytest.raises(UserError) as error:
        write_submission(tmp_path / "submission.csv", list(ids), masks_of(list(found), masks))
    assert message in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_a_mask_of_other_values_is_refused_and_nothing_is_written(tmp_path, masks):
    masks[4, 2, 2] = 255
    with pytest.raises(UserError, match="mask of e cannot be encoded: expected zeros and ones, found 0, 1, 255"):
        write_submission(tmp_path / "submission.csv", list("abcdef"), masks_of(list("abcdef"), masks))
    assert list(tmp_path.iterdir()) == []
