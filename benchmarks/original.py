"""The original's way of training, for comparison: what its loader and its loss do, with this project's own parts.

Its loader reads a tile and its mask from PNG files, augments them, resizes and pads them, and adds the channels, one
tile at a time on the CPU; a batch arrives as float32. Its Lovasz hinge is a loop over the images of a batch. The
augmentation, the network and the formulas are this project's, so only the way differs.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from models import Outputs
from salt.data.network_input import MEAN, STD, Geometry
from salt.training import augment
from salt.training.loader import Batch
from schemas.augmentation import Transform
from schemas.losses import Loss

Floats = npt.NDArray[np.float32]
Losses = Callable[[Outputs, Tensor, Tensor | None], Tensor]

BORDERS = {"reflect": cv2.BORDER_REFLECT_101, "edge": cv2.BORDER_REPLICATE}
OF_IMAGES = ("lovasz", "deep_supervision")  # losses of this kind are means over images; the others are batched anyway


@dataclass(frozen=True)
class PngTiles(Dataset[tuple[Floats, Floats]]):
    """Tiles in folders of PNG files as the network's input (C, height, width) and its mask (1, height, width)."""

    folder: Path
    ids: list[str]
    geometry: Geometry
    pipeline: Any  # of albumentations

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, row: int) -> tuple[Floats, Floats]:
        name = f"{self.ids[row]}.png"
        image, mask = (self._read(kind, name) for kind in ("images", "masks"))
        seed = int(torch.randint(2**31, ()))  # each worker draws its own
        image, mask = augment.augment(self.pipeline, image, mask // 255, seed)
        placed = self._place(mask)
        edges = placed if self.geometry.settings.mask_edges == "fractions" else (placed > 0.5).astype(np.float32)
        return self._channels(self._place(image)), edges[None]

    def _read(self, kind: str, name: str) -> npt.NDArray[np.uint8]:
        return np.asarray(cv2.imread(str(self.folder / kind / name), cv2.IMREAD_GRAYSCALE), np.uint8)

    def _place(self, tile: npt.NDArray[np.uint8]) -> Floats:
        """Resize and pad: (H, W) -> (height, width)."""
        (height, width), (top, left), resized = self.geometry.shape, self.geometry.before, self.geometry.resized
        values = tile.astype(np.float32)
        if resized != self.geometry.tile:
            values = np.asarray(cv2.resize(values, resized[::-1], interpolation=cv2.INTER_LINEAR), np.float32)
        bottom, right = height - top - resized[0], width - left - resized[1]
        border = BORDERS[self.geometry.settings.pad_mode]
        return np.asarray(cv2.copyMakeBorder(values, top, bottom, left, right, border), np.float32)

    def _channels(self, grey: Floats) -> Floats:
        """The network's input of grey values in 0..255."""
        settings = self.geometry.settings
        if settings.channels in ("grey", "grey3"):
            return np.stack([self._value(grey, channel) for channel in range(settings.channel_count)])
        grey = self._value(grey, 0)
        ramp = np.repeat(np.linspace(0, 1, len(grey), dtype=np.float32)[:, None], grey.shape[1], axis=1)
        return np.stack([grey, ramp, grey * ramp])

    def _value(self, grey: Floats, channel: int) -> Floats:
        match self.geometry.settings.values:
            case "raw":
                return grey
            case "unit":
                return np.asarray(grey / 255, np.float32)
        return np.asarray((grey / 255 - MEAN[channel]) / STD[channel], np.float32)


class PlacedGeometry(Geometry):
    """The geometry of batches that a loader has brought to the network's input already."""

    def images(self, tiles: Tensor, depths: Tensor) -> Tensor:
        """(B, C, height, width), as they are."""
        return tiles

    def masks(self, tiles: Tensor, soft: bool = False) -> Tensor:
        """(B, 1, height, width), as they are."""
        return tiles


def batches(
    folder: Path,
    ids: list[str],
    geometry: Geometry,
    transforms: tuple[Transform, ...],
    batch: int,
    workers: int,
    pin_memory: bool,
) -> Iterator[Batch]:
    """Batches of PNG tiles without end: images (B, C, height, width) and masks (B, 1, height, width), float32."""
    dataset = PngTiles(folder, ids, geometry, augment.create_augmentation(transforms))
    loader: DataLoader[Any] = DataLoader(
        dataset,
        batch,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        pin_memory=pin_memory,
        worker_init_fn=_one_thread,
    )
    while True:  # the original starts its workers anew in each epoch
        for images, masks in loader:
            yield Batch(images, masks, torch.zeros(len(images)))


def _one_thread(worker: int) -> None:
    cv2.setNumThreads(0)


def image_by_image(loss_of: Losses, terms: tuple[Loss, ...]) -> Losses:
    """The same loss as a loop over the images, if it is a mean over images; otherwise the loss itself."""
    if not all(term.name.startswith(OF_IMAGES) and term.name != "lovasz_non_empty" for term in terms):
        return loss_of

    def loss(outputs: Outputs, masks: Tensor, weights: Tensor | None = None) -> Tensor:
        losses = [
            loss_of({name: logits[[row]] for name, logits in outputs.items()}, masks[[row]], None)
            for row in range(len(masks))
        ]
        return torch.stack(losses).mean()

    return loss
