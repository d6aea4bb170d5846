import signal

import pytest

from salt.runtime.signals import stop_requests


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_is_a_request_and_handlers_are_given_back(number):
    before = signal.getsignal(number)
    with stop_requests() as request:
        assert request.signal_number == 0
        signal.raise_signal(number)
        assert request.signal_number == number
    assert signal.getsignal(number) is before


@pytest.fixture
def ctrl_c_ends_the_program():
    """As in a terminal; whoever starts the tests in the background has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c_ends_the_program")
def test_a_second_ctrl_c_ends_the_work_at_once():
    with pytest.raises(KeyboardInterrupt), stop_requests():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
