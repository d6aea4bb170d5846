"""Mixing of the tiles of a batch by mixup or cutmix: a function of (settings, seed) only."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from schemas.augmentation import Mix


class Mixed(NamedTuple):
    """A batch after mixing.

    images: (B, H, W) or (B, H, W, 3) uint8
    masks: (share, (B, H, W) of the given dtype) of each term of the loss, a weighted sum; the shares sum to 1
    weights: (B,) of the tiles in each term; None if all weigh the same
    """

    images: Tensor
    masks: list[tuple[float, Tensor]]
    weights: list[Tensor | None]


def mix(images: Tensor, masks: Tensor, settings: Mix | None, seed: int, weights: Tensor | None = None) -> Mixed:
    """Mix each tile of a batch with another one, or leave the whole batch as it is; a draw decides.

    images: (B, H, W) or (B, H, W, 3) uint8; masks: (B, H, W) of any dtype
    weights: (B,); a tile that cutmix makes weighs the mean of its two tiles by area
    """
    unmixed = Mixed(images, [(1.0, masks)], [weights])
    if settings is None:
        return unmixed
    rng = np.random.default_rng(seed)
    if rng.random() >= settings.p:
        return unmixed
    share = rng.beta(settings.alpha, settings.alpha)  # of the tile itself
    partners = torch.from_numpy(rng.permutation(len(images))).to(images.device)
    if settings.name == "mixup":
        mixed = share * images.float() + (1 - share) * images[partners].float()
        # Masks stay binary, as the Lovasz hinge needs: the losses are mixed instead.
        terms = [(share, masks), (1 - share, masks[partners])]
        return Mixed(mixed.round().to(torch.uint8), terms, [weights, None if weights is None else weights[partners]])
    _, height, width = masks.shape
    rows, columns = _rectangle(height, width, 1 - share, rng)
    images, masks, sources = images.clone(), masks.clone(), (images[partners], masks[partners])
    for target, source in zip((images, masks), sources, strict=True):
        target[:, rows, columns] = source[:, rows, columns]
    if weights is not None:
        pasted = (rows.stop - rows.start) * (columns.stop - columns.start) / (height * width)
        weights = (1 - pasted) * weights + pasted * weights[partners]
    return Mixed(images, [(1.0, masks)], [weights])


def _rectangle(height: int, width: int, area: float, rng: np.random.Generator) -> tuple[slice, slice]:
    """A rectangle with the tile's proportions and about this share of its area, clipped at the tile's edges."""
    spans = []
    for side in (height, width):
        half = side * area**0.5 / 2
        centre = rng.uniform(0, side)
        spans.append(slice(round(max(0, centre - half)), round(min(side, centre + half))))
    return spans[0], spans[1]
