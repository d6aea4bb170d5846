import numpy as np
import pytest
import torch

from benchmarks import original, tiles
from models.losses import create_loss
from salt.data.network_input import Geometry
from schemas import losses
from schemas.networks import Input

INPUTS = {
    "resnet34": {"resize": 202, "pad": 256, "channels": "ramp", "values": "unit"},
    "resnext50": {
        **{"resize": 192, "pad": 224, "pad_mode": "reflect"},
        **{"channels": "grey3", "values": "raw", "mask_edges": "fractions"},
    },
    "pad128": {"pad": 128, "channels": "ramp", "values": "unit"},
    "demo": {"resize": 48, "channels": "ramp"},
    "colours of ImageNet": {"resize": 64, "channels": "grey3"},
}


@pytest.mark.parametrize("given", INPUTS.values(), ids=INPUTS)
def test_its_loader_gives_the_network_what_the_engine_gives_it(tmp_path, given):
    some = tiles.make(4)
    tiles.write_pngs(tmp_path, some)
    geometry = Geometry.of(Input.model_validate(given), some)
    loader = original.PngTiles(tmp_path, some.ids, geometry, original.augment.create_augmentation(()))
    images, masks = (
        torch.from_numpy(np.stack(parts)) for parts in zip(*map(loader.__getitem__, range(4)), strict=True)
    )
    tensors = [torch.from_numpy(array) for array in some.arrays]
    wanted = geometry.images(tensors[0], torch.zeros(4))
    assert images.dtype == masks.dtype == torch.float32
    assert images.shape == wanted.shape
    assert (images - wanted).abs().max() < 1e-3 * wanted.abs().max()
    assert ((masks - geometry.masks(tensors[1])).abs() > 1e-3).float().mean() < 1e-3  # of ties at an edge


def test_its_batches_have_no_end_and_each_epoch_has_its_order(tmp_path):
    some = tiles.make(6)
    tiles.write_pngs(tmp_path, some)
    geometry = Geometry.of(Input.model_validate(INPUTS["demo"]), some)
    batches = original.batches(tmp_path, some.ids, geometry, (), 4, 0, pin_memory=False)
    assert [tuple(next(batches).images.shape) for _ in range(3)] == [(4, 3, 48, 48)] * 3


@pytest.mark.parametrize("loss", ["lovasz_relu", "lovasz_elu", "lovasz_symmetric", "deep_supervision"])
def test_image_by_image_a_loss_is_the_same(loss):
    rng = torch.Generator().manual_seed(1)
    outputs = {name: torch.randn(5, 1, 8, 8, generator=rng) for name in ("mask", "pixel")}
    outputs["empty"] = torch.randn(5, 1, generator=rng)
    masks = (torch.randn(5, 1, 8, 8, generator=rng) > 0).float()
    masks[0] = 0
    terms = losses.terms(loss)
    looped = original.image_by_image(create_loss(terms), terms)
    assert looped(outputs, masks, None).item() == pytest.approx(create_loss(terms)(outputs, masks).item(), rel=1e-5)


@pytest.mark.parametrize("loss", ["bce_dice", "lovasz_non_empty", {"lovasz_relu": 0.5, "bce": 0.5}])
def test_losses_that_are_no_means_over_images_stay_as_they_are(loss):
    loss_of, terms = create_loss(losses.terms(loss)), losses.terms(loss)
    assert original.image_by_image(loss_of, terms) is loss_of
