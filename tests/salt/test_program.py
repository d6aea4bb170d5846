import logging

import pytest

from salt import program
from schemas.config import ConfigError


@pytest.fixture(autouse=True)
def logging_as_it_was(monkeypatch):
    """`run` sets up the log of a process; here the process is pytest's."""
    monkeypatch.setattr(logging, "basicConfig", lambda **_: None)
    monkeypatch.setattr(logging, "shutdown", lambda: None)


@pytest.mark.parametrize("kind", [program.UserError, ConfigError])
def test_a_users_mistake_is_its_text_alone(kind):
    def main():
        raise kind("expected a, found b; do c")

    with pytest.raises(SystemExit) as exit_:
        program.run(main)
    assert exit_.value.code == "Error: expected a, found b; do c"  # Python prints it and exits with 1


def test_a_fault_of_the_program_is_not_hidden():
    def main():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        program.run(main)


def test_success_exits_with_zero():
    with pytest.raises(SystemExit) as exit_:
        program.run(lambda: None)
    assert exit_.value.code == 0
