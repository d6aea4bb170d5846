"""A few held-out tiles with their masks, true and predicted, as a training shows them beside its curves."""

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from salt.data import image_files
from salt.data.network_input import Geometry
from salt.data.tiles import Tiles
from salt.inference.predictor import Predictor

SHOWN = 4  # tiles
LARGEST = 256  # px, the longest side of a tile in its picture
Bytes = npt.NDArray[np.uint8]


class Samples:
    """The same few tiles each time."""

    def __init__(self, held_out: Tiles) -> None:
        """Choose among held-out tiles: of those with salt, evenly spaced in the order of their share of salt."""
        coverage = held_out.arrays[1].mean(axis=(1, 2))
        order = np.argsort(coverage, kind="stable")
        salty = order[coverage[order] > 0]
        chosen = salty if len(salty) else order
        self.tiles = held_out.select(chosen[np.unique(np.linspace(0, len(chosen) - 1, SHOWN).round().astype(int))])

    def pictures(self, network: nn.Module, geometry: Geometry, device: torch.device) -> dict[str, Bytes]:
        """For each tile by tag, side by side: the tile, its true mask, its probabilities; (H, 3 W, 3) uint8.

        network: in eval mode on the device
        """
        predictor = Predictor([network], [1], geometry, device)
        probabilities = predictor.predict(self.tiles.images, self.tiles.depths).plain
        return {
            f"tile, mask, prediction/{name}": _side_by_side(image, mask * np.uint8(255), predicted)
            for name, image, mask, predicted in zip(self.tiles.ids, *self.tiles.arrays, probabilities, strict=True)
        }


def _side_by_side(image: Bytes, mask: Bytes, probabilities: npt.NDArray[np.float32]) -> Bytes:
    parts = [image_files.rgb(np.asarray(part)) for part in (image, mask, np.rint(probabilities * 255).astype(np.uint8))]
    row = np.ascontiguousarray(np.concatenate(parts, axis=1), dtype=np.uint8)
    height, width = image.shape[:2]
    shrink = min(1, LARGEST / max(height, width))
    size = max(1, round(3 * width * shrink)), max(1, round(height * shrink))
    return row if shrink == 1 else np.asarray(cv2.resize(row, size, interpolation=cv2.INTER_AREA), np.uint8)
