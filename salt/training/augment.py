"""Random changes to a training tile and its mask: a function of (seed, phase, epoch, pass, tile) only (recipe 4)."""

import math
import os
import random
from collections.abc import Sequence
from functools import partial
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from schemas import augmentation
from schemas.augmentation import Transform

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # otherwise its import checks online for a newer version
import albumentations as A

Bytes = npt.NDArray[np.uint8]

BORDER = cv2.BORDER_REFLECT_101  # fills what a transform moves in from beyond the tile's border
HOLE_GREY = 128  # near the mean of tiles; black would look like missing data


def create_augmentation(transforms: Sequence[Transform]) -> Any:
    """An albumentations pipeline for `augment` that applies the transformations in order."""
    return A.Compose([_create(transform) for transform in transforms])


def augment(pipeline: Any, image: Bytes, mask: Bytes, seed: int) -> tuple[Bytes, Bytes]:
    """Draw once: image (H, W) or (H, W, 3) uint8 and mask (H, W) uint8 -> the same shapes and dtypes.

    A mask keeps its values: every transformation takes each pixel of the mask from the nearest one.
    """
    # All transforms share one state, including those inside one_of. `set_random_seed` would seed each one alike, and
    # their draws would coincide.
    pipeline.set_random_state(np.random.default_rng(seed), random.Random(seed))  # noqa: S311 (no secret)
    drawn = pipeline(image=image, mask=mask)
    return drawn["image"], drawn["mask"]


def _create(transform: Transform) -> Any:
    """Convert one transformation of the config to albumentations."""
    p = transform.p
    affine = partial(Affine, border_mode=BORDER, p=p)
    match transform:
        case augmentation.Flip():
            return A.HorizontalFlip(p=p)
        case augmentation.VerticalFlip():
            return A.VerticalFlip(p=p)
        case augmentation.Brightness(limit=limit):
            return A.RandomBrightnessContrast(brightness_limit=limit, contrast_limit=0, p=p)
        case augmentation.Contrast(limit=limit):  # a factor about black, although its docstring speaks of the mean
            return A.RandomBrightnessContrast(brightness_limit=0, contrast_limit=limit, p=p)
        case augmentation.ShiftScale(shift=shift, scale=scale):
            moves = {"x": (-shift, shift), "y": (-shift, shift)}
            return affine(translate_percent=moves, scale=(1 - scale, 1 + scale), keep_ratio=True)
        case augmentation.CropResize(share=share):
            # Plain INTER_NEAREST rounds down when it resizes: the mask would shift against the image.
            return A.CropAndPad(percent=(-share, 0.0), mask_interpolation=cv2.INTER_NEAREST_EXACT, p=p)
        case augmentation.Shear(share=share):
            angle = math.degrees(math.atan(share))
            return affine(shear={"x": (-angle, angle), "y": (0.0, 0.0)})
        case augmentation.Rotate(degrees=degrees):
            return affine(rotate=degrees)
        case augmentation.Blur(sigma=sigma):
            return A.GaussianBlur(blur_limit=0, sigma_limit=(0.0, sigma), p=p)
        case augmentation.Noise(std=std):
            return A.GaussNoise(std_range=(0.0, std), p=p)
        case augmentation.Elastic(shift=shift, sigma=sigma):
            # Its field is uniform noise in -1..1 with deviation 1 / sqrt(3); smoothing divides that by
            # 2 sqrt(pi) sigma.
            alpha = shift * math.sqrt(3) * 2 * math.sqrt(math.pi) * sigma
            return A.ElasticTransform(alpha, sigma, noise_distribution="uniform", border_mode=BORDER, p=p)
        case augmentation.Grid(cells=cells, limit=limit):
            return GridDistortion(cells, limit, border_mode=BORDER, p=p)
        case augmentation.CoarseDropout(holes=holes, size=size):
            sides = (0.0, size)
            return A.CoarseDropout((1, holes), sides, sides, fill=HOLE_GREY, fill_mask=None, p=p)
        case augmentation.OneOf(of=choices):
            return A.OneOf([_create(choice) for choice in choices], p=p)


class Affine(A.Affine):
    """A.Affine with the same results in 0.28 instead of 0.44 ms per tile: it skips the check for identity matrices."""

    def apply(self, img: Bytes, matrix: npt.NDArray[np.float64], **params: Any) -> Bytes:
        """Warp the image (H, W) or (H, W, 3) uint8 by a matrix (3, 3)."""
        return self._warp(img, matrix, self.interpolation)

    def apply_to_mask(self, mask: Bytes, matrix: npt.NDArray[np.float64], **params: Any) -> Bytes:
        """Warp the mask (H, W) uint8 by the same matrix."""
        return self._warp(mask, matrix, self.mask_interpolation)

    def _warp(self, tile: Bytes, matrix: npt.NDArray[np.float64], flags: int) -> Bytes:
        size = tile.shape[1::-1]
        return np.asarray(cv2.warpAffine(tile, matrix[:2], size, flags=flags, borderMode=self.border_mode), np.uint8)


class GridDistortion(A.GridDistortion):
    """A.GridDistortion for tiles of any size; a limit of 0 moves nothing.

    The original divides by zero if a tile has fewer pixels than cells, and is always off by up to a pixel.
    """

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        """Source coordinates of each pixel: maps of x and y, (H, W) float32."""
        height, width = params["shape"][:2]
        x, y = np.meshgrid(self._sources(width), self._sources(height))
        return {"map_x": x, "map_y": y}

    def _sources(self, side: int) -> npt.NDArray[np.float32]:
        """Source coordinates of a row's pixels, (side,): the grid's lines move, the tile's ends stay."""
        low, high = self.distort_limit
        steps = self.random_generator.uniform(1 + low, 1 + high, self.num_steps)
        lines = np.concatenate([[0], steps.cumsum()]) / steps.sum()
        sources = np.interp(np.linspace(0, 1, side), np.linspace(0, 1, self.num_steps + 1), lines)
        return (sources * (side - 1)).astype(np.float32)
