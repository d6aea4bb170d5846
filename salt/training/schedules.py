"""The learning rate, the cycles and the end of a phase: pure functions of its schedule and scores so far.

`scores` are those of the finished epochs, higher is better. Their count is the next epoch's 0-based number.
"""

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

from schemas.phases import Swa
from schemas.schedules import Cosine, Plateau, Triangular2

Schedule = Cosine | Plateau | Triangular2


def learning_rate(schedule: Schedule, top: float, scores: Sequence[float], fraction: float) -> float:
    """Learning rate at `fraction` (0..1) of the next epoch; `top` is the largest rate."""
    if isinstance(schedule, Plateau):
        return plateau(schedule, top, scores).lr
    if isinstance(schedule, Cosine):
        return cosine(schedule, top, len(scores) + (fraction if schedule.interval == "step" else 0))
    return triangular2(schedule, top, len(scores) + fraction)


def ends_cycle(schedule: Schedule, scores: Sequence[float]) -> bool:
    """Whether the last epoch ended a cycle. A plateau is one cycle."""
    if isinstance(schedule, Plateau):
        return is_over(schedule, scores)
    return len(scores) in itertools.accumulate(schedule.cycles)


def cycle(schedule: Schedule, scores: Sequence[float]) -> int:
    """The cycle (from 1) of the next epoch."""
    if isinstance(schedule, Plateau):
        return 1
    return 1 + sum(end <= len(scores) for end in itertools.accumulate(schedule.cycles))


def is_over(schedule: Schedule, scores: Sequence[float]) -> bool:
    """Whether the phase has ended."""
    return len(scores) >= schedule.most_epochs or (isinstance(schedule, Plateau) and plateau(schedule, 1, scores).stop)


def cosine(schedule: Cosine, top: float, epoch: float) -> float:
    """Learning rate at `epoch` (0-based, fractional): SGDR (Loshchilov & Hutter 2017, eq. 5)."""
    _, position = _cycle(schedule.cycles, epoch)
    return schedule.min_lr + (top - schedule.min_lr) * (1 + math.cos(math.pi * position)) / 2


def triangular2(schedule: Triangular2, top: float, epoch: float) -> float:
    """Learning rate at `epoch` (0-based, fractional): Smith 2017, section 3.2."""
    cycle, position = _cycle(schedule.cycles, epoch)
    return schedule.min_lr + (top - schedule.min_lr) * (1 - abs(2 * position - 1)) / 2**cycle


def _cycle(lengths: Sequence[int], epoch: float) -> tuple[int, float]:
    """The cycle (0-based) of `epoch` and the position in it, 0..1; after all cycles, the end of the last."""
    start = 0.0
    for cycle, length in enumerate(lengths):
        if epoch < start + length:
            return cycle, (epoch - start) / length
        start += length
    return len(lengths) - 1, 1.0


def joins_average(average: Swa, epochs_done: int) -> bool:
    """Whether the average includes the weights at the end of the epoch just done."""
    return epochs_done >= average.start and (epochs_done - average.start) % average.every == 0


class PlateauState(NamedTuple):
    """The learning rate of the next epoch, and whether the phase stops because its score stalled."""

    lr: float
    stop: bool


def plateau(schedule: Plateau, top: float, scores: Sequence[float]) -> PlateauState:
    """State after epochs with these scores, as in Keras' ReduceLROnPlateau and EarlyStopping.

    Only the first has a min_delta in the original; so a slow rise ends no phase, but reduces its rate.
    """
    lr, best, since_best, reference, since_cut = top, -math.inf, 0, -math.inf, 0
    for score in scores:
        since_best = 0 if score > best else since_best + 1
        best = max(best, score)
        if score > reference + schedule.min_delta:
            reference, since_cut = score, 0
            continue
        since_cut += 1
        if since_cut >= schedule.patience:
            lr, since_cut = max(lr * schedule.factor, schedule.min_lr), 0
    return PlateauState(lr, stop=since_best >= schedule.stop_after)
