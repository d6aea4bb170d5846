import itertools
import json

import pytest
import torch
from torch import nn

from benchmarks import measure

CPU = torch.device("cpu")


class Convolution(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(3, 8, 3, padding=1)

    def forward(self, x):
        return {"mask": self.layer(x)}


@pytest.fixture
def work(monkeypatch):
    """Work that takes 0.01 s a call by a clock of its own, and ten times that at first."""
    clock = itertools.count()
    now = [0.0]
    monkeypatch.setattr(measure.time, "perf_counter", lambda: now[0])

    def call():
        now[0] += 0.01 if next(clock) > 1 else 0.1

    return call


def test_a_rate_counts_the_units_of_calls_after_the_first_ones(work):
    found = measure.rate(work, 5, 0.2, CPU, warm_up=2)
    assert (found.low, found.median, found.high) == pytest.approx((500, 500, 500))
    assert found.blocks == 5


def test_work_that_takes_longer_than_its_time_is_done_once(work):
    found = measure.rate(work, 5, 0.001, CPU, warm_up=2)
    assert found.median == pytest.approx(500)
    assert found.blocks == 1


def test_a_multiplication_and_an_addition_are_two_operations():
    network = Convolution()
    assert measure.flops(network, 3, (10, 12)) == 2 * 3 * 8 * 9 * 10 * 12
    assert network.training
    assert next(network.parameters()).device.type == "cpu"


def test_a_peak_of_memory_is_seen_after_it_is_over():
    measure.forget_peak(CPU)
    before = measure.peak(CPU)
    torch.zeros(50_000_000).add_(1)  # 200 MB
    assert measure.peak(CPU) > before + 100


def test_a_table_has_a_line_a_row_and_leaves_out_what_a_row_has_not():
    lines = measure.table([{"a": 1.23456, "b": "x"}, {"a": 1234.5}], ("a", "b")).splitlines()
    assert lines == ["| a | b |", "| --- | --- |", "| 1.23 | x |", "| 1234 |  |"]


def test_the_machine_can_be_written_as_json(tmp_path):
    measure.write(tmp_path / "one.json", measure.machine(CPU))
    found = json.loads((tmp_path / "one.json").read_text())
    assert found["device"].startswith("CPU")
    assert torch.__version__.startswith(found["versions"]["torch"])
