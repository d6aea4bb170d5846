"""Mixing of the tiles of a batch by mixup or cutmix: a function of (settings, seed) only."""

from collections.abc import Iterator, Sequence
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
    masks: Sequence[tuple[float | Tensor, Tensor]]
    weights: Sequence[Tensor | None]

    def parts(self, count: int) -> Iterator[tuple[slice, "Mixed"]]:
        """Yield the rows of parts, of at least two tiles each, and the parts.

        Their shares are such that the losses of all parts sum to that of the batch if it is a mean over tiles.
        """
        tiles = len(self.images)
        count = max(1, min(count, tiles // 2))
        if count == 1:
            yield slice(0, tiles), self
            return
        for rows in (slice(first, tiles, count) for first in range(count)):  # both kinds of tiles of a shared batch
            terms = zip(self.masks, self.weights, strict=True)
            masks = [(share * _share(rows, tiles, weights), masks[rows]) for (share, masks), weights in terms]
            weights = [None if weights is None else weights[rows] for weights in self.weights]
            yield rows, Mixed(self.images[rows], masks, weights)


def _share(rows: slice, tiles: int, weights: Tensor | None) -> float | Tensor:
    """The share of some rows in a mean over tiles by their weights; 0 if all weights are 0."""
    if weights is None:
        return len(range(tiles)[rows]) / tiles
    return weights[rows].sum() / weights.sum().clamp(min=torch.finfo(weights.dtype).tiny)


def mix(
    images: Tensor, masks: Tensor, settings: Mix | None = None, seed: int = 0, weights: Tensor | None = None
) -> Mixed:
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
