"""Batches of augmented tiles. Their order and changes depend on (seed, epoch, tile) only.

One loader serves all epochs of a phase, so its workers start once and prefetch across the ends of epochs.
"""

import atexit
import math
import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from salt.data.tiles import Tiles
from salt.runtime.signals import ignore_stop_signals
from salt.training import augment
from schemas.augmentation import Transform
from schemas.phases import Phase

Draw = tuple[int, int, int]  # epoch, permutation within the epoch, row of the tile
Drawn = tuple[npt.NDArray | np.float32, ...]  # what a draw leaves of a tile: the row of a batch


def stable_seed(*parts: int) -> int:
    """A 32-bit seed from several numbers: the same on every machine, unrelated for neighbouring numbers."""
    return int(np.random.SeedSequence((len(parts), *parts)).generate_state(1)[0])


class Batch(NamedTuple):
    """Tiles to train on or to validate on; row i of every field is the same tile.

    images: (B, H, W) grey or (B, H, W, 3) red, green, blue; uint8
    masks: (B, H, W) uint8 in {0, 1}, or in 0..255 if the training has soft masks
    depths: (B,) float32 in 0..1, NaN where unknown
    weights: (B,) float32 in 0..1, of the tiles' losses; None if all weigh the same
    """

    images: Tensor
    masks: Tensor
    depths: Tensor
    weights: Tensor | None = None

    def to(self, device: torch.device) -> "Batch":
        """The batch on a device."""
        parts = self._asdict().items()
        return Batch(**{name: part.to(device, non_blocking=True) for name, part in parts if part is not None})


def batch_of(tiles: Tiles, rows: slice | Sequence[int]) -> Batch:
    """A batch of unaugmented tiles that weigh the same."""
    return Batch(*(torch.from_numpy(array[rows]) for array in (*tiles.arrays, tiles.depths)))


@dataclass(frozen=True)
class TrainingTiles(Dataset[Drawn]):
    """Tiles with masks, as the fields of a Batch; each draw augments its tile independently."""

    tiles: Tiles
    augmentation: Any  # the albumentations pipeline
    seed: int

    def __len__(self) -> int:
        return len(self.tiles)

    def __getitem__(self, draw: Draw) -> Drawn:
        epoch, turn, row = draw
        images, masks = self.tiles.arrays
        seed = stable_seed(self.seed, epoch, turn, row)
        drawn = *augment.augment(self.augmentation, images[row], masks[row], seed), self.tiles.depths[row]
        return drawn if self.tiles.weights is None else (*drawn, self.tiles.weights[row])


class ResumableSampler(Sampler[list[Draw]]):
    """The batches of all epochs in order, from an epoch and a batch on. Subclasses say what an epoch's batches are."""

    epochs: int
    start: tuple[int, int]

    def epoch(self, epoch: int) -> list[list[Draw]]:
        """The batches of one epoch (0-based)."""
        raise NotImplementedError

    def __iter__(self) -> Iterator[list[Draw]]:
        first_epoch, first_batch = self.start
        for epoch in range(first_epoch, self.epochs):
            yield from self.epoch(epoch)[first_batch if epoch == first_epoch else 0 :]


def draw_rows(seed: Sequence[int], tiles: int, count: int, with_replacement: bool) -> list[tuple[int, int]]:
    """`count` rows of tiles at random, each with the number of its turn: no two draws are the same pair.

    They are permutations of all tiles, one after another, or, with replacement, rows that do not depend on each other.
    """
    if with_replacement:
        return list(enumerate(np.random.default_rng(seed).integers(tiles, size=count).tolist()))
    permutations = (np.random.default_rng([*seed, turn]).permutation(tiles) for turn in range(math.ceil(count / tiles)))
    return [(turn, int(row)) for turn, rows in enumerate(permutations) for row in rows][:count]


@dataclass(frozen=True)
class EpochSampler(ResumableSampler):
    """The batches of all epochs in order, drawn by `draw_rows`.

    A pass draws as many times as there are tiles, so it is one permutation, except for a control: its epoch may end
    within one. An epoch's incomplete last batch is dropped (different tiles each time), unless it is the only one.
    """

    tiles: int
    draws: int  # of a pass
    batch: int
    epochs: int
    passes: int
    seed: int
    start: tuple[int, int] = (0, 0)  # epoch and batch at which iteration begins
    with_replacement: bool = False

    @property
    def batches_per_epoch(self) -> int:
        """Steps per epoch."""
        return max(1, self.draws * self.passes // self.batch)

    def epoch(self, epoch: int) -> list[list[Draw]]:
        """The batches of one epoch (0-based)."""
        rows = draw_rows([self.seed, epoch], self.tiles, self.draws * self.passes, self.with_replacement)
        draws = [(epoch, *drawn) for drawn in rows]
        return [draws[start * self.batch :][: self.batch] for start in range(self.batches_per_epoch)]


@dataclass(frozen=True)
class QuotaSampler(ResumableSampler):
    """The batches of all epochs in order, each with a fixed number of tiles of each kind, drawn by `draw_rows`.

    kinds: number of tiles of each kind, and how many of them a batch holds; rows count through the kinds
    """

    kinds: tuple[tuple[int, int], ...]
    batches_per_epoch: int
    epochs: int
    seed: int
    start: tuple[int, int] = (0, 0)  # epoch and batch at which iteration begins
    with_replacement: bool = False

    def epoch(self, epoch: int) -> list[list[Draw]]:
        """The batches of one epoch (0-based)."""
        of_kinds = [(quota, self._draws(epoch, kind)) for kind, (_, quota) in enumerate(self.kinds)]
        return [
            [draw for quota, draws in of_kinds for draw in draws[number * quota :][:quota]]
            for number in range(self.batches_per_epoch)
        ]

    def _draws(self, epoch: int, kind: int) -> list[Draw]:
        """The draws of a kind in an epoch."""
        tiles, quota = self.kinds[kind]
        first = sum(before for before, _ in self.kinds[:kind])
        rows = draw_rows([self.seed, epoch, kind], tiles, self.batches_per_epoch * quota, self.with_replacement)
        return [(epoch, turn, first + row) for turn, row in rows]


def create_sampler(
    tiles: Tiles, draws: int, phase: Phase, labelled_share: float | None, seed: int, start: tuple[int, int]
) -> EpochSampler | QuotaSampler:
    """The sampler of a phase, from an epoch and a batch on.

    draws: of a pass
    labelled_share: of each batch, if the tiles are of both kinds, the labelled first; None: all tiles are alike. Its
        epochs have as many batches either way.
    """
    epochs, passes = phase.schedule.most_epochs, phase.passes_per_epoch
    alike = EpochSampler(len(tiles), draws, phase.batch, epochs, passes, seed, start, phase.with_replacement)
    others = len(tiles) - tiles.labelled
    if labelled_share is None or 0 in (tiles.labelled, others):
        return alike
    quota = min(max(1, round(labelled_share * phase.batch)), phase.batch - 1)
    kinds = ((tiles.labelled, quota), (others, phase.batch - quota))
    return QuotaSampler(kinds, alike.batches_per_epoch, alike.epochs, seed, start, phase.with_replacement)


def create_loader(
    tiles: Tiles,
    augmentation: Sequence[Transform],
    sampler: EpochSampler | QuotaSampler,
    workers: int,
    pin_memory: bool,
) -> DataLoader[Any]:
    """A loader of batches over all epochs of the sampler."""
    dataset = TrainingTiles(tiles, augment.create_augmentation(augmentation), sampler.seed)
    return load(dataset, Batch, sampler, workers, pin_memory)


def load(
    dataset: Dataset[Drawn],
    kind: Callable[..., NamedTuple],
    sampler: EpochSampler | QuotaSampler,
    workers: int,
    pin_memory: bool,
) -> DataLoader[Any]:
    """A loader of a dataset; each batch is a `kind` of the stacked fields of its draws."""
    atexit.register(_end_workers)
    return DataLoader(
        dataset,
        batch_sampler=sampler,
        num_workers=workers,
        collate_fn=partial(_stack, kind),
        worker_init_fn=_set_up_worker,
        pin_memory=pin_memory,
    )


def _stack(kind: Callable[..., NamedTuple], drawn: Sequence[Drawn]) -> NamedTuple:
    return kind(*(torch.from_numpy(np.stack(arrays)) for arrays in zip(*drawn, strict=True)))


def _end_workers() -> None:
    """At the program's end, before multiprocessing's own exit: it sends TERM, which workers ignore, and waits."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # torch's handler takes a dead worker for an error
    for worker in multiprocessing.active_children():
        worker.kill()


def _set_up_worker(worker: int) -> None:
    ignore_stop_signals()
    cv2.setNumThreads(0)  # one thread per worker; OpenCV would start one per core in each
