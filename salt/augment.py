"""Random changes of a training tile and its mask, a function of (seed, phase, epoch, pass, tile) alone (recipe 4)."""

import os
import random
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from schemas.config import Augment

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # else its import asks the network for a newer version
import albumentations as A

Grey = npt.NDArray[np.uint8]


def create_augmentation(settings: Augment) -> Any:
    """The recipe's list as an albumentations pipeline."""
    shift = (-settings.shift_limit, settings.shift_limit)
    return A.Compose(
        [
            A.HorizontalFlip(p=settings.flip),
            A.RandomBrightnessContrast(settings.brightness_limit, contrast_limit=0, p=settings.brightness),
            A.RandomBrightnessContrast(brightness_limit=0, contrast_limit=settings.contrast_limit, p=settings.contrast),
            A.Affine(
                scale=(1 - settings.scale_limit, 1 + settings.scale_limit),
                translate_percent={"x": shift, "y": shift},
                keep_ratio=True,
                border_mode=cv2.BORDER_REFLECT_101,
                p=settings.shift_scale,
            ),
        ]
    )


def augment(pipeline: Any, image: Grey, mask: Grey, seed: int) -> tuple[Grey, Grey]:
    """One draw: image (H, W) uint8 and mask (H, W) uint8 in {0, 1} -> the same shapes and dtypes."""
    # One state for all transforms: `set_random_seed` would give each its own with the same seed, and they would
    # fire together.
    pipeline.set_random_state(np.random.default_rng(seed), random.Random(seed))  # noqa: S311 (no secret)
    drawn = pipeline(image=image, mask=mask)
    return drawn["image"], drawn["mask"]
