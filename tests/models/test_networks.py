"""Every network of the registry keeps the contract of `models`."""

import pytest
import torch
from pydantic import TypeAdapter
from torch.utils.flop_counter import FlopCounterMode

from models.registry import create_network
from salt.inference.weight_files import copy_state, load_weights, save_weights
from schemas.base import variants
from schemas.networks import Network

SMALL = {"encoder": "tu-test_resnet"}  # timm's smallest of their kinds: ResNet, ConvNeXt, EfficientNet
CONVNEXT, EFFICIENTNET = {"encoder": "tu-test_convnext"}, {"encoder": "tu-test_efficientnet"}
NETWORKS = {  # name and what else is said: settings to try it with, side of the input
    "unet_plain": ({"width": 4, "levels": 3}, 32),
    "unet": (SMALL, 64),
    "unet_resnext50": ({}, 64),
    "unet_resnext50, published": ({"decoder": "published"}, 64),
    "res34_256": (SMALL, 64),
    "res34_256_ds": (SMALL, 64),
    "res34_pad128": (SMALL, 32),
    "res34_resize128": (SMALL, 64),
}
SECTIONS = variants(Network)
USUAL = [name for name, section in SECTIONS.items() if section.parameters]  # with the section's defaults


def section_of(name, **settings):
    return TypeAdapter(Network).validate_python({"name": name.split(",")[0]} | settings)


def create(name, channels=3, **settings):
    torch.manual_seed(0)
    return create_network(section_of(name, **settings), channels)


def test_every_network_of_the_schema_is_tested():
    assert SECTIONS.keys() == {name.split(",")[0] for name in NETWORKS}


@pytest.fixture(params=NETWORKS, scope="module")  # the ResNeXt50 takes a second to make
def name_and_network(request):
    return request.param, create(request.param, **NETWORKS[request.param][0])


def check_outputs(outputs, height, width=None):
    """The shapes and types that `models` promises."""
    shape = (2, 1, height, width or height)
    expected = {"mask": shape, "pixel": shape, "empty": (2, 1)}
    assert "mask" in outputs
    for name, logits in outputs.items():
        assert logits.shape == expected[name]
        assert logits.dtype == torch.float32


def test_outputs_have_the_shapes_of_the_contract_and_reach_every_weight(name_and_network):
    name, network = name_and_network
    side = NETWORKS[name][1]
    assert side % network.stride == 0
    outputs = network.train()(torch.randn(2, 3, side, side))
    check_outputs(outputs, side)
    check_all_weights_serve(network, outputs)


def check_all_weights_serve(network, outputs):
    sum(logits.square().mean() for logits in outputs.values()).backward()
    idle = [name for name, weight in network.named_parameters() if weight.grad is None]
    # The library gives each decoder block an scSE for its skip; the last block has no skip.
    assert [name for name in idle if ".attention1." not in name] == []


@pytest.mark.parametrize("encoder", ["tu-tf_efficientnet_lite0", "tu-mobilenetv3_small_050", "tu-test_resnet"])
def test_a_decoder_of_fewer_blocks_computes_no_deeper_stages(encoder):
    network = create("unet", encoder=encoder, decoder_channels=[16, 16, 16])
    check_all_weights_serve(network, network.train()(torch.randn(2, 3, 32, 32)))


@pytest.mark.parametrize("name", [*USUAL, "unet_resnext50, published"])
def test_parameters_and_stride_of_the_usual_network_are_those_of_the_schema(name):
    section = section_of(name, **({"decoder": "published"} if "published" in name else {}))
    with torch.device("meta"):  # shapes without numbers
        network = create_network(section)
    assert sum(weight.numel() for weight in network.parameters()) == section.known_parameters
    assert network.stride == section.stride


def test_the_number_of_parameters_of_a_unet_on_a_resnet18_is_as_recorded():
    with torch.device("meta"):
        network = create("unet", encoder="resnet18")
    assert sum(weight.numel() for weight in network.parameters()) == 12_551_930


@pytest.mark.parametrize(
    "settings", [{"name": "unet_plain", "levels": 4}, {"name": "res34_256", "encoder": "resnet18"}]
)
def test_the_parameters_of_other_settings_are_unknown(settings):
    assert TypeAdapter(Network).validate_python(settings).known_parameters is None


def test_networks_have_the_heads_that_the_schema_says(name_and_network):
    name, network = name_and_network
    side = NETWORKS[name][1]
    heads = network.eval()(torch.zeros(1, 3, side, side)).keys() - {"mask"}
    assert heads == ({"pixel", "empty"} if section_of(name, **NETWORKS[name][0]).has_heads else set())


def test_evaluation_is_deterministic_and_independent_of_the_rest_of_the_batch(name_and_network):
    name, network = name_and_network
    batch = torch.randn(3, 3, NETWORKS[name][1], NETWORKS[name][1])
    network.eval()
    with torch.no_grad():
        whole, again, alone = network(batch)["mask"], network(batch)["mask"], network(batch[1:2])["mask"]
    assert torch.equal(whole, again)
    assert torch.allclose(whole[1:2], alone, atol=1e-4)


def test_a_saved_network_is_the_same_when_it_is_loaded(name_and_network, tmp_path):
    name, network = name_and_network
    settings, side = NETWORKS[name]
    save_weights(tmp_path / "w.safetensors", copy_state(network))
    loaded = create(name, **settings)
    load_weights(loaded, tmp_path / "w.safetensors")
    x = torch.randn(1, 3, side, side)
    with torch.no_grad():
        outputs, again = network.eval()(x), loaded.eval()(x)
    assert outputs.keys() == again.keys()
    assert all(torch.equal(outputs[name], again[name]) for name in outputs)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        *((name, CONVNEXT) for name in ("unet", "res34_256_ds", "res34_pad128", "res34_resize128")),
        ("res34_resize128", EFFICIENTNET),
    ],
)
def test_other_encoders_keep_the_contract(name, settings):
    network = create(name, **settings)
    side = 2 * network.stride if name == "res34_resize128" else network.stride  # batch norm needs two values
    outputs = network(torch.randn(2, 3, side, side))
    check_outputs(outputs, side)
    sum(logits.square().mean() for logits in outputs.values()).backward()
    first = next(module for module in network.modules() if isinstance(module, torch.nn.Conv2d))
    assert first.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("name", NETWORKS)
def test_an_input_may_have_one_channel(name):
    with torch.device("meta"):
        network = create(name, channels=1, **NETWORKS[name][0])
        side = 2 * network.stride
        check_outputs(network(torch.zeros(2, 1, side, side)), side)


@pytest.mark.parametrize("name", NETWORKS)
def test_an_input_may_be_wider_than_high(name):
    with torch.device("meta"):
        network = create(name, **NETWORKS[name][0])
        height, width = 2 * network.stride, 3 * network.stride
        check_outputs(network(torch.zeros(2, 3, height, width)), height, width)


@pytest.mark.parametrize(
    ("name", "encoder", "stride"),
    [
        ("unet", "resnet18", 32),
        ("res34_256", "resnet18", 64),
        ("res34_256_ds", "tu-test_convnext", 128),
        ("res34_pad128", "tu-test_convnext", 32),
        ("res34_resize128", "resnet18", 16),
        ("res34_resize128", "tu-test_convnext", 32),
    ],
)
def test_encoders_without_a_max_pooling_need_sides_that_divide_by_twice_as_much(name, encoder, stride):
    with torch.device("meta"):
        assert create(name, encoder=encoder).stride == stride


@pytest.mark.parametrize(
    ("name", "side", "gigaflop"), [("res34_256", 256, 68.0), ("res34_256_ds", 256, 77.7), ("res34_pad128", 128, 41.2)]
)
def test_the_resnet34_family_costs_what_the_recipes_does(name, side, gigaflop):
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        network = create(name).eval()
        before = counter.get_total_flops()  # of the trial that measures the encoder's stride
        network(torch.zeros(1, 3, side, side))
    assert (counter.get_total_flops() - before) / 1e9 == pytest.approx(gigaflop, abs=0.05)
