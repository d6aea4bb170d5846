import pytest
import torch
from torch import nn

from salt.inference.weight_files import copy_state, load_weights, save_weights
from salt.runtime import provenance
from schemas.errors import UserError


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


def test_weights_of_another_network_are_refused_with_the_differences_and_their_own_network(tmp_path):
    save_weights(tmp_path / "w", copy_state(nn.Linear(3, 3)))
    provenance.write(tmp_path / "w", {"network": {"name": "unet_plain", "width": 8}}, {})
    with pytest.raises(UserError) as error:
        load_weights(nn.Linear(3, 4), tmp_path / "w")
    assert str(error.value).startswith(
        f"Expected {tmp_path}/w to hold the weights of this network, a Linear, found a file with weight (3, 3) in "
        'place of (4, 3), bias (3,) in place of (4,). It was made for {"name": "unet_plain", "width": 8}. Give a file'
    )


def test_missing_and_unknown_names_are_reported(tmp_path):
    save_weights(tmp_path / "w", copy_state(nn.BatchNorm2d(3)))
    with pytest.raises(
        UserError, match="and with the unknown bias, num_batches_tracked, running_mean and 1 more. Give"
    ):
        load_weights(nn.Conv2d(3, 3, 1, bias=False), tmp_path / "w")
    save_weights(tmp_path / "w", copy_state(nn.Conv2d(3, 3, 1, bias=False)))
    with pytest.raises(UserError, match="without bias and with weight"):
        load_weights(nn.Linear(3, 3), tmp_path / "w")


@pytest.mark.parametrize("content", [None, b"", b"not a file of weights"])
def test_a_file_that_is_missing_or_not_safetensors_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "w").write_bytes(content)
    with pytest.raises(
        UserError,
        match=r"w: expected .*, found (no such file|a damaged one \(.*Error.*\))\. `make verify",
    ):
        load_weights(nn.Linear(3, 3), tmp_path / "w")
