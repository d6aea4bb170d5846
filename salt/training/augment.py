"""Random changes to a training tile and its mask: a function of (seed, phase, epoch, pass, tile) only (recipe 4)."""

import math
import os
import random
from collections.abc import Sequence
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

    A mask of two values keeps them: each pixel that moves gets the value of the nearest one, or a crop's nearest value.
    """
    # All transforms share one state, including those inside one_of. `set_random_seed` would seed each one alike, and
    # their draws would coincide.
    pipeline.set_random_state(np.random.default_rng(seed), random.Random(seed))  # noqa: S311 (no secret)
    drawn = pipeline(image=image, mask=mask)
    return drawn["image"], drawn["mask"]


def _create(transform: Transform) -> Any:
    """Convert one transformation of the config to albumentations."""
    p = transform.p
    match transform:
        case augmentation.Flip():
            return A.HorizontalFlip(p=p)
        case augmentation.VerticalFlip():
            return A.VerticalFlip(p=p)
        case augmentation.Brightness(limit=limit):
            return A.RandomBrightnessContrast(brightness_limit=limit, contrast_limit=0, p=p)
        case augmentation.Contrast(limit=limit, about=about):
            means = {"black": 0, "mean": 1, "triple_mean": 3}[about]
            return Contrast((means, means), limit, brightness_by_max=False, p=p)
        case augmentation.ShiftScale(shift=shift, scale=scale, pixels=pixels):
            moves = {"x": (-shift, shift), "y": (-shift, shift)}
            kind = Affine if pixels == "whole" else HalfSideAffine
            zooms = (1 - scale, 1 + scale)
            return kind(translate_percent=moves, scale=zooms, keep_ratio=True, border_mode=BORDER, p=p)
        case augmentation.CropResize(share=share):
            return CropResize(percent=(-share, 0.0), p=p)
        case augmentation.Shear(share=share, pixels="whole"):
            return WholeShear(shear={"x": (-share / 2, share / 2), "y": (0.0, 0.0)}, border_mode=BORDER, p=p)
        case augmentation.Shear(share=share):
            angle = math.degrees(math.atan(share))
            return Affine(shear={"x": (-angle, angle), "y": (0.0, 0.0)}, border_mode=BORDER, p=p)
        case augmentation.Rotate(degrees=degrees):
            return HalfSideAffine(rotate=degrees, border_mode=BORDER, p=p)
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
        return np.asarray(cv2.warpAffine(tile, matrix[:2], size, flags=flags, borderMode=self.border_mode), tile.dtype)


class HalfSideAffine(Affine):
    """Affine as in both authors' libraries: about half the side, so half a pixel off the middle, without rounding."""

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        """The matrix (2, 3) of a draw."""
        height, width = params["shape"][:2]
        moves = self.translate_percent or {"x": (0.0, 0.0), "y": (0.0, 0.0)}
        right, down = (self.py_random.uniform(*moves[axis]) for axis in ("x", "y"))
        angle, zoom = self.py_random.uniform(*self.rotate), self.py_random.uniform(*self.scale["x"])
        matrix = cv2.getRotationMatrix2D((width / 2, height / 2), angle, zoom)  # counter-clockwise
        matrix[:, 2] += right * width, down * height
        return {"matrix": matrix}


class WholeShear(Affine):
    """The ResNet34 author's shear: top and bottom edge move by the same whole number of pixels, against each other."""

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        """The matrix (2, 3) of a draw. shear: what the top edge moves right, share of the height, cut towards 0."""
        height = params["shape"][0]
        edge = int(self.py_random.uniform(*self.shear["x"]) * height)
        return {"matrix": np.array([[1, -2 * edge / height, edge], [0, 1, 0]])}


class CropResize(A.CropAndPad):
    """A.CropAndPad that cuts every number of pixels equally often, and resizes masks as exactly as images."""

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        """The rows and the columns that a draw keeps."""
        height, width = params["shape"][:2]
        top, bottom, left, right = (self._cut(side) for side in (height, height, width, width))
        return {"kept": (slice(top, height - bottom), slice(left, width - right))}

    def _cut(self, side: int) -> int:
        return int(self.py_random.randrange(max(1, int(-self.percent[0] * side))))

    def apply(self, img: Bytes, kept: tuple[slice, slice], **params: Any) -> Bytes:
        """Crop the image (H, W) or (H, W, 3) and resize it back."""
        return np.asarray(cv2.resize(img[kept], img.shape[1::-1]), img.dtype)

    def apply_to_mask(self, mask: Bytes, kept: tuple[slice, slice], **params: Any) -> Bytes:
        """Crop the mask (H, W) and resize it back; between two values, the nearer one wins, and the lower one a tie."""
        resized = cv2.resize(mask[kept].astype(np.float32), mask.shape[::-1])
        return np.ceil(resized - 0.5).astype(mask.dtype)


class Contrast(A.RandomBrightnessContrast):
    """A.RandomBrightnessContrast about a multiple of the tile's mean, its brightness_limit, instead of about black."""

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        """Factor alpha and summand beta of a draw."""
        drawn = super().get_params_dependent_on_data(params, data)
        return drawn | {"beta": (1 - drawn["alpha"]) * drawn["beta"]}


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
