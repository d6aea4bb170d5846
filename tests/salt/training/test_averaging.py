import pytest
import torch
from torch import nn

from salt.training.averaging import WeightAverage
from schemas.phases import Ema, Swa


def one_weight():
    network = nn.Linear(1, 1, bias=False)
    network.weight.data.fill_(0)
    return network


def weights_after(average, network, values):
    """The average's weight after each step to one of the values."""
    found = []
    for done, value in enumerate(values, 1):
        network.weight.data.fill_(value)
        average.after_step()
        average.after_epoch(done, inputs=[])
        found.append(average.network.weight.item())
    return found


def test_an_exponential_average_by_hand():
    network = one_weight()
    found = weights_after(WeightAverage(network, Ema(name="ema", decay=0.75)), network, [4, 8, 0])
    assert found == [4, 0.75 * 4 + 0.25 * 8, 0.75 * 5]


def test_a_stochastic_average_by_hand_starts_with_the_weights_as_they_are():
    network = one_weight()
    found = weights_after(WeightAverage(network, Swa(name="swa", start=2, every=2)), network, [9, 4, 7, 8, 1, 3])
    assert found == [9, 4, 4, 6, 6, 5]


@pytest.mark.parametrize(
    ("settings", "found"),
    [(Ema(name="ema", decay=0.75), [4, 5, 5, 0, 3]), (Swa(name="swa", start=1), [4, 6, 6, 4, 6])],
)
def test_a_restart_begins_an_exponential_average_anew_and_continues_a_mean(settings, found):
    network = one_weight()
    average = WeightAverage(network, settings)
    before = weights_after(average, network, [4, 8])
    network.weight.data.fill_(5)
    average.restart()
    now = average.network.weight.item()
    assert [*before, now, *weights_after(average, network, [0, 12])] == found


def test_without_an_average_the_network_itself_is_kept():
    network = one_weight()
    assert WeightAverage(network, None).network is network


@pytest.mark.parametrize("settings", [Ema(name="ema", decay=0.5), Swa(name="swa", start=1)])
def test_the_trained_network_is_left_alone(settings):
    network = one_weight()
    weights_after(WeightAverage(network, settings), network, [1, 2])
    assert network.weight.item() == 2


def test_batch_norm_is_measured_anew_for_a_mean_of_weights():
    network = nn.Sequential(nn.Linear(1, 1, bias=False), nn.BatchNorm1d(1))
    network[0].weight.data.fill_(2)
    average = WeightAverage(network, Swa(name="swa", start=1))
    inputs = [torch.tensor([[1.0], [3.0]]), torch.tensor([[5.0], [9.0]])]
    average.after_epoch(1, iter(inputs))
    norm = average.network[1]
    assert norm.running_mean.item() == pytest.approx(2 * 4.5)  # the mean of the batches' means 2 and 7, doubled
    assert norm.running_var.item() == pytest.approx(4 * (2 + 8) / 2)
    assert network[1].running_mean.item() == 0


def test_batch_norm_is_averaged_like_the_weights_exponentially():
    network = nn.BatchNorm1d(1)
    average = WeightAverage(network, Ema(name="ema", decay=0.5))
    for value in (2.0, 4.0):
        network.running_mean.fill_(value)
        average.after_step()
    assert average.network.running_mean.item() == 3
