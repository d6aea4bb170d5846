"""A small data set of a user's own images in the layout `folders`, and functions that make image files."""

import io

import cv2
import numpy as np
from PIL import Image

HEIGHT, WIDTH = 6, 8


def encoded(pixels, suffix):
    """An image file written by OpenCV; pixels are RGB here and BGR in OpenCV."""
    return cv2.imencode(suffix, pixels[..., ::-1] if pixels.ndim == 3 else pixels)[1].tobytes()


def saved(image, kind, alpha=None, **options):
    """An image file written by Pillow."""
    if alpha is not None:
        image.putalpha(Image.fromarray(alpha))
    image.save(buffer := io.BytesIO(), kind, **options)
    return buffer.getvalue()


def npy(array, **options):
    """An .npy file."""
    np.save(buffer := io.BytesIO(), array, **options)
    return buffer.getvalue()


def table(header, rows):
    """A CSV file."""
    return "\n".join([header, *rows, ""]).encode()


def make_folders():
    """Content by relative path: three labelled images, one of them full of salt and one empty, and two unlabelled."""
    rng = np.random.default_rng(3)
    files = {}
    for split, names in (("train", "abc"), ("test", "xy")):
        for name in names:
            image = rng.integers(0, 256, (HEIGHT, WIDTH), np.uint8)
            files[f"{split}/images/{name}.png"] = encoded(image, ".png")
    for name, first in (("a", 3), ("b", 0), ("c", HEIGHT)):
        mask = np.zeros((HEIGHT, WIDTH), np.uint8)
        mask[first:] = 255
        files[f"train/masks/{name}.png"] = encoded(mask, ".png")
    return files


def write(root, files):
    """Write files, given by relative path, below `root`."""
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root
