from dataclasses import replace

from salt.report import differences
from salt.scores import verdict
from salt.scores.verdict import Difference

BEFORE = Difference("true_test", "none", "stage2", "stage1", "before", 0.1, 0.05, 0.15, 90)
FIRST = replace(BEFORE, role="first")


def test_the_first_stage_has_a_column_only_if_it_is_not_always_the_stage_before():
    third = replace(FIRST, name="final"), replace(BEFORE, name="final", than="stage2")
    assert differences.roles([BEFORE, FIRST]) == ["before"]
    assert differences.roles([BEFORE, FIRST, *third]) == ["before", "first"]
    assert differences.roles([replace(FIRST, role="control")]) == ["control"]
    assert differences.roles([]) == []


def test_only_dots_of_intervals_that_exclude_0_are_full():
    unsure = replace(BEFORE, name="final", low=-0.1)
    dots = {of: differences.intervals_chart(verdict.merged([of])) for of in (BEFORE, unsure)}
    assert "fill: var(--blue)" in dots[BEFORE]
    assert "fill-opacity: 0" not in dots[BEFORE]
    assert "fill: var(--blue)" not in dots[unsure]
    assert "fill-opacity: 0" in dots[unsure]


def test_a_pair_of_two_roles_is_one_line_of_the_chart():
    assert "stage2 − stage1 (before, first)" in differences.intervals_chart(verdict.merged([BEFORE, FIRST]))
