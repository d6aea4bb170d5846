"""Every network of the registry keeps the contract of `models`."""

import pytest
import torch
from pydantic import TypeAdapter
from torch.utils.flop_counter import FlopCounterMode

from models.registry import create_network
from schemas.config import Network

SMALL_UNET = {"name": "unet", "encoder": "resnet18", "weights": "none", "decoder_channels": [16] * 5}
NETWORKS = {  # name: settings, side of the input
    "unet_plain": ({"name": "unet_plain", "width": 4, "levels": 3}, 32),
    "unet": (SMALL_UNET, 64),
    "unet_resnext50": ({"name": "unet_resnext50", "weights": "none"}, 64),
    "res34_256": ({"name": "res34_256", "weights": "none"}, 64),
    "res34_256_ds": ({"name": "res34_256_ds", "weights": "none"}, 64),
    "res34_pad128": ({"name": "res34_pad128", "weights": "none"}, 32),
    "res34_resize128": ({"name": "res34_resize128", "weights": "none"}, 64),
}


def create(settings):
    torch.manual_seed(0)
    return create_network(TypeAdapter(Network).validate_python(settings))


def test_every_network_of_the_schema_is_tested():
    schema = TypeAdapter(Network).json_schema()
    assert set(schema["discriminator"]["mapping"]) == set(NETWORKS)


@pytest.fixture(params=NETWORKS, scope="module")  # the large ones take a second to make
def network_and_side(request):
    settings, side = NETWORKS[request.param]
    return create(settings), side


def test_outputs_have_the_shapes_of_the_contract_and_reach_every_weight(network_and_side):
    network, side = network_and_side
    outputs = network.train()(torch.randn(2, 3, side, side))
    expected = {"mask": (2, 1, side, side), "pixel": (2, 1, side, side), "empty": (2, 1)}
    assert "mask" in outputs
    for name, logits in outputs.items():
        assert logits.shape == expected[name]
        assert logits.dtype == torch.float32
    sum(logits.square().mean() for logits in outputs.values()).backward()
    idle = [name for name, weight in network.named_parameters() if weight.grad is None]
    # The library gives each decoder block an scSE for its skip; the last block has no skip.
    assert [name for name in idle if ".attention1." not in name] == []


def test_evaluation_is_deterministic_and_independent_of_the_rest_of_the_batch(network_and_side):
    network, side = network_and_side
    network.eval()
    batch = torch.randn(3, 3, side, side)
    with torch.no_grad():
        whole, again, alone = network(batch)["mask"], network(batch)["mask"], network(batch[1:2])["mask"]
    assert torch.equal(whole, again)
    assert torch.allclose(whole[1:2], alone, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "side", "parameters", "gigaflop"),
    [
        ("res34_256", 256, 35_409_412, 68.0),
        ("res34_256_ds", 256, 35_516_165, 77.7),
        ("res34_pad128", 128, 35_253_376, 41.2),
    ],
)
def test_the_resnet34_family_has_the_recipes_size_and_cost(name, side, parameters, gigaflop):
    network = create({"name": name, "weights": "none"}).eval().to("meta")
    assert sum(weight.numel() for weight in network.parameters()) == parameters
    with FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 3, side, side, device="meta"))
    assert counter.get_total_flops() / 1e9 == pytest.approx(gigaflop, abs=0.05)
