import json

import numpy as np

from salt.data.records import open_records
from stages import blend
from tests.stages.conftest import write_predictions


def test_folds_are_collected_on_training_tiles_and_averaged_on_test_tiles(tmp_path):
    for fold, value in enumerate((0.25, 0.75)):
        write_predictions(tmp_path / f"labelled{fold}.npy", [f"train{fold}"], np.full((1, 4, 4), value))
        write_predictions(tmp_path / f"test{fold}.npy", ["test0", "test1"], np.full((2, 4, 4), value))
    blend.main(
        [
            *("--settings", '{"weights": {"fold0": 1, "fold1": 1}}'),
            *("--labelled", f"{tmp_path}/labelled0.npy", f"{tmp_path}/labelled1.npy"),
            *("--test", f"{tmp_path}/test0.npy", f"{tmp_path}/test1.npy"),
            *("--out-of-fold-out", f"{tmp_path}/oof.npy", "--test-out", f"{tmp_path}/test.npy"),
            *("--stretch-out", f"{tmp_path}/stretch.json"),
        ]
    )
    out_of_fold, test = open_records(tmp_path / "oof.npy"), open_records(tmp_path / "test.npy")
    assert out_of_fold["id"].tolist() == ["train0", "train1"]
    assert out_of_fold["tta"][:, 0, 0].tolist() == [0.25, 0.75]
    assert test["plain"][:, 0, 0].tolist() == [0.5, 0.5]
    assert json.loads((tmp_path / "stretch.json").read_text()) == {"low": 0, "high": 1}


def test_a_stretched_blend_reaches_from_0_to_1_and_says_from_where_to_where_it_did(tmp_path):
    values = np.array([[0.25, 0.5], [0.75, 0.625]])[:, :, None, None] * np.ones((2, 2, 4, 4))
    for fold in (0, 1):
        write_predictions(tmp_path / f"labelled{fold}.npy", [f"train{fold}"], values[fold, :1])
        write_predictions(tmp_path / f"test{fold}.npy", ["test0", "test1"], values[fold])
    blend.main(
        [
            *("--settings", '{"weights": {"fold0": 1, "fold1": 1}, "stretch": true}'),
            *("--labelled", f"{tmp_path}/labelled0.npy", f"{tmp_path}/labelled1.npy"),
            *("--test", f"{tmp_path}/test0.npy", f"{tmp_path}/test1.npy"),
            *("--out-of-fold-out", f"{tmp_path}/oof.npy", "--test-out", f"{tmp_path}/test.npy"),
            *("--stretch-out", f"{tmp_path}/stretch.json"),
        ]
    )
    assert json.loads((tmp_path / "stretch.json").read_text()) == {"low": 0.5, "high": 0.5625}
    assert open_records(tmp_path / "test.npy")["tta"][:, 0, 0].tolist() == [0, 1]
    assert open_records(tmp_path / "oof.npy")["tta"][:, 0, 0].tolist() == [0, 1]  # by the same numbers, cut to 0..1
