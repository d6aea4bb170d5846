"""Batches of augmented tiles, in an order and with changes that depend on (seed, epoch, tile) alone.

One loader serves all epochs of a phase, so that its workers start once and run ahead across the ends of epochs.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from salt import augment
from schemas.config import Transform

Draw = tuple[int, int, int]  # epoch, pass within the epoch, row of the tile


def stable_seed(*parts: int) -> int:
    """A seed of 32 bits from several numbers: the same on every machine, unrelated for neighbouring numbers."""
    return int(np.random.SeedSequence((len(parts), *parts)).generate_state(1)[0])


@dataclass(frozen=True)
class TrainingTiles(Dataset[tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]]):
    """Tiles to train on: images and masks, both (n, H, W) uint8, masks in {0, 1}."""

    images: npt.NDArray[np.uint8]
    masks: npt.NDArray[np.uint8]
    augmentation: Any  # the albumentations pipeline
    seed: int

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, draw: Draw) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        epoch, turn, row = draw
        seed = stable_seed(self.seed, epoch, turn, row)
        return augment.augment(self.augmentation, self.images[row], self.masks[row], seed)


@dataclass(frozen=True)
class EpochSampler(Sampler[list[Draw]]):
    """Batches of all epochs one after another; each pass is a permutation of all tiles.

    A last incomplete batch of an epoch is left out (another few tiles each time), unless it is the only one.
    """

    tiles: int
    batch: int
    epochs: int
    passes: int
    seed: int

    @property
    def batches_per_epoch(self) -> int:
        """Steps an epoch."""
        return max(1, self.tiles * self.passes // self.batch)

    def epoch(self, epoch: int) -> list[list[Draw]]:
        """The batches of one epoch (0-based)."""
        draws = [
            (epoch, turn, int(row))
            for turn in range(self.passes)
            for row in np.random.default_rng([self.seed, epoch, turn]).permutation(self.tiles)
        ]
        return [draws[start * self.batch :][: self.batch] for start in range(self.batches_per_epoch)]

    def __iter__(self) -> Iterator[list[Draw]]:
        for epoch in range(self.epochs):
            yield from self.epoch(epoch)


def create_loader(
    images: npt.NDArray[np.uint8],
    masks: npt.NDArray[np.uint8],
    augmentation: Sequence[Transform],
    sampler: EpochSampler,
    workers: int,
    pin_memory: bool,
) -> DataLoader[Any]:
    """A loader of (images, masks) batches, uint8 tensors (B, H, W), over all epochs of the sampler."""
    pipeline = augment.create_augmentation(augmentation)
    return DataLoader(
        TrainingTiles(images, masks, pipeline, sampler.seed),
        batch_sampler=sampler,
        num_workers=workers,
        collate_fn=_stack,
        worker_init_fn=_one_thread,
        pin_memory=pin_memory,
    )


def _stack(pairs: Sequence[tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]]) -> tuple[Tensor, Tensor]:
    images, masks = (torch.from_numpy(np.stack(arrays)) for arrays in zip(*pairs, strict=True))
    return images, masks


def _one_thread(worker: int) -> None:
    cv2.setNumThreads(0)  # a worker is one thread; OpenCV would start one a core in each
