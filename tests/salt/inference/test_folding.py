import pytest
import torch
from pydantic import TypeAdapter
from torch import nn

from models import Network
from models.registry import create_network
from salt.inference.folding import folded
from schemas import networks

LITE = {"name": "unet", "encoder": "tu-tf_efficientnet_lite0", "decoder_channels": [32, 32, 16, 16], "dropout": 0.1}
NETWORKS = [  # and the batch norms that follow no convolution directly
    (LITE | {"weights": "none"}, 0),
    ({"name": "res34_pad128", "weights": "none"}, None),
    ({"name": "unet_plain", "width": 4, "levels": 2}, 0),
]


def trained(spec):
    """A network whose batch norms have statistics as after a training."""
    torch.manual_seed(0)
    network = create_network(TypeAdapter(networks.Network).validate_python(spec)).eval()
    for norm in norms(network):
        norm.running_mean.normal_(0, 0.1)
        norm.running_var.uniform_(0.5, 2)
    return network


def norms(network):
    return [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]


@pytest.mark.parametrize(("spec", "left"), NETWORKS, ids=[spec["name"] for spec, _ in NETWORKS])
@torch.no_grad()
def test_a_folded_network_gives_the_same_logits_with_fewer_batch_norms(spec, left):
    network = trained(spec)
    before, x = len(norms(network)), torch.randn(2, 3, 64, 64)
    expected = network(x)
    found = folded(network, 3)
    assert len(norms(found)) == left if left is not None else len(norms(found)) < before / 2
    assert len(norms(network)) == before  # the network itself is as it was
    for name, logits in found(x).items():
        assert (logits - expected[name]).abs().max() < 1e-4 * expected[name].abs().max().clamp(min=1)


class TwiceUsed(Network):
    """The output of its convolution goes through a batch norm and past it."""

    stride = 2

    def __init__(self):
        super().__init__()
        self.convolution, self.norm = nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1)
        self.norm.running_mean.fill_(3)

    def forward(self, x):
        y = self.convolution(x)
        return {"mask": y + self.norm(y)}


def test_a_network_that_would_compute_something_else_is_left_as_it_is():
    network = TwiceUsed().eval()
    assert folded(network, 1) is network


def test_a_batch_norm_without_statistics_stays():
    network = TwiceUsed().eval()
    network.norm = nn.BatchNorm2d(1, track_running_stats=False)
    assert len(norms(folded(network, 1))) == 1


def test_folding_draws_no_random_numbers():
    network = trained(NETWORKS[-1][0])
    torch.manual_seed(5)
    folded(network, 3)
    drawn = torch.rand(1)
    torch.manual_seed(5)
    assert drawn == torch.rand(1)
