import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.losses import create_loss
from salt.training.mixup import mix
from schemas.augmentation import Mix
from schemas.losses import terms

MIXUP, CUTMIX = (Mix(name=name, p=1) for name in ("mixup", "cutmix"))


def batch(count, height=9, width=7, seed=0):
    """Tiles of one grey each, the even ones full of salt."""
    images = (torch.arange(count, dtype=torch.uint8) * 20).view(-1, 1, 1).expand(count, height, width)
    masks = (torch.arange(count) % 2 == 0).to(torch.uint8).view(-1, 1, 1).expand(count, height, width)
    return images.contiguous(), masks.contiguous()


@given(st.integers(0, 2**32 - 1), st.integers(1, 6))
def test_mixup_sums_tiles_and_weighs_both_masks_alike(seed, count):
    images, masks = batch(count)
    mixed = mix(images, masks, MIXUP, seed)
    (share, own), (rest, partners) = mixed.masks
    assert share + rest == pytest.approx(1)
    assert torch.equal(own, masks)
    assert sorted(partners[:, 0, 0].tolist()) == sorted(masks[:, 0, 0].tolist())
    grey = mixed.images[:, 0, 0].float() - share * images[:, 0, 0].float()
    from_partner = grey / 20 / rest if rest > 0.1 else None
    if from_partner is not None:
        assert sorted(from_partner.round().tolist()) == list(range(count))


@given(st.integers(0, 2**32 - 1))
def test_cutmix_puts_the_same_rectangle_of_tile_and_mask_on_another(seed):
    images, masks = batch(5)
    mixed = mix(images, masks, CUTMIX, seed)
    ((weight, mask),) = mixed.masks
    assert weight == 1
    assert torch.equal(mask, (mixed.images // 20 % 2 == 0).to(torch.uint8))  # each pixel's mask came with its grey
    changed = (mixed.images != images).any(dim=0)
    rows, columns = changed.any(dim=1), changed.any(dim=0)
    assert torch.equal(changed, rows[:, None] & columns[None, :])
    assert torch.equal(images, batch(5)[0])  # the batch itself is left alone


def test_shares_of_cutmix_are_those_drawn():
    images, masks = torch.arange(2, dtype=torch.uint8).view(2, 1, 1).repeat(1, 50, 50), torch.zeros(2, 50, 50)
    shares = [(mix(images, masks, CUTMIX, seed).images != images).float().mean().item() for seed in range(400)]
    # Beta(1, 1) has the mean 0.5; half of the permutations of two swap them; rectangles lose what leaves the tile.
    assert 0.1 < np.mean(shares) < 0.25
    assert max(shares) > 0.6


def test_nothing_is_mixed_without_settings_or_by_chance():
    images, masks = batch(3)
    for settings in (None, Mix(name="mixup", p=0)):
        mixed = mix(images, masks, settings, seed=1)
        assert torch.equal(mixed.images, images)
        assert [weight for weight, _ in mixed.masks] == [1.0]
    drawn = [len(mix(images, masks, Mix(name="mixup", p=0.3), seed).masks) for seed in range(500)]
    assert drawn.count(2) / 500 == pytest.approx(0.3, abs=0.06)


def test_the_same_seed_mixes_alike():
    first, second = (mix(*batch(6), MIXUP, seed=3) for _ in range(2))
    assert torch.equal(first.images, second.images)
    assert first.masks[0][0] == second.masks[0][0]


@pytest.mark.parametrize("settings", [MIXUP, CUTMIX], ids=["mixup", "cutmix"])
def test_three_colours_are_mixed_as_one_grey_is(settings):
    images, masks = batch(4)
    grey, colours = mix(images, masks, settings, 3), mix(images[..., None].expand(-1, -1, -1, 3), masks, settings, 3)
    assert all(torch.equal(colours.images[..., c], grey.images) for c in range(3))
    assert all(torch.equal(a, b) for (_, a), (_, b) in zip(colours.masks, grey.masks, strict=True))


@given(st.integers(0, 2**32 - 1))
def test_weights_of_tiles_are_mixed_as_the_tiles_are(seed):
    images, masks = batch(5, height=40, width=30)
    weights = torch.arange(5) / 20  # as the greys are
    mixed = mix(images, masks, MIXUP, seed, weights)
    assert mixed.weights[0] is weights
    shares = [share for share, _ in mixed.masks]
    both = shares[0] * mixed.weights[0] + shares[1] * mixed.weights[1]
    assert torch.allclose(both, mixed.images[:, 0, 0] / 400, atol=0.6 / 400)
    pasted = mix(images, masks, CUTMIX, seed, weights)
    assert torch.allclose(pasted.weights[0], pasted.images.float().mean(dim=(1, 2)) / 400, atol=1e-5)
    assert mix(images, masks, None, seed, weights).weights == [weights]


def gradient(mixed, loss, count):
    """The gradient of a network without batch norm, a convolution, by the losses of a batch's parts."""
    torch.manual_seed(0)
    network = torch.nn.Conv2d(1, 1, 3, padding=1).double()
    for _, part in mixed.parts(count):
        logits = network(part.images[:, None].double() / 100)
        terms_of_part = zip(part.masks, part.weights, strict=True)
        losses = [share * loss({"mask": logits}, masks[:, None].double(), w) for (share, masks), w in terms_of_part]
        torch.stack(losses).sum().backward()
    return network.weight.grad


@given(
    st.sampled_from(["bce", "lovasz_relu", "lovasz_elu", "lovasz_symmetric"]),
    st.sampled_from([None, MIXUP, CUTMIX]),
    st.booleans(),
    st.integers(2, 9),
    st.integers(2, 5),
)
def test_gradients_of_parts_add_up_to_that_of_the_batch(name, mixing, weighs, tiles, count):
    weights = torch.linspace(0, 1, tiles, dtype=torch.float64) if weighs else None
    mixed, loss = mix(*batch(tiles), mixing, seed=1, weights=weights), create_loss(terms(name))
    assert torch.allclose(gradient(mixed, loss, count), gradient(mixed, loss, 1), rtol=1e-9, atol=1e-12)


@given(st.integers(2, 30), st.integers(1, 8))
def test_parts_hold_each_tile_once_and_at_least_two(tiles, count):
    rows = [rows for rows, _ in mix(*batch(tiles)).parts(count)]
    assert sorted(row for part in rows for row in range(tiles)[part]) == list(range(tiles))
    assert min(len(range(tiles)[part]) for part in rows) >= 2
    assert len(rows) == min(count, max(1, tiles // 2))
