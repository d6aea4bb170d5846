"""Losses against hand-written numbers and the original's, the Lovasz hinge against a twin that loops.

The twin is algorithm 1 of Berman et al. 2018.
"""

import inspect
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models import losses
from schemas.losses import KINDS, Bce, Dice, LovaszRelu


def lovasz_twin(logits, mask, surrogate):
    """One image, pixel by pixel, in float64."""
    signs = 2.0 * mask - 1.0
    errors = 1.0 - logits * signs
    total, jaccard_before, wrong = 0.0, 0.0, set()
    for pixel in sorted(range(len(errors)), key=lambda p: -errors[p]):
        wrong.add(pixel)
        missed = sum(mask[p] for p in wrong)
        added = sum(1 - mask[p] for p in wrong)
        jaccard = 1 - (mask.sum() - missed) / (mask.sum() + added)
        total += surrogate(errors[pixel]) * (jaccard - jaccard_before)
        jaccard_before = jaccard
    return total


def relu(e):
    return max(e, 0.0)


def elu_plus_one(e):
    return e + 1 if e > 0 else np.exp(e)


masks_and_seeds = st.tuples(st.integers(1, 30), st.integers(0, 2**32 - 1), st.floats(0, 1))


@given(masks_and_seeds)
def test_lovasz_equals_its_twin(drawn):
    pixels, seed, share = drawn
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 3, (2, pixels))
    masks = (rng.random((2, pixels)) < share).astype(float)
    as_images = [torch.from_numpy(array).view(2, 1, 1, pixels) for array in (logits, masks)]
    for ours, theirs in ((torch.relu, relu), (losses.elu_plus_one, elu_plus_one)):
        found = losses.lovasz_hinge_per_image(*as_images, ours)
        expected = [lovasz_twin(*pair, theirs) for pair in zip(logits, masks, strict=True)]
        assert found.numpy() == pytest.approx(np.array(expected), abs=1e-9)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("fill", [0.0, 1.0, None], ids=["empty", "full", "mixed"])
def test_losses_and_gradients_are_finite_for_extreme_logits(name, fill):
    masks = (torch.rand(2, 1, 8, 8) > 0.5).float() if fill is None else torch.full((2, 1, 8, 8), fill)
    for value in (-50.0, 50.0):
        mask, pixel = (torch.full((2, 1, 8, 8), value, requires_grad=True) for _ in range(2))
        empty = torch.full((2, 1), value, requires_grad=True)
        loss = losses.create_loss([KINDS[name]()])({"mask": mask, "pixel": pixel, "empty": empty}, masks)
        loss.backward()
        assert loss.isfinite()
        assert mask.grad is not None
        assert mask.grad.isfinite().all()


def test_a_perfect_and_sure_prediction_costs_nothing():
    masks = (torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0)) > 0.5).float()
    logits = (2 * masks - 1) * 40
    for name in ("bce", "bce_dice", "lovasz_relu", "lovasz_symmetric"):
        assert losses.create_loss([KINDS[name]()])({"mask": logits}, masks).item() == pytest.approx(0, abs=1e-3)


def test_bce_dice_of_even_odds_by_hand():
    # p = 0.5 on 4 pixels, 2 of them salt: BCE = ln 2, Dice = (2 * 1 + 1) / (2 + 2 + 1) = 0.6.
    masks = torch.tensor([1.0, 1.0, 0.0, 0.0]).view(1, 1, 2, 2)
    expected = 0.5 * np.log(2) + 0.5 * 0.4
    assert losses.bce_dice(torch.zeros(1, 1, 2, 2), masks).item() == pytest.approx(expected, rel=1e-6)


def soft_masks(shape=(3, 1, 4, 4)):
    return torch.rand(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_cross_entropy_and_dice_take_probabilities_as_they_are():
    outputs, _ = outputs_and_masks(side=4)
    masks, p = soft_masks(), torch.sigmoid(outputs["mask"])
    entropy = -(masks * p.log() + (1 - masks) * (1 - p).log()).mean().item()
    coefficient = ((2 * (p * masks).sum() + 1) / (p.sum() + masks.sum() + 1)).item()
    found = {name: losses.create_loss([KINDS[name]()])(outputs, masks).item() for name in ("bce", "dice", "bce_dice")}
    assert found["bce"] == pytest.approx(entropy)
    assert found["dice"] == pytest.approx(1 - coefficient)
    assert found["bce_dice"] == pytest.approx((entropy + 1 - coefficient) / 2)


@pytest.mark.parametrize("name", [name for name in KINDS if "lovasz" in name or name == "deep_supervision"])
def test_lovasz_losses_take_the_pixels_with_a_probability_above_a_half(name):
    outputs, _ = outputs_and_masks(side=4)
    outputs["empty"], masks = torch.full((3, 1), 50.0), soft_masks()
    masks[0] /= 2  # empty
    loss = losses.create_loss([KINDS[name]()])
    assert torch.equal(loss(outputs, masks), loss(outputs, (masks > 0.5).double()))


@pytest.mark.parametrize(("smooth", "expected"), [(1, 1 - 3 / 5), (8, 1 - 10 / 12)])
def test_dice_is_as_smooth_as_the_config_says(smooth, expected):
    masks = torch.tensor([1.0, 1.0, 0.0, 0.0]).view(1, 1, 2, 2)  # p = 0.5: overlap 1, areas 2 and 2
    found = losses.create_loss([Dice(smooth=smooth)])({"mask": torch.zeros(1, 1, 2, 2)}, masks)
    assert found.item() == pytest.approx(expected)


def test_lovasz_over_non_empty_tiles_ignores_the_empty_ones():
    logits = torch.randn(3, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    masks = torch.zeros(3, 1, 4, 4)
    masks[1, 0, 0] = 1
    assert torch.equal(losses.lovasz_non_empty(logits, masks), losses.lovasz_relu(logits[1:2], masks[1:2]))
    assert losses.lovasz_non_empty(logits, torch.zeros_like(masks)).item() == 0


@given(st.lists(st.floats(0.01, 1), min_size=3, max_size=3) | st.none())
def test_empty_tiles_count_in_the_mean_of_deep_supervisions_pixel_term_as_zeros(weights):
    outputs, masks = outputs_and_masks(side=3)  # the first is empty
    given = None if weights is None else torch.tensor(weights, dtype=torch.float64)
    others = losses.lovasz_relu(outputs["mask"], masks, given) + losses.bce(
        outputs["empty"], torch.tensor([[1.0], [0], [0]]).double(), given
    )
    of_tiles = losses.lovasz_hinge_per_image(outputs["pixel"], masks).tolist()
    expected = np.average([0, *of_tiles[1:]], weights=weights)
    assert (losses.deep_supervision(outputs, masks, given) - others).item() == pytest.approx(expected)


def test_deep_supervision_teaches_that_a_tile_is_empty():
    masks = torch.zeros(1, 1, 4, 4)
    outputs = {"mask": -40 * torch.ones(1, 1, 4, 4), "pixel": torch.zeros(1, 1, 4, 4)}
    says_empty = losses.deep_supervision(outputs | {"empty": torch.tensor([[40.0]])}, masks)
    says_salt = losses.deep_supervision(outputs | {"empty": torch.tensor([[-40.0]])}, masks)
    assert says_empty.item() == pytest.approx(0, abs=1e-6)
    assert says_salt.item() == pytest.approx(40, abs=1e-3)


def test_every_loss_of_the_schema_exists_and_takes_its_parameters():
    assert losses.LOSSES.keys() == KINDS.keys()
    for name, section in KINDS.items():
        given = ("outputs" if section.needs_heads else "logits", "masks")
        assert list(inspect.signature(losses.LOSSES[name]).parameters) == [*given, *section().parameters, "weights"]


def outputs_and_masks(side, count=3, dtype=torch.float64, seed=0):
    """Random outputs of a network with all heads, and masks of which the first is empty and the second full."""
    random = torch.Generator().manual_seed(seed)
    shapes = {"mask": (count, 1, side, side), "pixel": (count, 1, side, side), "empty": (count, 1)}
    outputs = {name: torch.randn(shape, generator=random, dtype=dtype) for name, shape in shapes.items()}
    masks = (torch.rand(shapes["mask"], generator=random, dtype=dtype) > 0.5).to(dtype)
    masks[0], masks[1] = 0, 1
    return outputs, masks


@pytest.mark.parametrize("name", KINDS)
def test_gradients_are_those_of_finite_differences(name):
    outputs, masks = outputs_and_masks(side=3)
    heads = [logits.requires_grad_() for logits in outputs.values()]

    def loss(*logits):
        return losses.create_loss([KINDS[name]()])(dict(zip(outputs, logits, strict=True)), masks)

    assert torch.autograd.gradcheck(loss, heads)


def test_a_weighted_sum_is_the_sum_of_its_weighted_terms():
    outputs, masks = outputs_and_masks(side=4)
    found = losses.create_loss([Bce(weight=0.1), LovaszRelu(weight=0.9)])(outputs, masks)
    expected = 0.1 * losses.bce(outputs["mask"], masks) + 0.9 * losses.lovasz_relu(outputs["mask"], masks)
    assert found.item() == pytest.approx(expected.item(), rel=1e-12)


@pytest.mark.parametrize("name", KINDS)
def test_losses_are_taken_in_float32_under_bf16_autocast(name):
    outputs, masks = outputs_and_masks(side=16, dtype=torch.float32)
    half = {key: (20 * value).bfloat16().requires_grad_() for key, value in outputs.items()}
    with torch.autocast("cpu", torch.bfloat16):
        loss = losses.create_loss([KINDS[name]()])(half, masks)
    loss.backward()
    expected = losses.create_loss([KINDS[name]()])({key: value.detach().float() for key, value in half.items()}, masks)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert half["mask"].grad.isfinite().all()


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("salt", [0.0, 1.0])
def test_tiles_of_one_pixel_have_finite_losses(name, salt):
    outputs = {"mask": torch.zeros(1, 1, 1, 1), "pixel": torch.zeros(1, 1, 1, 1), "empty": torch.zeros(1, 1)}
    assert losses.create_loss([KINDS[name]()])(outputs, torch.full((1, 1, 1, 1), salt)).isfinite()


def test_lovasz_hinge_by_hand():
    # Errors 1 - 2 = -1 (salt, right), 1 + 0.5 = 1.5 (salt, missed), 1 - 1 = 0 and 1 + 1 = 2 (background, wrong).
    logits = torch.tensor([2.0, -0.5, -1.0, 1.0]).view(1, 1, 2, 2)
    masks = torch.tensor([1.0, 1.0, 0.0, 0.0]).view(1, 1, 2, 2)
    # Sorted 2, 1.5, 0, -1: wrong sets of Jaccard loss 1/3, 2/3, 3/4, 1, so weights 1/3, 1/3, 1/12, 1/4.
    assert losses.lovasz_relu(logits, masks).item() == pytest.approx((2 + 1.5) / 3)
    elu = (3 + 2.5) / 3 + 1 / 12 + np.exp(-1) / 4
    assert losses.lovasz_elu(logits, masks).item() == pytest.approx(elu)
    swapped = losses.lovasz_relu(-logits, 1 - masks).item()
    assert losses.lovasz_symmetric(logits, masks).item() == pytest.approx((3.5 / 3 + swapped) / 2)


@pytest.mark.parametrize("soft", [False, True])
@given(st.integers(0, 1000), st.floats(0, 0.5), st.floats(0.5, 1))
def test_confident_cross_entropy_equals_its_twin(soft, seed, low, high):
    outputs, _ = outputs_and_masks(side=2, seed=seed)
    probabilities, total = soft_masks((3, 1, 2, 2)), 0.0
    for logit, p in zip(outputs["mask"].flatten().tolist(), probabilities.flatten().tolist(), strict=True):
        target, predicted = p if soft else float(p > 0.5), 1 / (1 + np.exp(-logit))
        if p < low or p > high:
            total -= target * np.log(predicted) + (1 - target) * np.log(1 - predicted)
    found = losses.confident_bce(outputs["mask"], probabilities, low, high, soft)
    assert found.item() == pytest.approx(total / 12)


# Weights of tiles -----------------------------------------------------------------------------------------------------


def weighted_twin(name, outputs, masks, weights):
    """The weighted loss, tile by tile; Dice and the mean of both have twins of their own."""
    tiles = [({key: value[i : i + 1] for key, value in outputs.items()}, masks[i : i + 1]) for i in range(len(masks))]
    single = [losses.create_loss([KINDS[name]()])(*tile).item() for tile in tiles]
    return np.average(single, weights=weights)


weights_of_three = st.lists(st.floats(0.01, 1), min_size=3, max_size=3)


@pytest.mark.parametrize("name", ["bce", "lovasz_relu", "lovasz_elu", "lovasz_symmetric"])
@given(weights_of_three, st.integers(0, 1000))
def test_a_weighted_loss_is_the_weighted_mean_over_tiles(name, weights, seed):
    outputs, masks = outputs_and_masks(side=3, seed=seed)
    found = losses.create_loss([KINDS[name]()])(outputs, masks, torch.tensor(weights, dtype=torch.float64))
    assert found.item() == pytest.approx(weighted_twin(name, outputs, masks, weights))


@given(st.lists(st.integers(1, 3), min_size=3, max_size=3), st.integers(0, 1000))
def test_dice_of_weighted_tiles_counts_a_tile_as_often_as_it_weighs(times, seed):
    outputs, masks = outputs_and_masks(side=3, seed=seed)
    rows = [row for row, count in enumerate(times) for _ in range(count)]
    repeated = losses.dice(outputs["mask"][rows], masks[rows], smooth=2.0)
    found = losses.dice(outputs["mask"], masks, smooth=2.0, weights=torch.tensor(times, dtype=torch.float64))
    assert found.item() == pytest.approx(repeated.item())


@given(weights_of_three)
def test_only_tiles_with_salt_share_the_weights_of_non_empty_losses(weights):
    outputs, masks = outputs_and_masks(side=3)  # the first is empty
    given = torch.tensor(weights, dtype=torch.float64)
    found = losses.lovasz_non_empty(outputs["mask"], masks, given)
    expected = losses.lovasz_relu(outputs["mask"][1:], masks[1:], given[1:])
    assert found.item() == pytest.approx(expected.item())


@pytest.mark.parametrize("name", KINDS)
def test_equal_weights_change_no_loss_and_none_give_zero(name):
    outputs, masks = outputs_and_masks(side=4)
    loss, ones = losses.create_loss([KINDS[name]()]), torch.ones(3, dtype=torch.float64)
    assert loss(outputs, masks, ones).item() == pytest.approx(loss(outputs, masks).item())
    assert torch.equal(loss(outputs, masks), loss(outputs, masks, None))
    assert loss(outputs, masks, 0 * ones).item() == 0


@pytest.mark.parametrize("name", KINDS)
def test_weighted_gradients_are_those_of_finite_differences(name):
    outputs, masks = outputs_and_masks(side=3)
    heads, weights = [logits.requires_grad_() for logits in outputs.values()], torch.tensor([0.5, 1, 0.25]).double()

    def loss(*logits):
        return losses.create_loss([KINDS[name]()])(dict(zip(outputs, logits, strict=True)), masks, weights)

    assert torch.autograd.gradcheck(loss, heads)


# The original's numbers -----------------------------------------------------------------------------------------------

GOLDEN = json.loads(Path("tests/golden/losses.json").read_text(encoding="utf-8"))
NAMES = {"lovasz_relu": "lovasz_relu", "lovasz_elu_plus_one": "lovasz_elu", "bce_dice": "bce_dice"}
VALUES, GRADIENTS, FLOAT32 = {"abs": 1e-10, "rel": 0}, {"abs": 1e-12, "rel": 0}, {"rel": 2e-5}
ALL = list(range(6))


def golden_masks():
    i, j = np.mgrid[:33, :33]
    masks = [
        np.zeros_like(i),
        np.ones_like(i),
        j >= 16,
        (i - 16) ** 2 + (j - 12) ** 2 <= 81,
        (i == 20) & (j == 7),
        ((3 * i + 2 * j) % 11 < 5) & (i >= 10),
    ]
    return torch.from_numpy(np.stack(masks)[:, None].astype(np.float64))


def golden_outputs():
    b, q = np.arange(6)[:, None], np.arange(33 * 33)
    mask = 8 * (((587 * q + 101 * b) % 1089) + 0.25) / 1089 - 4
    pixel = 6 * (((454 * q + 77 * b + 13) % 1089) + 0.25) / 1089 - 3
    maps = {name: torch.from_numpy(logits).view(6, 1, 33, 33) for name, logits in (("mask", mask), ("pixel", pixel))}
    return maps | {"empty": torch.from_numpy(-2 + 0.9 * b - 0.11 * b * b)}


def golden_loss(name, images=ALL, dtype=torch.float64):
    """The loss of some of the original's images, and the logits that it was made from."""
    outputs = {head: logits[images].to(dtype).requires_grad_() for head, logits in golden_outputs().items()}
    return losses.create_loss([KINDS[name]()])(outputs, golden_masks()[images].to(dtype)), outputs


def golden_terms(images=ALL, dtype=torch.float64):
    """Deep supervision and its terms, as the original lists them."""
    total, outputs = golden_loss("deep_supervision", images, dtype)
    masks = golden_masks()[images].to(dtype)
    mask = losses.lovasz_relu(outputs["mask"], masks).item()
    empty = losses.bce(outputs["empty"], 1 - masks.flatten(1).amax(dim=1, keepdim=True)).item()
    terms = {"total": total.item(), "lovasz_of_mask": mask, "bce_of_empty": empty}
    return terms | {"lovasz_of_pixel": total.item() - mask - empty}


def assert_golden_gradient(gradient, golden):
    p = np.arange(36)
    assert gradient[p % 6, 0, (7 * p + 3) % 33, (11 * p + 5) % 33].tolist() == pytest.approx(
        golden["values"], **GRADIENTS
    )
    found = {"sum": gradient.sum(), "l2_norm": gradient.norm(), "max_abs": gradient.abs().max()}
    for key, value in found.items():
        assert value.item() == pytest.approx(golden[key], **VALUES)


@pytest.mark.parametrize("golden_name", NAMES)
def test_a_loss_and_its_gradient_are_the_originals(golden_name):
    golden, name = GOLDEN[golden_name], NAMES[golden_name]
    loss, outputs = golden_loss(name)
    assert loss.item() == pytest.approx(golden["value"], **VALUES)
    loss.backward()
    assert_golden_gradient(outputs["mask"].grad, golden["gradient"])
    alone = [golden_loss(name, [image])[0].item() for image in ALL]
    assert alone == pytest.approx(golden["value_of_each_image_alone"], **VALUES)
    in_float32 = golden_loss(name, dtype=torch.float32)[0].item()
    assert in_float32 == pytest.approx(golden["value_float32"], **FLOAT32)


def test_both_halves_of_bce_dice_are_the_originals():
    assert golden_loss("bce")[0].item() == pytest.approx(GOLDEN["bce_dice"]["bce"], **VALUES)
    assert golden_loss("dice")[0].item() == pytest.approx(GOLDEN["bce_dice"]["one_minus_dice"], **VALUES)


def test_deep_supervision_and_its_gradients_are_the_originals():
    golden = GOLDEN["deep_supervision"]
    found, in_float32 = golden_terms(), golden_terms(dtype=torch.float32)
    assert found == pytest.approx({term: golden[term] for term in found}, **VALUES)
    assert in_float32 == pytest.approx(golden["float32"], **FLOAT32)
    loss, outputs = golden_loss("deep_supervision")
    loss.backward()
    for head in ("mask", "pixel"):
        assert_golden_gradient(outputs[head].grad, golden[f"gradient_{head}_logits"])
    assert outputs["empty"].grad.flatten().tolist() == pytest.approx(golden["gradient_empty_logits"], **GRADIENTS)


def test_deep_supervision_of_single_images_and_small_batches_is_the_originals():
    golden = GOLDEN["deep_supervision"]
    alone = [golden_terms([image])["lovasz_of_pixel"] for image in ALL]
    assert alone == pytest.approx(golden["lovasz_of_pixel_of_each_image"], **VALUES)
    for batch in golden["batches_of_some_images"]:
        found = golden_terms(batch["images"])
        assert found == pytest.approx({term: batch[term] for term in found}, **VALUES)
