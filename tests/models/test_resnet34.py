"""The ResNet34 networks give the logits of the original's, on the same weights and images (tests/golden)."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter

from models.registry import create_network
from schemas.networks import Network

GOLDEN = json.loads(Path("tests/golden/networks.json").read_text())["networks"]
TOLERANCE = {"rel": 0, "abs": 1e-9}

TENSORS = {
    "weight": "weight",
    "bias": "bias",
    "running mean": "running_mean",
    "running variance": "running_var",
}
CONV_NORM = {"conv": "0", "norm": "1"}
BLOCK = {
    "first conv": "conv1",
    "first norm": "bn1",
    "second conv": "conv2",
    "second norm": "bn2",
    "shortcut conv": "downsample.0",
    "shortcut norm": "downsample.1",
}
SCSE = {
    "scSE, spatial gate, 1x1 conv C->1": "spatial",
    "scSE, channel gate, first layer C->C/r": "squeeze",
    "scSE, channel gate, second layer C/r->C": "excite",
}
CENTRE = {
    "level 1 (5x5 stride 2)": "down1",
    "level 2 (3x3 stride 2)": "down2",
    "level 1 out (5x5)": "out1",
    "level 2 out (3x3)": "out2",
    "main (1x1)": "main",
}
DECODER_BLOCK = {
    "transposed conv of the deeper map": "up",
    "1x1 conv of the skip": "skip",
    "norm (channels: deeper map first, then skip)": "norm",
}
MODULES = {  # role of the original's tensors without the last word: module of the project's networks
    "stem, conv": "encoder.encoder.conv1",
    "stem, norm": "encoder.encoder.bn1",
    **{
        f"encoder layer {layer}, block {block + 1}, {role}": f"encoder.encoder.layer{layer}.0.{block}.{module}"
        for layer, blocks in ((1, 3), (2, 4), (3, 6), (4, 3))
        for block in range(blocks)
        for role, module in BLOCK.items()
    },
    **{
        f"encoder layer {layer}, {role}": f"encoder.encoder.layer{layer}.1.{module}"
        for layer in (1, 2, 3, 4)
        for role, module in SCSE.items()
    },
    **{
        f"centre, {level}, {role}": f"decoder.centre.{branch}.{module}"
        for level, branch in CENTRE.items()
        for role, module in CONV_NORM.items()
    },
    "centre, global branch, conv": "decoder.centre.whole",
    **{
        f"decoder block {5 - block}, {role}": f"decoder.blocks.{block}.{module}"
        for block in range(4)
        for role, module in (DECODER_BLOCK | {role: f"gate.{module}" for role, module in SCSE.items()}).items()
    },
    **{
        f"decoder block 1, {place}, {role}": f"full_size.convs.{number}.{module}"
        for number, place in enumerate(("first", "second"))
        for role, module in CONV_NORM.items()
    },
    **{f"decoder block 1, {role}": f"full_size.convs.2.{module}" for role, module in SCSE.items()},
}
HEADS = {
    "res34_256": {"head, first conv": "head.0", "head, output conv": "head.2"},
    "res34_256_ds": {
        "pixel head, features, conv": "head.pixel_features.0",
        "pixel head, features, norm": "head.pixel_features.1",
        "pixel head, output conv": "head.pixel",
        "image head, features, linear": "head.image_features.1",
        "image head, output, linear": "head.empty",
        "final head, first conv (channels: 64 of pixel features, then 64 of image features)": "head.mask.0",
        "final head, output conv": "head.mask.2",
    },
    "res34_pad128": {"head, first conv": "head.1", "head, output conv": "head.3"},
}


def noise(tensor, shape):
    """Numbers in -1..1, float64: s(t, k) of the file's formula."""
    k = np.arange(np.prod(shape), dtype=np.int64)
    u = (31 * k * k + 17 * k + 7919 * tensor + 1) % 65521 / 65521
    return torch.from_numpy(2 * u - 1).reshape(shape)


def filling(tensor, shape, kind, fan_in, gain):
    """The numbers of one row of a table."""
    s = noise(tensor, shape)
    match kind:
        case "weight":
            return gain * np.sqrt(3 / fan_in) * s
        case "norm weight":
            return 0.75 + 0.25 * s
        case "gate bias":
            return 1 + 0.1 * s
        case "running variance":
            return 1 + 0.5 * s
        case "bias" | "norm bias" | "running mean":
            return 0.1 * s


def tensor_of_role(name, role):
    """The name of a network's tensor."""
    module, _, tensor = role.rpartition(", ")
    return f"{(MODULES | HEADS[name])[module]}.{TENSORS[tensor]}"


def create(name):
    with torch.device("meta"):  # shapes without numbers
        return create_network(TypeAdapter(Network).validate_python({"name": name})).eval()


def filled(name):
    """A network in float64 with the weights of its table."""
    network = create(name)
    own = network.state_dict()
    state = {key: torch.tensor(0) for key in own if key.endswith("num_batches_tracked")}
    for tensor, shape, kind, fan_in, gain, role in GOLDEN[name]["table"]:
        key = tensor_of_role(name, role)
        state[key] = filling(tensor, shape, kind, fan_in, gain).reshape(own[key].shape)
    network.load_state_dict(state, assign=True)
    return network


def image(number, side):
    """The file's input `number`, (1, 3, side, side) float64."""
    c, i, j = np.ogrid[:3, :side, :side]
    waves = 0.3 * np.sin(0.05 * (c + 1) * i + 0.9 * number) * np.cos(0.03 * (c + 2) * j + 0.4 * number)
    return torch.from_numpy(0.5 + waves + 0.2 * np.sin(0.0007 * (number + 1) * i * j + c))[None]


@pytest.fixture(params=GOLDEN, scope="module")
def golden_and_outputs(request):
    """A network's part of the file, and its outputs for both images."""
    golden = GOLDEN[request.param]
    network, (images, _, _, side) = filled(request.param), golden["input"]
    with torch.inference_mode():
        outputs = [network(image(number, side)) for number in range(images)]  # one at a time, for little memory
    return golden, {head: torch.cat([output[head] for output in outputs]) for head in outputs[0]}


@pytest.mark.slow
def test_every_head_gives_the_originals_logits(golden_and_outputs):
    golden, outputs = golden_and_outputs
    heads = dict(golden["heads"])
    if (empty := heads.pop("empty_probability", None)) is not None:
        assert outputs["empty"].sigmoid().flatten().tolist() == pytest.approx(empty["values"], **TOLERANCE)
    assert outputs.keys() == heads.keys()
    for head, expected in heads.items():
        logits, p = outputs[head], torch.arange(len(expected["values"]))
        side = logits.shape[-1]
        rows, columns = (37 * p + 11) % side, (59 * p + 5) % side
        found = logits.flatten() if head == "empty" else logits[p % 2, 0, rows, columns]
        assert found.tolist() == pytest.approx(expected["values"], **TOLERANCE)


@pytest.mark.slow
def test_statistics_over_all_pixels_are_the_originals(golden_and_outputs):
    golden, outputs = golden_and_outputs
    heads = {head: expected for head, expected in golden["heads"].items() if "mean" in expected}
    assert heads.keys() >= {"mask"}
    for head, expected in heads.items():
        x = outputs[head]
        found = {"mean": x.mean(), "std": x.std(correction=0), "min": x.min(), "max": x.max()}
        assert {name: value.item() for name, value in found.items()} == pytest.approx(
            {name: value for name, value in expected.items() if name != "values"}, **TOLERANCE
        )


@pytest.mark.parametrize("name", GOLDEN)
def test_every_tensor_has_one_role_and_its_shape(name):
    network = create(name)
    own = {key: value for key, value in network.state_dict().items() if not key.endswith("num_batches_tracked")}
    table = GOLDEN[name]["table"]
    assert sorted(tensor_of_role(name, row[-1]) for row in table) == sorted(own)
    for _, shape, *_, role in table:
        value = own[tensor_of_role(name, role)]
        assert [*value.shape, 1, 1][:4] == [*shape, 1, 1][:4]  # a layer of a channel gate is linear here


@pytest.mark.parametrize("name", GOLDEN)
def test_the_parameters_are_those_that_the_original_uses(name):
    network, golden = create(name), GOLDEN[name]
    assert sum(weight.numel() for weight in network.parameters()) == golden["parameters_in_use"]
    unused = 512 * 1000 + 1000  # the encoder's classifier
    if name == "res34_pad128":
        unused += 64 * 3 * 7 * 7  # its first convolution
    assert golden["parameters_defined"] - golden["parameters_in_use"] == unused
