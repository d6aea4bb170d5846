import logging
import os

import pytest

from salt.runtime import progress


@pytest.fixture
def now(monkeypatch):
    """A clock that the test sets."""
    time = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: time[0])
    return time


def test_a_line_goes_to_the_log_and_to_the_terminal_of_the_run(caplog, monkeypatch):
    reading, writing = os.pipe()
    monkeypatch.setenv("PROGRESS_TO", str(writing))
    with caplog.at_level(logging.INFO):
        progress.say("epoch 1/2")
    os.close(writing)
    assert os.read(reading, 100) == b"epoch 1/2\n"
    os.close(reading)
    assert caplog.messages == ["epoch 1/2"]
    progress.say("the terminal is gone, and nothing breaks")


def test_time_left_goes_by_the_pace_so_far(now):
    clock = progress.Clock()
    assert clock.left(done=0, ahead=10) == "?"
    now[0] = 60.0
    assert clock.left(done=1, ahead=9) == "09:00"
    assert clock.left(done=10, ahead=0) == "00:00"


def test_a_ticker_speaks_every_few_seconds(now, caplog):
    ticker = progress.Ticker("test tiles", total=100, every=10)
    with caplog.at_level(logging.INFO):
        for done in range(1, 26):
            now[0] = float(done)
            ticker.tick(done)
    assert caplog.messages == [
        "test tiles | 10/100 tiles | 1 tiles/s | 01:30 left",
        "test tiles | 20/100 tiles | 1 tiles/s | 01:20 left",
    ]


def test_a_slow_ticker_logs_its_rate_in_its_unit(now, caplog):
    ticker = progress.Ticker("images", total=4, unit="windows")
    now[0] = 8.0
    with caplog.at_level(logging.INFO):
        ticker.tick(2)
        now[0] = 16.0
        ticker.tick(3)
    assert caplog.messages == ["images | 3/4 windows | 0.19 windows/s | 00:05 left"]
