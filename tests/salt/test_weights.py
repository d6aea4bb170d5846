import pytest
import torch
from torch import nn

from salt.weights import copy_state, load_weights, save_weights


def test_weights_come_back_bit_for_bit(tmp_path):
    network, other = nn.BatchNorm2d(3), nn.BatchNorm2d(3)
    network(torch.randn(2, 3, 4, 4))
    save_weights(tmp_path / "w.safetensors", copy_state(network))
    load_weights(other, tmp_path / "w.safetensors")
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in network.state_dict().items())


def test_the_same_weights_make_the_same_file(tmp_path):
    state = copy_state(nn.Linear(3, 3))
    save_weights(tmp_path / "a", state)
    save_weights(tmp_path / "b", dict(reversed(state.items())))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_weights_of_another_network_are_refused(tmp_path):
    save_weights(tmp_path / "w", copy_state(nn.Linear(3, 3)))
    with pytest.raises(RuntimeError, match="size mismatch"):
        load_weights(nn.Linear(3, 4), tmp_path / "w")
