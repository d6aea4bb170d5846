"""Losses on logits (recipe 6), batched: no loop over images. Logits and masks are (B, 1, H, W), masks in 0..1.

Cross-entropy and Dice take probabilities as they are. The Lovasz losses are defined for sets of pixels: they take
those with a probability above 0.5. Tiles may have weights, (B,): a mean over tiles is then a weighted one, and the
pixels that Dice counts are weighted ones. None: all tiles weigh the same.
"""

from collections.abc import Callable, Iterable
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from models import Outputs
from schemas.losses import Loss

Weights = Tensor | None
Surrogate = Callable[[Tensor], Tensor]


def weighted_mean(values: Tensor, weights: Weights) -> Tensor:
    """Mean of values of tiles, (B,), by their weights; 0 if all weights are 0."""
    if weights is None:
        return values.mean()
    return (values * weights).sum() / weights.sum().clamp(min=torch.finfo(weights.dtype).tiny)


def bce(logits: Tensor, masks: Tensor, weights: Weights = None) -> Tensor:
    """Mean binary cross-entropy over all pixels."""
    if weights is None:
        return F.binary_cross_entropy_with_logits(logits, masks)
    pixels = F.binary_cross_entropy_with_logits(logits, masks, reduction="none")
    return weighted_mean(pixels.flatten(1).mean(dim=1), weights)


def dice(logits: Tensor, masks: Tensor, smooth: float, weights: Weights = None) -> Tensor:
    """1 - Dice coefficient over the whole batch at once. smooth: px, added to numerator and denominator."""
    probabilities, counted = torch.sigmoid(logits), masks
    if weights is not None:
        of_pixels = weights.view(-1, 1, 1, 1)
        probabilities, counted = of_pixels * probabilities, of_pixels * masks
    overlap = (probabilities * masks).sum()
    return 1 - (2 * overlap + smooth) / (probabilities.sum() + counted.sum() + smooth)


def bce_dice(logits: Tensor, masks: Tensor, weights: Weights = None) -> Tensor:
    """Half BCE, half Dice."""
    return 0.5 * bce(logits, masks, weights) + 0.5 * dice(logits, masks, smooth=1.0, weights=weights)


def binary(masks: Tensor) -> Tensor:
    """Masks in 0..1 -> in {0, 1}, of the same shape and dtype."""
    return (masks > 0.5).to(masks.dtype)


def elu_plus_one(errors: Tensor) -> Tensor:
    """The ResNeXt50 author's surrogate: never flat, so well-classified pixels keep a gradient."""
    return F.elu(errors) + 1


def lovasz_hinge_per_image(logits: Tensor, masks: Tensor, surrogate: Surrogate = F.relu) -> Tensor:
    """Lovasz hinge of each image (Berman et al. 2018), (B,): a convex surrogate of 1 - IoU."""
    logits, masks = logits.flatten(1), binary(masks).flatten(1)
    errors, order = torch.sort(1 - logits * (2 * masks - 1), dim=1, descending=True)
    return (surrogate(errors) * _jaccard_gradient(masks.gather(1, order))).sum(dim=1)


def _jaccard_gradient(sorted_masks: Tensor) -> Tensor:
    """Gradient of the Lovasz extension of the Jaccard loss (Berman et al. 2018, algorithm 1); (B, P) -> (B, P)."""
    pixels = sorted_masks.to(torch.int32)  # sums of integers are the same in any order, so on any GPU
    foreground = pixels.sum(dim=1, keepdim=True)
    intersection = foreground - pixels.cumsum(dim=1)
    union = foreground + (1 - pixels).cumsum(dim=1)
    jaccard = 1 - intersection.to(sorted_masks.dtype) / union
    return torch.diff(jaccard, dim=1, prepend=torch.zeros_like(jaccard[:, :1]))


def lovasz_relu(logits: Tensor, masks: Tensor, weights: Weights = None) -> Tensor:
    """Lovasz hinge with ReLU, mean over images (the ResNet34 author's)."""
    return weighted_mean(lovasz_hinge_per_image(logits, masks), weights)


def lovasz_elu(logits: Tensor, masks: Tensor, weights: Weights = None) -> Tensor:
    """Lovasz hinge with ELU + 1, mean over images (the ResNeXt50 author's)."""
    return weighted_mean(lovasz_hinge_per_image(logits, masks, elu_plus_one), weights)


def lovasz_symmetric(logits: Tensor, masks: Tensor, weights: Weights = None) -> Tensor:
    """Mean of the Lovasz hinge of salt and that of background."""
    return (lovasz_relu(logits, masks, weights) + lovasz_relu(-logits, 1 - binary(masks), weights)) / 2


def lovasz_non_empty(logits: Tensor, masks: Tensor, weights: Weights = None) -> Tensor:
    """Lovasz hinge with ReLU, mean over the images with salt; 0 if there are none."""
    has_salt = binary(masks).flatten(1).amax(dim=1)
    return weighted_mean(lovasz_hinge_per_image(logits, masks), has_salt if weights is None else weights * has_salt)


def deep_supervision(outputs: Outputs, masks: Tensor, weights: Weights = None) -> Tensor:
    """The ResNet34 author's loss of stage 2: Lovasz(mask) + BCE(empty) + Lovasz(pixel).

    The last term is a mean over all images, of which empty ones count 0; so it differs from `lovasz_non_empty`.
    """
    has_salt = binary(masks).flatten(1).amax(dim=1)
    pixel = has_salt * lovasz_hinge_per_image(outputs["pixel"], masks)
    return (
        lovasz_relu(outputs["mask"], masks, weights)
        + bce(outputs["empty"], 1 - has_salt[:, None], weights)
        + weighted_mean(pixel, weights)
    )


def confident_bce(logits: Tensor, probabilities: Tensor, low: float, high: float, soft: bool) -> Tensor:
    """Binary cross-entropy of the pixels with p < low or p > high, mean over all pixels (Sohn et al. 2020, eq. 4).

    probabilities: p of a teacher, (B, 1, H, W); the target is p itself if soft, else p > 0.5
    """
    confident = (probabilities < low) | (probabilities > high)
    targets = probabilities if soft else binary(probabilities)
    return (F.binary_cross_entropy_with_logits(logits, targets, reduction="none") * confident).mean()


LOSSES: dict[str, Callable[..., Tensor]] = {  # names and parameters as in schemas/losses.py
    "bce": bce,
    "dice": dice,
    "bce_dice": bce_dice,
    "lovasz_relu": lovasz_relu,
    "lovasz_elu": lovasz_elu,
    "lovasz_symmetric": lovasz_symmetric,
    "lovasz_non_empty": lovasz_non_empty,
    "deep_supervision": deep_supervision,
}


def create_loss(terms: Iterable[Loss]) -> Callable[..., Tensor]:
    """The weighted sum of losses of (outputs, masks, weights of tiles), in float32 (or float64 if outputs are)."""
    losses = [(term.weight, _loss_of_outputs(term)) for term in terms]

    def loss(outputs: Outputs, masks: Tensor, weights: Weights = None) -> Tensor:
        # In sums over 65,536 pixels, half precision would lose the many small errors.
        logits = {name: value if value.dtype == torch.float64 else value.float() for name, value in outputs.items()}
        return torch.stack([weight * term(logits, masks, weights=weights) for weight, term in losses]).sum()

    return loss


def _loss_of_outputs(term: Loss) -> Callable[..., Tensor]:
    loss = partial(LOSSES[term.name], **term.parameters)
    return loss if term.needs_heads else lambda outputs, masks, weights: loss(outputs["mask"], masks, weights=weights)
