"""The outputs for other images: a mask and the probabilities of each as PNGs, and a table of all masks."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from salt.data import rle
from salt.data.predictions import in_16_bits
from salt.inference.input_images import Image
from salt.inference.window_blocks import Blocks, Windows
from salt.postprocess import steps
from salt.runtime.atomic import atomic_folder, atomic_path
from schemas.postprocess import Postprocess


def write_predictions(
    images: Sequence[Image], blocks: Blocks, postprocess: Postprocess, masks: Path, probabilities: Path, table: Path
) -> None:
    """Write the outputs from the windows' predictions, one image at a time.

    masks: folder of PNGs, 255 is salt; probabilities: folder of 16-bit PNGs, 65535 is 1; table: csv of id, rle_mask
    postprocess: the steps to a mask; the jigsaw rule is left out
    """
    windows = Windows(images)
    with (
        atomic_folder(masks) as masks_folder,
        atomic_folder(probabilities) as probabilities_folder,
        atomic_path(table) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["id", "rle_mask"])
        for number, image in enumerate(images):
            blend = blended(image, blocks.read(windows.of(number)))
            mask = mask_of(blend, postprocess)
            _write_png(probabilities_folder / f"{image.name}.png", blend)
            _write_png(masks_folder / f"{image.name}.png", np.uint8(255) * mask)
            writer.writerow([image.name, rle.encode(mask)])


def blended(image: Image, predictions: Iterable[npt.NDArray[np.float32]]) -> npt.NDArray[np.uint16]:
    """The image's probabilities (H, W), 65535 = 1, from those of its windows."""
    probabilities, column = np.empty(image.windows.shape, np.uint16), 0
    for strip in image.windows.blend(predictions):
        probabilities[:, column : column + strip.shape[1]] = in_16_bits(strip)
        column += strip.shape[1]
    return probabilities


def mask_of(probabilities: npt.NDArray[np.uint16], postprocess: Postprocess) -> npt.NDArray[np.uint8]:
    """The mask (H, W) in {0, 1} of an image's probabilities (H, W), 65535 = 1."""
    not_constant = np.zeros(1, np.bool_)  # a constant image has probabilities of 0: its mask is empty anyway
    (mask,) = steps.masks(probabilities[None], not_constant, postprocess)
    return mask


def _write_png(path: Path, pixels: npt.NDArray[np.uint8] | npt.NDArray[np.uint16]) -> None:
    """Write (H, W) numbers as a grey PNG. OpenCV only encodes: its own writing hides a full disk."""
    _, png = cv2.imencode(".png", pixels)
    path.write_bytes(png.data)
