import json
import math
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from salt.inference import snapshots
from salt.inference.snapshots import KeptSnapshot
from schemas.errors import UserError
from schemas.snapshots import Best, BestOfCycle, Equal, Every, Falling, Last


class Epoch(NamedTuple):
    cycle: int
    epoch: int
    score: float


KEPT = [
    KeptSnapshot("phase1", 1, 1, 4, 0.5),
    KeptSnapshot("phase2_cycle1", 2, 1, 2, 0.7),
    KeptSnapshot("phase2_cycle2", 2, 2, 5, 0.5),
]


def epochs(scores):
    """Two epochs a cycle."""
    return [Epoch((number + 1) // 2, number, score) for number, score in enumerate(scores, 1)]


@pytest.mark.parametrize(
    ("keep", "scores", "kept"),
    [
        (BestOfCycle(), [0.1, 0.3, 0.2, 0.2, 0.9], [2, 3, 5]),
        (BestOfCycle(), [math.nan] * 5, [2, 4, 5]),
        (Best(name="best", count=2), [0.1, 0.3, 0.2, 0.3], [2, 4]),
        (Best(name="best", count=2), [math.nan] * 4, [4, 3]),
        (Best(name="best", count=9), [0.1, 0.3], [2, 1]),
        (Last(name="last"), [0.9, 0.1], [2]),
        (Every(name="every", epochs=2), [0.1] * 5, [2, 4]),
        (Every(name="every", epochs=2), [0.1], []),
    ],
)
def test_each_rule_retains_its_epochs_in_the_order_of_their_names(keep, scores, kept):
    assert [epoch.epoch for epoch in snapshots.retained(keep, epochs(scores))] == kept


@given(
    st.lists(st.sampled_from([0.1, 0.2, 0.3]), min_size=1, max_size=12),
    st.sampled_from([BestOfCycle(), Best(name="best", count=2), Last(name="last"), Every(name="every", epochs=3)]),
)
def test_what_is_left_out_is_never_wanted_later(scores, keep):
    had = set()
    for done in range(1, len(scores) + 1):
        wanted = set(snapshots.retained(keep, epochs(scores[:done])))
        assert wanted <= had | {epochs(scores)[done - 1]}
        had = wanted


@pytest.mark.parametrize(
    ("members", "weights"),
    [
        ({"phase2_cycle1": 3.0, "phase1": 1.0}, {"phase2_cycle1": 3.0, "phase1": 1.0}),
        (Equal(name="equal"), {"phase1": 1.0, "phase2_cycle1": 1.0, "phase2_cycle2": 1.0}),
        (Falling(name="falling", best=2, ratio=0.5), {"phase2_cycle1": 1.0, "phase1": 0.5}),
        (
            Falling(name="falling", best=9, ratio=0.1),
            {"phase2_cycle1": 1.0, "phase1": 0.1, "phase2_cycle2": pytest.approx(0.01)},
        ),
    ],
)
def test_members_are_weighed_by_name_or_by_a_rule(members, weights):
    found = snapshots.resolve(members, KEPT)
    assert [(member.file, member.weight) for member in found] == [
        (f"{name}.safetensors", weight) for name, weight in weights.items()
    ]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=9))
def test_the_table_and_the_members_are_read_as_they_were_written(tmp_path, scores):
    kept = [KeptSnapshot(f"phase1_epoch{epoch}", 1, 1, epoch, score) for epoch, score in enumerate(scores, 1)]
    snapshots.write_table(tmp_path / "snapshots.csv", kept)
    assert snapshots.read_table(tmp_path / "snapshots.csv") == kept
    members = snapshots.resolve(Falling(name="falling", best=5, ratio=1 / 3), kept)
    snapshots.write_members(tmp_path / "members.json", members)
    assert snapshots.read_members(tmp_path / "members.json") == members


@pytest.mark.parametrize(
    "content",
    [
        None,
        "",
        "[]",
        json.dumps([{"file": "../../other.safetensors", "weight": 1}]),
        json.dumps([{"file": "phase1.safetensors", "weight": 0}]),
        json.dumps([{"file": "phase1.pth", "weight": 1}]),
    ],
)
def test_members_that_predict_fold_did_not_write_are_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "members.json").write_text(content)
    with pytest.raises(UserError, match="members.json: expected the whole file, as its program wrote it, found"):
        snapshots.read_members(tmp_path / "members.json")
