import pytest

from schemas.postprocess import DEFAULT, EmptyConstant, FillHoles, Jigsaw, Postprocess, Threshold
from schemas.reading import check_config, read_settings
from tests.schemas.conftest import WINNING, merge

THRESHOLD = {"name": "threshold", "above": 0.4}


@pytest.mark.parametrize(
    ("last", "rule", "shown"),
    [
        ([], "none", "published"),
        ([{"name": "jigsaw"}], "published", "published"),
        ([{"name": "jigsaw", "rule": "extended"}], "extended", "extended"),
    ],
)
def test_a_submission_has_a_threshold_and_a_jigsaw_rule(last, rule, shown):
    submission = check_config(merge(WINNING, {"submission": {"postprocess": [THRESHOLD, *last]}})).submission
    assert (submission.threshold, submission.jigsaw, submission.shown_jigsaw) == (0.4, rule, shown)


def test_without_a_list_the_steps_are_those_of_the_winning_recipe():
    assert check_config(merge(WINNING, {"submission": {"postprocess": None}})).submission.postprocess == DEFAULT


def test_cleaning_is_between_threshold_and_jigsaw_and_keeps_its_order():
    fill, empty = FillHoles(smaller_than=3), EmptyConstant()
    steps = Postprocess((Threshold(), fill, empty, fill, Jigsaw()))
    assert steps.cleaning == (fill, empty, fill)
    assert steps.tilewise == Postprocess((Threshold(), fill, empty, fill))
    assert steps.tilewise.tilewise == steps.tilewise


def test_a_program_gets_the_steps_as_they_were():
    assert read_settings(Postprocess, DEFAULT.model_dump_json()) == DEFAULT
