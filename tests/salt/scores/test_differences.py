import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from salt.scores import differences
from salt.scores.verdict import Difference
from schemas.results import Pair

tenths = st.integers(-10, 10).map(lambda tenth: tenth / 10)


@given(st.lists(tenths, min_size=2, max_size=30).filter(lambda values: len(set(values)) > 1))
def test_an_interval_is_that_of_a_paired_t_test(values):
    found = differences.interval(values)
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert found == pytest.approx((np.mean(values), *expected))
    zero = stats.ttest_1samp(values, found.low)  # at the interval's end, chance alone has 5 %
    assert zero.pvalue == pytest.approx(0.05)


@given(tenths, st.integers(1, 20))
def test_an_interval_of_equal_values_has_no_width(value, count):
    assert differences.interval([value] * count) == (value, value, value)


def test_intervals_contain_the_mean_they_estimate_in_95_of_100_draws():
    rng = np.random.default_rng(0)
    found = [differences.interval(rng.normal(0.3, 1, 8)) for _ in range(2000)]
    assert np.mean([low <= 0.3 <= high for _, low, high in found]) == pytest.approx(0.95, abs=0.015)


def test_differences_are_paired_by_tile():
    index = pd.MultiIndex.from_tuples([("hidden", "none", name) for name in "abcd"], names=differences.KEYS)
    easy = np.array([0.1, 0.9, 0.4, 0.6])
    table = pd.DataFrame({"stage1": easy, "stage2": easy + 0.1}, index)
    (found,) = differences.differences(table, [Pair(name="stage2", than="stage1", role="first")])
    assert (found.labels, found.jigsaw, found.name, found.than, found.role) == (
        *("hidden", "none", "stage2", "stage1", "first"),
    )
    assert (found.difference, found.low, found.high) == pytest.approx((0.1, 0.1, 0.1))
    assert found.tiles == 4
    assert isinstance(found, Difference)


def test_each_kind_of_labels_and_each_rule_has_its_differences():
    keys = [(labels, rule, name) for labels in ("out_of_fold", "hidden") for rule in ("none", "x") for name in "ab"]
    scores = {"one": np.arange(8) / 10, "two": np.zeros(8)}
    table = pd.DataFrame(scores, pd.MultiIndex.from_tuples(keys, names=differences.KEYS))
    found = differences.differences(table, [Pair(name="one", than="two", role="before")])
    assert [(of.labels, of.jigsaw) for of in found] == [key[:2] for key in keys[::2]]
    assert [of.difference for of in found] == pytest.approx([0.05, 0.25, 0.45, 0.65])


def test_scores_of_tiles_are_read_as_they_were_whatever_tiles_and_models_are_called(tmp_path):
    index = pd.MultiIndex.from_tuples([("hidden", "none", name) for name in ("007", "NA", "1e5")])
    table = pd.DataFrame({"id": [0.1, 0.2, 0.3], "labels": [0.0, 0.5, 1.0]}, index.set_names(differences.KEYS))
    table.reset_index(allow_duplicates=True).to_csv(tmp_path / "t.csv", index=False)
    pd.testing.assert_frame_equal(differences.load_tile_scores(tmp_path / "t.csv"), table)
