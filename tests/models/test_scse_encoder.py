"""The encoder of the ResNet34 family takes any encoder of four stages, and says why it cannot take another."""

import pytest
import torch
from torch import nn

from models.blocks import SCSE
from models.pretrained import create_encoder
from models.scse_encoder import ScseEncoder
from schemas.errors import UserError

ENCODERS = {  # name: widths of the four maps, stride of the first
    "resnet18": ((64, 128, 256, 512), 2),
    "resnet34": ((64, 128, 256, 512), 2),
    "resnext50_32x4d": ((256, 512, 1024, 2048), 2),
    "se_resnext50_32x4d": ((256, 512, 1024, 2048), 2),
    "tu-resnet10t": ((64, 128, 256, 512), 2),
    "tu-efficientnet_b0": ((24, 40, 112, 320), 4),
    "tu-mobilenetv3_small_050": ((8, 16, 24, 288), 4),
    "tu-convnext_tiny": ((96, 192, 384, 768), 4),
    "tu-test_resnet": ((32, 48, 192, 96), 2),
}


@pytest.mark.parametrize("name", ENCODERS)
def test_four_maps_follow_from_the_encoders_name(name):
    with torch.device("meta"):  # shapes without numbers
        encoder = ScseEncoder(name)
        maps = encoder(torch.zeros(2, 3, 64, 96))
    widths, stride = ENCODERS[name]
    assert (encoder.widths, encoder.stride) == (widths, stride)
    steps = [stride * factor for factor in (1, 2, 4, 8)]
    assert [tuple(x.shape) for x in maps] == [
        (2, width, 64 // step, 96 // step) for width, step in zip(widths, steps, strict=True)
    ]


@pytest.mark.parametrize("name", ["resnet18", "tu-test_resnet", "tu-test_convnext", "tu-mobilenetv3_small_050"])
def test_all_four_maps_are_gated_before_the_next_stage_sees_them(name):
    encoder = ScseEncoder(name).eval()
    gated = [
        module for module in encoder.modules() if isinstance(module, nn.Sequential) and isinstance(module[-1], SCSE)
    ]
    given, seen = [], []
    for stage in gated:
        stage[0].register_forward_pre_hook(lambda _, args: seen.append(args[0]))
        stage.register_forward_hook(lambda _, args, output: given.append(output))
    maps = encoder(torch.randn(1, 3, 64, 64))
    assert len(gated) == 4
    assert all(torch.equal(one, other) for one, other in zip(maps, given, strict=True))
    if name != "tu-mobilenetv3_small_050":  # which has stages in between
        assert all(torch.equal(one, other) for one, other in zip(given[:-1], seen[1:], strict=True))


def test_only_the_first_max_pooling_is_missing():
    whole, without = create_encoder("resnet18").eval(), ScseEncoder("resnet18").eval()
    assert isinstance(whole.maxpool, nn.MaxPool2d)
    assert not any(isinstance(module, nn.MaxPool2d) for module in without.modules())
    kinds = (nn.Conv2d, nn.BatchNorm2d, nn.ReLU)
    count = [[sum(isinstance(module, kind) for module in net.modules()) for kind in kinds] for net in (whole, without)]
    assert count[1] == [count[0][0] + 4, *count[0][1:]]  # a convolution in each scSE


@pytest.mark.parametrize("name", ["resnet18", "tu-test_resnet", "tu-test_convnext"])
def test_a_stem_of_stride_one_keeps_the_first_map_at_full_size(name):
    encoder = ScseEncoder(name, channels=1, full_size=True)
    assert encoder.stride == 1
    assert encoder(torch.randn(2, 1, 32, 32))[0].shape[2:] == (32, 32)


def test_a_trial_leaves_no_trace():
    encoder = ScseEncoder("resnet18")
    assert all(module.training for module in encoder.modules())
    assert encoder.encoder.bn1.num_batches_tracked == 0


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("efficientnet-b0", "does not have four stages.* such as tu-efficientnet_b0, resnet34"),
        ("densenet121", "does not have four stages.* such as tu-densenet121"),
        ("tu-dla34", "it has 6 max-poolings"),
        ("tu-swin_tiny_patch4_window7_224", "maps with channels first"),
        ("tu-test_vit", "could not be created"),
        ("tu-test_maxvit", "no input of 64 x 64 px|does not have four stages"),
        ("resnet43", "There is no encoder 'resnet43'.*resnet34"),
        ("tu-resnet10", "There is no encoder 'tu-resnet10'.*tu-resnet10t"),
    ],
)
def test_an_encoder_that_does_not_fit_is_refused_with_another_one(name, message):
    with pytest.raises(UserError, match=message), torch.device("meta"):
        ScseEncoder(name)


def test_a_first_map_that_cannot_be_at_full_size_is_an_error():
    with pytest.raises(UserError, match="needs its first map at full size.* 2 times smaller.*resnet34"):
        ScseEncoder("tu-efficientnet_b0", full_size=True)
