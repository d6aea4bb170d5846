from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from salt.data.predictions import FIELDS, UNSCORED
from salt.data.records import create_records, open_members, open_records
from salt.ensembles.blending import blend, extremes, mean
from schemas.results import Stretch


def predictions(path, ids, seed, fields=FIELDS):
    with create_records(path, ids, dict.fromkeys(fields, np.float16), 4, 4) as records:
        rng = np.random.default_rng(seed)
        for name in fields:
            records[name] = rng.random((len(ids), 4, 4))
    return open_records(path)


IDS = [f"{number:04d}" for number in range(600)]  # more than a chunk


def test_models_are_averaged_by_weight(tmp_path):
    members = [predictions(tmp_path / f"{seed}.npy", IDS, seed) for seed in range(2)]
    assert blend(members, [3, 1], tmp_path / "out.npy") == 600
    found = open_records(tmp_path / "out.npy")
    assert found["id"].tolist() == IDS
    for name in FIELDS:
        first, second = (member[name].astype(np.float64) for member in members)
        assert np.abs(found[name] - (3 * first + second) / 4).max() < 1e-3


def test_a_mean_is_of_the_rows_asked_for_in_single_precision(tmp_path):
    members = [predictions(tmp_path / f"{seed}.npy", IDS, seed) for seed in range(3)]
    found = mean(members, [1, 2, 1], "plain", slice(10, 30))
    first, second, third = (member["plain"][10:30].astype(np.float64) for member in members)
    assert found.dtype == np.float32
    assert np.allclose(found, (first + 2 * second + third) / 4, atol=1e-7)
    alone = mean(members[:1], [7], "tta", slice(0, 600))
    assert np.array_equal(alone, members[0]["tta"])


def test_held_out_folds_are_collected_by_id(tmp_path):
    ids = [IDS[fold::3][::-1] for fold in range(3)]
    members = [predictions(tmp_path / f"{fold}.npy", ids[fold], fold) for fold in range(3)]
    blend(members, [1, 1, 1], tmp_path / "out.npy")
    found = open_records(tmp_path / "out.npy")
    assert found["id"].tolist() == IDS
    for member in members:
        assert np.array_equal(found["tta"][np.searchsorted(found["id"], member["id"])], member["tta"])


def test_members_that_share_some_tiles_are_refused(tmp_path):
    members = [predictions(tmp_path / "a.npy", IDS[:5], 0), predictions(tmp_path / "b.npy", IDS[3:9], 1)]
    with pytest.raises(ValueError, match="same tiles in the same order, or share none"):
        blend(members, [1, 1], tmp_path / "out.npy")


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=4))
def test_a_blend_of_one_prediction_with_itself_is_that_prediction(tmp_path_factory, weights):
    folder = tmp_path_factory.mktemp("blend")
    member = predictions(folder / "a.npy", IDS[:3], 0)
    blend([member] * len(weights), weights, folder / "out.npy")
    assert np.abs(open_records(folder / "out.npy")["tta"].astype(float) - member["tta"]).max() < 1e-3


def test_the_extremes_of_a_blend_are_those_of_all_tiles_but_constant_ones(tmp_path):
    members = [predictions(tmp_path / f"{seed}.npy", IDS, seed) for seed in range(2)]
    whole = np.concatenate([mean(members, [3, 1], "tta", slice(start, start + 200)) for start in (0, 200, 400)])
    found = extremes(members, [3, 1])
    assert (found.low, found.high) == (whole.min(), whole.max())
    alone = create_constant(tmp_path / "constant.npy")
    assert extremes([alone], [1]) == Stretch(low=0.25, high=0.75)
    assert extremes([alone[:1]], [1]) == Stretch()  # nothing to be stretched


def create_constant(path):
    """A constant tile, with a prediction of 0, and another one."""
    with create_records(path, ["a", "b"], {name: np.float16 for name in FIELDS}, 4, 4) as records:
        for name in FIELDS:
            records[name][1] = np.linspace(0.25, 0.75, 16).reshape(4, 4)
    return open_records(path)


def test_a_stretched_blend_has_its_extremes_at_0_and_1_and_the_others_between(tmp_path):
    members = [predictions(tmp_path / f"{seed}.npy", IDS[:50], seed) for seed in range(3)]
    stretch = extremes(members, [1, 1, 1])
    for out, by in (("plain.npy", Stretch()), ("out.npy", stretch)):
        blend(members, [1, 1, 1], tmp_path / out, by)
    plain, found = (open_records(tmp_path / out)["tta"].astype(np.float64) for out in ("plain.npy", "out.npy"))
    assert (found.min(), found.max()) == (0, 1)
    assert np.abs(found - (plain - stretch.low) / (stretch.high - stretch.low)).max() < 2e-3


def test_tiles_beyond_the_extremes_are_cut_to_0_and_1(tmp_path):
    ids = [IDS[fold::2] for fold in range(2)]
    members = [predictions(tmp_path / f"{fold}.npy", ids[fold], fold) for fold in range(2)]
    blend(members, [1, 1], tmp_path / "out.npy", Stretch(low=0.25, high=0.75))
    found = open_records(tmp_path / "out.npy")
    expected = np.clip((members[0]["plain"].astype(np.float32) - 0.25) / 0.5, 0, 1)
    assert np.array_equal(found["plain"][0::2], expected.astype(np.float16))


@given(st.lists(st.integers(0, 600), max_size=3), st.sampled_from([FIELDS, UNSCORED]))
def test_members_in_parts_blend_as_whole_ones(tmp_path_factory, cuts, fields):
    folder = tmp_path_factory.mktemp("blend")
    members = [predictions(folder / f"{seed}.npy", IDS, seed, fields) for seed in range(2)]
    ends = [0, *sorted(cuts), len(IDS)]
    paths = []
    for number, member in enumerate(members):
        for part, (start, stop) in enumerate(pairwise(ends)):
            paths.append(folder / f"{number}_{part}.npy")
            with create_records(paths[-1], IDS[start:stop], dict.fromkeys(fields, np.float16), 4, 4) as records:
                for name in fields:
                    records[name] = member[name][start:stop]
    blend(members, [1, 2], folder / "whole.npy")
    blend(open_members(paths, 2), [1, 2], folder / "joined.npy")
    assert (folder / "joined.npy").read_bytes() == (folder / "whole.npy").read_bytes()
