"""The U-Net that the ResNeXt50 author published, held to what is known of it (recipe 5.1)."""

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F

from models.pretrained import create_encoder
from models.registry import create_network
from models.unet_resnext50 import BLOCKS, DEEPEST, SKIPS, DecoderBlock, FullSCSE, InputNorm, UnetResNext50
from schemas.networks import UnetResNext50 as Settings


def parameters(*parts):
    return sum(weight.numel() for part in parts for weight in part.parameters())


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return UnetResNext50().eval()


def test_decoder_and_head_have_6_17_million_parameters(network):
    assert parameters(network.blocks, network.head) == 6_167_573
    assert parameters(network.encoder) == parameters(create_encoder("resnext50_32x4d"))
    assert parameters(network.input_norm) == 3  # an offset for each channel


def test_skips_are_the_first_activations_inside_the_units_and_the_deepest_map_is_the_encoders(network):
    x, seen = torch.randn(2, 3, 64, 96), {}
    resnet = network.encoder.encoder
    units = {"stage2": resnet.layer2[0], "stage3": resnet.layer3[0], "stage4": resnet.layer4[0]}
    handles = [
        unit.bn1.register_forward_hook(lambda _, args, output, name=name: seen.update({name: F.relu(output)}))
        for name, unit in units.items()
    ]
    with torch.no_grad():
        expected = resnet(x)
        maps = network.encoder(x)
    for handle in handles:
        handle.remove()
    assert torch.equal(maps[0], expected[1])
    assert all(torch.equal(own, inner) for own, inner in zip(maps[1:4], seen.values(), strict=True))
    assert torch.equal(maps[4], expected[-1])
    shapes = [(channels, 64 // step, 96 // step) for channels, step in zip(SKIPS, (2, 4, 8, 16), strict=True)]
    assert [tuple(skip.shape[1:]) for skip in maps] == [*shapes, (DEEPEST, 2, 3)]


def test_each_skip_joins_the_block_that_reaches_its_size(network):
    seen = []
    handles = [block.register_forward_pre_hook(lambda _, args: seen.append(args)) for block in network.blocks]
    with torch.no_grad():
        mask = network(torch.randn(1, 3, 64, 64))["mask"]
    for handle in handles:
        handle.remove()
    assert [skip.shape[1:] if skip is not None else None for _, skip in seen] == [
        *((channels, side, side) for channels, side in zip(SKIPS[::-1], (4, 8, 16, 32), strict=True)),
        None,
    ]
    assert [deeper.shape[-1] for deeper, _ in seen] == [2, 4, 8, 16, 32]
    assert mask.shape == (1, 1, 64, 64)


def test_blocks_and_head_have_the_published_layers(network):
    kinds = (nn.ConvTranspose2d, nn.Conv2d, nn.BatchNorm2d, nn.ReLU)
    for block, channels in zip(network.blocks, BLOCKS, strict=True):
        up, conv = ([type(module) for module in part] for part in (block.up, block.conv))
        assert (up, conv) == ([kinds[0], *kinds[2:]], [kinds[1], *kinds[2:]])
        assert (block.up[0].kernel_size, block.up[0].stride) == ((4, 4), (2, 2))
        assert (block.conv[0].kernel_size, block.conv[0].out_channels) == ((3, 3), channels)
        assert block.gate.squeeze.out_features == channels // 2
        assert block.gate.spatial.out_channels == channels
    dropout, output = network.head
    assert (type(dropout), dropout.p, output.kernel_size) == (nn.Dropout2d, 0.2, (1, 1))


def test_a_gate_is_the_sum_of_the_spatial_and_the_channel_path():
    gate, x = FullSCSE(8, reduction=2), torch.randn(2, 8, 3, 5)
    weights = {name: weight.detach() for name, weight in gate.named_parameters()}
    expected = torch.empty_like(x)
    for image in range(2):
        means = x[image].mean(dim=(1, 2))
        hidden = (weights["squeeze.weight"] @ means + weights["squeeze.bias"]).clamp(min=0)
        channel = torch.sigmoid(weights["excite.weight"] @ hidden + weights["excite.bias"])
        for row in range(3):
            for column in range(5):
                pixel = x[image, :, row, column]
                spatial = torch.sigmoid(weights["spatial.weight"][:, :, 0, 0] @ pixel + weights["spatial.bias"])
                expected[image, :, row, column] = pixel * spatial + pixel * channel
    with torch.no_grad():
        assert torch.allclose(gate(x), expected, atol=1e-6)


def test_a_block_without_a_skip_takes_the_deeper_map_alone():
    with torch.no_grad():
        assert DecoderBlock(16, 0, 8)(torch.randn(2, 16, 4, 6), None).shape == (2, 8, 8, 12)


def test_the_scale_of_the_input_does_not_matter_in_training():
    norm, x = InputNorm(3).train(), torch.randn(4, 3, 16, 16)
    nn.init.constant_(norm.offset, 0.25)
    with torch.no_grad():
        one, raw = norm(x), norm(58 * x + 117)
    assert torch.allclose(one, raw, atol=1e-4)
    assert torch.allclose(raw.mean(dim=(0, 2, 3)), torch.full((3,), 0.25), atol=1e-4)


def test_new_layers_start_as_keras_starts_them(network):
    for part in (network.blocks, network.head):
        for module in part.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
                ends = module.weight.shape[0] + module.weight.shape[1]
                bound = (6 / (ends * module.weight[0, 0].numel())) ** 0.5
                assert module.weight.abs().max() <= bound
                assert module.bias is None or not module.bias.any()
            elif isinstance(module, nn.BatchNorm2d):
                assert (module.eps, module.momentum) == (1e-3, 0.01)


def test_the_encoder_starts_from_its_pretrained_weights(tmp_path):
    path = tmp_path / "resnext50.safetensors"
    torch.manual_seed(7)
    save_file(create_encoder("resnext50_32x4d").state_dict(), path)
    network = create_network(Settings(name="unet_resnext50", decoder="published"), weights=path)
    own, state = network.encoder.encoder.state_dict(), load_file(path)
    assert own.keys() == state.keys()
    assert all(torch.equal(own[name], value) for name, value in state.items())
