import json

import numpy as np
import pytest

from salt.data.records import open_records
from schemas.errors import UserError
from stages import predict_fold
from tests.stages.conftest import COMPUTE, NETWORK


def start(run, snapshots, members, out):
    settings = {"network": NETWORK.model_dump(), "input": {"channels": "ramp"}, "members": members}
    predict_fold.main(
        [
            *("--settings", json.dumps(settings), "--compute", COMPUTE, "--fold", "0"),
            *("--tiles", f"{run}/tiles", "--folds", f"{run}/folds.csv", "--snapshots", str(snapshots)),
            *("--table", f"{run}/snapshots.csv", "--members", f"{run}/{out}_members.json"),
            *("--held-out", f"{run}/{out}_held_out.npy", "--test", f"{run}/{out}_test.npy"),
        ]
    )
    return open_records(run / f"{out}_held_out.npy"), open_records(run / f"{out}_test.npy")


def test_it_predicts_the_held_out_tiles_and_all_test_tiles(run, snapshots):
    held_out, test = start(run, snapshots, {"phase1_cycle1": 1}, "one")
    assert held_out["id"].tolist() == [f"train{row:03d}" for row in range(2, 12, 2)]  # the first is constant
    assert test["id"].tolist() == [f"test{row:03d}" for row in range(6)]
    assert test["tta"].dtype == np.float16
    assert ((test["tta"] >= 0) & (test["tta"] <= 1)).all()
    assert test["tta"][0].max() == 0  # constant


def test_snapshots_weigh_as_the_members_say(run, snapshots):
    first, _ = start(run, snapshots, {"phase1_cycle1": 1}, "first")
    second, _ = start(run, snapshots, {"phase1_cycle2": 1}, "second")
    both, _ = start(run, snapshots, {"phase1_cycle1": 3, "phase1_cycle2": 1}, "both")
    for name in ("plain", "tta"):
        expected = (3 * first[name].astype(float) + second[name]) / 4
        assert np.abs(both[name] - expected).max() < 2e-3


@pytest.mark.parametrize(
    ("rule", "weights"),
    [
        ({"name": "equal"}, {"phase1_cycle1": 1, "phase1_cycle2": 1}),
        ({"name": "falling", "best": 2, "ratio": 0.25}, {"phase1_cycle2": 4, "phase1_cycle1": 1}),
        ({"name": "falling", "best": 1, "ratio": 0.25}, {"phase1_cycle2": 1}),
    ],
)
def test_a_rule_predicts_what_the_weights_that_it_means_predict(run, snapshots, rule, weights):
    for found, expected in zip(
        start(run, snapshots, rule, "rule"), start(run, snapshots, weights, "weights"), strict=True
    ):
        assert (found["id"] == expected["id"]).all()
        assert (found["tta"] == expected["tta"]).all()


def test_it_leaves_who_predicted_for_all_later_predictions(run, snapshots):
    start(run, snapshots, {"name": "falling", "best": 2, "ratio": 0.25}, "out")
    assert json.loads((run / "out_members.json").read_text()) == [
        {"file": "phase1_cycle2.safetensors", "weight": 1.0},
        {"file": "phase1_cycle1.safetensors", "weight": 0.25},
    ]


def test_a_missing_snapshot_is_refused(run, snapshots):
    with pytest.raises(UserError, match="phase1_cycle3.safetensors: expected .* found no such file"):
        start(run, snapshots, {"phase1_cycle3": 1}, "out")
