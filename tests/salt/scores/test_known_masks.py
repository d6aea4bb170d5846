import numpy as np
import pandas as pd

from salt.data import rle
from salt.data.records import create_records
from salt.scores import known_masks


def test_a_surveys_true_masks_are_read_in_the_order_of_the_file_whatever_the_ids(tmp_path):
    rng = np.random.default_rng(0)
    masks = (rng.random((3, 5, 7)) < 0.5).astype(np.uint8)
    masks[1] = 0  # its text is empty
    texts = [rle.encode(mask) for mask in masks]
    pd.DataFrame({"id": ["NA", "007", "b"], "rle_mask": texts}).to_csv(tmp_path / "truth.csv", index=False)
    (known,) = known_masks.load(tmp_path / "truth.csv", None, (5, 7))
    assert known.labels == "true_test"
    assert known.ids.tolist() == ["NA", "007", "b"]
    assert np.array_equal(known.masks, masks)


def test_hidden_masks_are_known_as_they_were_hidden(tmp_path):
    with create_records(tmp_path / "hidden.npy", ["b", "a"], {"mask": np.uint8}, 5, 7) as records:
        records["mask"][1] = 1
    (known,) = known_masks.load(None, tmp_path / "hidden.npy", (5, 7))
    assert known.labels == "hidden"
    assert known.ids.tolist() == ["b", "a"]
    assert known.masks.mean(axis=(1, 2)).tolist() == [0, 1]


def test_without_a_survey_or_hidden_labels_no_test_mask_is_known():
    assert list(known_masks.load(None, None, (5, 7))) == []
