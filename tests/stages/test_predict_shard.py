import json

import numpy as np
import pytest

from salt.data.records import open_members, open_records
from stages import predict_fold, predict_shard
from tests.stages.conftest import COMPUTE, NETWORK

SHARED = {"network": NETWORK.model_dump(), "input": {"channels": "ramp"}}


def in_one_job(run, snapshots, compute, **more):
    settings = SHARED | {"members": {"phase1_cycle1": 3, "phase1_cycle2": 1}} | more
    predict_fold.main(
        [
            *("--settings", json.dumps(settings), "--compute", compute, "--fold", "0"),
            *("--tiles", f"{run}/tiles", "--folds", f"{run}/folds.csv", "--snapshots", str(snapshots)),
            *("--table", f"{run}/snapshots.csv", "--members", f"{run}/members.json"),
            *("--held-out", f"{run}/held_out.npy", "--test", f"{run}/test.npy"),
        ]
    )
    return open_records(run / "test.npy")


def in_shards(run, snapshots, compute, count, **more):
    paths = [run / f"test_{number}.npy" for number in range(1, count + 1)]
    for number, path in enumerate(paths, 1):
        predict_shard.main(
            [
                *("--settings", json.dumps(SHARED | more), "--tiles", f"{run}/tiles", "--snapshots", str(snapshots)),
                *("--compute", json.dumps(json.loads(compute) | {"shards": count})),
                *("--members", f"{run}/members.json", "--shard", str(number), "--out", str(path)),
            ]
        )
    (joined,) = open_members(paths, 1)
    return joined


@pytest.mark.parametrize("count", [2, 3, 5])  # of six tiles, so with batches of two, two shards of five are empty
def test_shards_together_hold_the_bytes_of_one_job(run, snapshots, count):
    compute = json.dumps(json.loads(COMPUTE) | {"predict_batch": 2})
    whole, shards = (of(run, snapshots, compute, *more) for of, more in ((in_one_job, ()), (in_shards, (count,))))
    assert shards["id"].tolist() == whole["id"].tolist()
    assert shards["tta"][0:6].tobytes() == whole["tta"].tobytes()
    assert len(shards) == len(whole) == 6


@pytest.mark.parametrize(("scored", "fields"), [(False, ["tta"]), (True, ["plain", "tta"])])
def test_only_tiles_that_are_scored_are_kept_without_mirror_images(run, snapshots, scored, fields):
    whole = in_one_job(run, snapshots, COMPUTE, scores_test=scored)
    shards = in_shards(run, snapshots, COMPUTE, 2, scores_test=scored)
    for found in (whole, shards):
        assert list(found.dtype.names) == ["id", *fields]
    assert open_records(run / "held_out.npy").dtype.names == ("id", "plain", "tta")
    assert np.ptp(whole["tta"].astype(float)) > 0
