"""Tiles and masks out of PNG files. Every fault is a ValueError that says what the file holds instead."""

import cv2
import numpy as np
import numpy.typing as npt

SIGNATURE = b"\x89PNG\r\n\x1a\n"
SALT = (1, 255, 2**16 - 1)  # what masks use for salt: the competition's are 16-bit, other people's 8-bit


def read_image(data: bytes) -> npt.NDArray[np.uint8]:
    """An 8-bit PNG, grey or of equal colours (there are both), as (H, W) uint8, without alpha."""
    pixels = _grey(data)
    if pixels.dtype != np.uint8:
        raise ValueError("16-bit, expected 8-bit")
    return pixels


def read_mask(data: bytes) -> npt.NDArray[np.uint8]:
    """An 8- or 16-bit PNG of zeros and one other value, 1 or the largest, as (H, W) uint8 in {0, 1}."""
    pixels = _grey(data)
    values = np.unique(pixels)
    if not any(np.isin(values, (0, salt)).all() for salt in SALT):
        shown = ", ".join(map(str, values[:4].tolist())) + (" ..." if len(values) > 4 else "")
        raise ValueError(f"values {shown}; expected 0 and one of 1, 255, 65535")
    return (pixels != 0).astype(np.uint8)


def _grey(data: bytes) -> npt.NDArray:
    if not data.startswith(SIGNATURE):
        raise ValueError("no PNG")
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise ValueError("damaged PNG")
    if pixels.ndim == 2:
        return pixels
    colours = pixels[..., :3]
    if (colours != colours[..., :1]).any():
        raise ValueError("in colour, expected grey")
    return colours[..., 0]
