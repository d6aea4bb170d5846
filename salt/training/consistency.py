"""Consistency training: a loss on unlabelled tiles (Tarvainen & Valpola 2017; FixMatch, Sohn et al. 2020).

A teacher predicts a tile's weak view; the network learns that prediction from the strong view. The views of a step
are functions of (seed, phase, epoch, step, tile), like everything that a training draws.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.data import Dataset

from models.losses import confident_bce
from salt.data.tiles import Tiles
from salt.runtime.device import autocast
from salt.training import augment
from salt.training.averaging import WeightAverage
from salt.training.loader import Draw, Drawn, QuotaSampler, load, stable_seed
from salt.training.mixup import mix
from salt.training.task import Task
from schemas.phases import Phase
from schemas.unlabelled import Consistency


class Views(NamedTuple):
    """Unlabelled tiles; row i of every field is the same tile.

    weak, strong: (B, H, W) grey or (B, H, W, 3) red, green, blue; uint8; a pixel shows the same place in both
    depths: (B,) float32 in 0..1, NaN where unknown
    """

    weak: Tensor
    strong: Tensor
    depths: Tensor


@dataclass(frozen=True)
class UnlabelledTiles(Dataset[Drawn]):
    """Tiles without masks, as the fields of Views; each draw has its own views."""

    tiles: Tiles
    weak: Any  # albumentations pipelines; the strong one continues from the weak view
    strong: Any
    seed: int

    def __len__(self) -> int:
        return len(self.tiles)

    def __getitem__(self, draw: Draw) -> Drawn:
        row, seed = draw[-1], stable_seed(self.seed, *draw)
        no_mask = np.zeros(self.tiles.images.shape[1:3], np.uint8)
        weak, _ = augment.augment(self.weak, self.tiles.images[row], no_mask, seed)
        strong, _ = augment.augment(self.strong, weak, no_mask, stable_seed(seed))
        return weak, strong, self.tiles.depths[row]


class ConsistencyLoss:
    """The loss of a phase on the unlabelled tiles of a task.

    The strong views are a forward pass of their own, in which batch norm uses their statistics but does not record
    them. So labelled tiles are normalised as without unlabelled ones, and the recorded statistics, by which the network
    predicts, are those of tiles without strong changes.
    """

    def __init__(
        self,
        task: Task,
        settings: Consistency,
        average: WeightAverage,
        sampler: QuotaSampler,
    ) -> None:
        self.task, self.settings, self.average = task, settings, average
        assert task.unlabelled is not None  # noqa: S101 (Task has checked it)
        weak, strong = (augment.create_augmentation(part) for part in (task.settings.augment, settings.augment))
        dataset = UnlabelledTiles(task.unlabelled, weak, strong, sampler.seed)
        self.batches = iter(load(dataset, Views, sampler, task.compute.loader_workers, task.device.type == "cuda"))

    @classmethod
    def of(
        cls, task: Task, phase: Phase, average: WeightAverage, steps: int, seed: int, start: tuple[int, int]
    ) -> Self | None:
        """The loss of a phase, if it has one. steps: of an epoch; start: epoch and step at which it begins."""
        if phase.consistency is None or task.settings.control:
            return None
        kinds = ((len(task.unlabelled or ()), phase.consistency.batch),)
        sampler = QuotaSampler(kinds, steps, phase.schedule.most_epochs, stable_seed(seed), start)
        return cls(task, phase.consistency, average, sampler)

    def loss(self, progress: float, seed: int) -> Tensor:
        """The loss of the next step with its weight. progress: share of the phase, 0..1; seed: of the mixing."""
        views = Views(*(part.to(self.task.device, non_blocking=True) for part in next(self.batches)))
        mixed = mix(views.strong, self._predict(views), self.settings.mix, stable_seed(seed))
        # Not in the teacher's autocast context: it caches half-precision weights without their gradients.
        with autocast(self.task.device), unrecorded_statistics(self.task.network.train()):
            logits = self.task.network(self.task.inputs(mixed.images, views.depths))["mask"]
        low, high, soft = self.settings.low, self.settings.high, self.settings.masks == "soft"
        losses = [
            share * confident_bce(logits.float(), self.task.geometry.place(part[:, None]), low, high, soft)
            for share, part in mixed.masks
        ]
        return self.settings.weight * ramp_up(progress, self.settings.ramp) * torch.stack(losses).sum()

    @torch.no_grad()
    def _predict(self, views: Views) -> Tensor:
        """The teacher's probabilities of the weak views, (B, H, W) float32."""
        teacher = self.average.network if self.settings.teacher == "average" else self.task.network
        with autocast(self.task.device):
            outputs = teacher.eval()(self.task.inputs(views.weak, views.depths))
        return self.task.geometry.probabilities(outputs["mask"])


def ramp_up(progress: float, length: float) -> float:
    """The weight's factor at `progress`, 0..1, of a phase: exp(-5 (1 - t)^2) (Laine & Aila 2017, section 2.1).

    length: share of the phase after which it is 1
    """
    return 1.0 if progress >= length else math.exp(-5 * (1 - progress / length) ** 2)


@contextmanager
def unrecorded_statistics(network: nn.Module) -> Iterator[None]:
    """Inside this context, batch norm in training mode leaves its running statistics alone."""
    norms = [module for module in network.modules() if isinstance(module, _BatchNorm) and module.track_running_stats]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True
