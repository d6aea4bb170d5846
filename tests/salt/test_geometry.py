import pytest
import torch

from salt.geometry import MEAN, STD, Geometry
from schemas.config import Input

RECIPE = {  # recipe 3: settings, side, padding before
    "resnext50": (Input(resize=192, pad=224, pad_mode="reflect", channels="grey3"), 224, 16),
    "resnet34": (Input(resize=202, pad=256, pad_mode="edge", channels="ramp"), 256, 27),
    "pad_128": (Input(pad=128, pad_mode="edge", channels="ramp"), 128, 13),
    "resize_128": (Input(resize=128, channels="ramp"), 128, 0),
}


@pytest.fixture(params=RECIPE)
def geometry_side_before(request):
    settings, side, before = RECIPE[request.param]
    return Geometry(settings, tile=101), side, before


def test_the_recipes_inputs_have_its_sides_and_padding(geometry_side_before):
    geometry, side, before = geometry_side_before
    assert (geometry.side, geometry.before) == (side, before)
    assert geometry.images(torch.zeros(2, 101, 101, dtype=torch.uint8)).shape == (2, 3, side, side)


def test_a_mask_comes_back_where_it_was(geometry_side_before):
    geometry, _, _ = geometry_side_before
    masks = torch.zeros(3, 101, 101, dtype=torch.uint8)
    masks[0, :, 40:], masks[1, 17:60, 5:33], masks[2, 100:, 100:] = 1, 1, 1
    logits = geometry.masks(masks) * 40 - 20
    back = geometry.probabilities(logits) > 0.5
    if geometry.resized == geometry.tile:
        assert torch.equal(back, masks.bool())
    else:  # a border may move by a rounded pixel, an area by no more
        different = (back != masks.bool()).sum(dim=(1, 2))
        assert (different <= torch.tensor([101, 2 * (43 + 28), 2])).all()


def test_padding_repeats_the_edge_or_mirrors_without_it():
    tile = torch.arange(9, dtype=torch.uint8).view(1, 3, 3)
    edge = Geometry(Input.model_construct(pad=6, pad_mode="edge", channels="grey3", resize=None), tile=3)
    mirror = Geometry(Input.model_construct(pad=6, pad_mode="reflect", channels="grey3", resize=None), tile=3)
    values = [(geometry.images(tile)[0, 0] * STD[0] + MEAN[0]) * 255 for geometry in (edge, mirror)]
    assert values[0][2].round().tolist() == [3, 3, 4, 5, 5, 5]
    assert values[1][2].round().tolist() == [4, 3, 4, 5, 4, 3]


def test_the_ramp_runs_from_top_to_bottom():
    geometry = Geometry(Input(resize=64, channels="ramp"), tile=101)
    channels = geometry.images(torch.randint(0, 255, (1, 101, 101), dtype=torch.uint8))
    assert channels[0, 1, 0].unique().tolist() == [0]
    assert channels[0, 1, -1].unique().tolist() == [1]
    assert torch.equal(channels[0, 2], channels[0, 0] * channels[0, 1])
