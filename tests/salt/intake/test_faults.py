import pytest

from salt.intake.faults import Faults, listed
from schemas.errors import UserError


def test_all_errors_are_one_text_by_kind_in_the_order_of_their_first():
    faults = Faults()
    faults.add("ids that are twice", ["a"], "Leave one.")
    faults.add("files that are gone", ["x.png"])
    faults.add("ids that are twice", ["b"], "Leave one.")
    faults.warn("odd ids", ["c"], "They are not read.")
    with pytest.raises(UserError) as error:
        faults.raise_if_any("The data are wrong")
    assert str(error.value).splitlines() == [
        "The data are wrong. The faults by kind, with their number, the first few and what to do:",
        "- ids that are twice (2): a, b. Leave one.",
        "- files that are gone (1): x.png. Repair or replace them.",
        "Then type the same command again.",
    ]


def test_no_examples_are_no_fault():
    faults = Faults()
    faults.add("ids that are twice", [])
    faults.raise_if_any("")


def test_warnings_end_nothing_and_are_said_once_in_the_log_and_on_the_terminal(caplog, monkeypatch, tmp_path):
    caplog.set_level("INFO")
    faults = Faults()
    faults.warn("odd ids", ["c", "d"], "They are not read.")
    faults.raise_if_any("")
    with (tmp_path / "terminal").open("w") as terminal:
        monkeypatch.setenv("PROGRESS_TO", str(terminal.fileno()))
        faults.report_warnings()
        faults.report_warnings()
    assert caplog.messages == ["Warning: odd ids (2): c, d. They are not read."]
    assert (tmp_path / "terminal").read_text() == "Warning: odd ids (2): c, d. They are not read.\n"


def test_five_examples_are_shown_and_all_are_counted():
    assert listed(list("abcde")) == "(5): a, b, c, d, e"
    assert listed(list("abcdefg")) == "(7): a, b, c, d, e and 2 more"


def test_examples_stay_on_their_line_and_cannot_command_a_terminal():
    assert listed(["a\nb", "\x1b[2J", "\udcff", "\u00e4"]) == r"(4): a\nb, \x1b[2J, \udcff, \u00e4".replace(
        r"\u00e4", "\u00e4"
    )
    assert len(listed(["x" * 10**6])) < 1100
