import copy
import subprocess
import sys
from dataclasses import fields, replace

import pytest

from salt.scores import verdict
from salt.scores.verdict import BETTER, UNDECIDED, WORSE, Difference
from schemas.reading import check_config
from tests.schemas.conftest import WINNING, merge

FIRST = Difference("hidden", "published", "final", "stage1", "first", 0.021, 0.014, 0.028, 2241)
CONTROL = replace(FIRST, than="final_control", role="control", difference=0.012, low=0.006, high=0.018)
UNSURE = {"difference": 0.002, "low": -0.003, "high": 0.007}
BAD = {"difference": -0.01, "low": -0.015, "high": -0.005}


@pytest.fixture
def config():
    return check_config(copy.deepcopy(WINNING))


@pytest.mark.parametrize(
    ("low", "high", "tiles", "word"),
    [
        (0.001, 0.1, 9, BETTER),
        (-0.1, -0.001, 9, WORSE),
        (-0.001, 0.1, 9, UNDECIDED),
        (0, 0.1, 9, UNDECIDED),
        (-0.1, 0, 9, UNDECIDED),
        (0.1, 0.1, 9, BETTER),
        (0.1, 0.1, 1, UNDECIDED),
    ],
)
def test_better_and_worse_need_an_interval_on_one_side_of_0_and_more_than_one_tile(low, high, tiles, word):
    assert replace(FIRST, low=low, high=high, tiles=tiles).verdict == word


def test_rounds_that_paid_more_than_longer_training_are_told_in_one_sentence(config):
    assert verdict.answer(config, [FIRST, CONTROL]) == (
        "final is better than stage1 by 0.0210 (0.0140 to 0.0280), and better than the same training without "
        "pseudo-labels by 0.0120 (0.0060 to 0.0180), over 2,241 tiles with hidden labels."
    )


def test_a_gain_no_greater_than_that_of_longer_training_is_told(config):
    assert verdict.answer(config, [FIRST, replace(CONTROL, **UNSURE)]) == (
        "final is better than stage1 by 0.0210 (0.0140 to 0.0280), but does not differ from the same training without "
        "pseudo-labels beyond chance (+0.0020, −0.0030 to 0.0070), over 2,241 tiles with hidden labels."
    )
    assert ", but is worse than the same training without pseudo-labels by 0.0100 (0.0050 to 0.0150), over" in (
        verdict.answer(config, [FIRST, replace(CONTROL, **BAD)])
    )


def test_without_a_control_a_gain_may_be_due_to_longer_training(config):
    words = verdict.answer(config, [FIRST])
    assert words.endswith(
        "over 2,241 tiles with hidden labels. This may be due to the longer training alone; the setting controls: "
        "true would tell."
    )
    assert "longer training" not in verdict.answer(config, [FIRST, CONTROL])


@pytest.mark.parametrize(
    ("of", "words"),
    [
        (UNSURE, "final does not differ from stage1 beyond chance (+0.0020, −0.0030 to 0.0070), over 2,241 tiles with"),
        (BAD, "final is worse than stage1 by 0.0100 (0.0050 to 0.0150), over 2,241 tiles with hidden labels."),
    ],
)
def test_rounds_that_did_not_pay_are_told_without_an_excuse(config, of, words):
    found = verdict.answer(config, [replace(FIRST, **of)])
    assert found.startswith(words)
    assert found.endswith("hidden labels.")


def test_without_an_earlier_round_there_is_nothing_to_tell(config):
    assert "do not tell whether rounds" in verdict.answer(config, [])
    single = merge(copy.deepcopy(WINNING), {"submission": {"ensemble": "stage1_resnet34"}})
    same_round = replace(FIRST, name="stage1_resnet34")
    assert "do not tell whether rounds" in verdict.answer(check_config(single), [same_round])


def test_out_of_fold_gains_that_leak_are_doubted_and_honest_ones_are_not(config):
    doubt = "These scores favour later rounds, whose pseudo-labels came from models that had seen the held-out tiles"
    out_of_fold = replace(FIRST, labels="out_of_fold")
    assert doubt in verdict.answer(config, [out_of_fold])
    assert doubt not in verdict.answer(config, [FIRST])
    for labels in (raw := copy.deepcopy(WINNING))["pseudo_labels"].values():
        labels["scope"] = "fold"
    assert doubt not in verdict.answer(check_config(raw), [out_of_fold])


@pytest.mark.parametrize("best", ["hidden", "true_test", "out_of_fold"])
def test_the_answer_is_about_the_most_telling_labels(config, best):
    kinds = ["out_of_fold", "true_test", "hidden"]
    found = [replace(FIRST, labels=labels) for labels in kinds[: kinds.index(best) + 1]]
    assert verdict.LABELS[best] in verdict.answer(config, found)
    assert {of.labels for of in verdict.on_best_labels(found)} == {best}


def test_the_lines_show_each_pair_once_with_its_roles_and_its_verdict(config):
    stage2 = replace(FIRST, name="stage2", role="before", **BAD)
    found = [stage2, replace(stage2, role="first"), FIRST, replace(CONTROL, **UNSURE)]
    head, *rows, last = verdict.lines(config, found)
    assert head == "differences of 2,241 tiles with hidden labels, with 95 % intervals:"
    assert [" ".join(row.split()) for row in rows] == [
        "stage2 − stage1 (before, first) −0.0100 (−0.0150 to −0.0050) worse",
        "final − stage1 (first) +0.0210 (0.0140 to 0.0280) better",
        "final − final_control (control) +0.0020 (−0.0030 to 0.0070) no difference beyond chance",
    ]
    assert last == verdict.answer(config, found)
    assert verdict.lines(config, []) == []


def test_only_masks_as_submitted_count(config):
    assert verdict.as_submitted(config, [FIRST, replace(FIRST, jigsaw="none")]) == [FIRST]


def test_what_is_written_is_read_again(tmp_path):
    path = tmp_path / "differences.csv"
    names = [field.name for field in fields(Difference)]
    rows = [[str(getattr(of, name)) for name in names] for of in (FIRST, CONTROL)]
    path.write_text("\n".join(",".join(row) for row in [names, *rows]))
    assert verdict.load(path) == [FIRST, CONTROL]


def test_no_number_shows_a_minus_before_zero():
    tiny = replace(FIRST, difference=-0.00001, low=-0.00004, high=0.00002)
    assert f"{tiny.signed} ({tiny.interval})" == "+0.0000 (0.0000 to 0.0000)"


def test_the_snakefile_gets_words_without_waiting_for_numpy():
    code = "import sys; import salt.scores.verdict; sys.exit('numpy' in sys.modules or 'pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
