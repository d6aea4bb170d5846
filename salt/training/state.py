"""The state of a training: its history and the weights that it keeps, as a checkpoint holds them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import torch
from torch import Tensor, nn

from salt.inference import snapshots
from salt.inference.snapshots import KeptSnapshot
from salt.inference.weight_files import State, copy_state
from salt.runtime.progress import Clock
from schemas.phases import Phase


@dataclass(frozen=True)
class Epoch:
    """One row of the history. phase, cycle and epoch count from 1; lr is the rate of its first step."""

    phase: int
    cycle: int
    epoch: int
    lr: float
    loss: float  # mean over the epoch's steps, with augmentation and dropout
    held_out_loss: float  # NaN if nothing is held out
    score: float  # the competition's, of the held-out tiles at threshold 0.5; NaN if nothing is held out

    @property
    def key(self) -> str:
        """Its unique name within the training."""
        return f"phase {self.phase} epoch {self.epoch}"

    @property
    def curves(self) -> dict[str, float]:
        """Its values by their names in TensorBoard, without those of held-out tiles if there are none."""
        values = {
            "loss/training": self.loss,
            "loss/held out": self.held_out_loss,
            "score/held out": self.score,
            "schedule/learning rate": self.lr,
            "schedule/phase": self.phase,
            "schedule/cycle": self.cycle,
        }
        return {name: value for name, value in values.items() if not math.isnan(value)}


@dataclass
class TrainingState:
    """What a training has produced so far, and leaves in the end.

    phase: the current phase, from 1
    weights: by `Epoch.key`, on the CPU: those of the snapshots so far, and the best of the current phase and, if a
        cycle starts from them, of the current cycle
    losses: of the finished steps of the current epoch, on the device
    seconds: spent up to the last save, over all parts of a training that was stopped and resumed
    """

    history: list[Epoch] = field(default_factory=list)
    phase: int = 1
    weights: dict[str, State] = field(default_factory=dict)
    losses: list[Tensor] = field(default_factory=list)
    seconds: float = 0.0

    def epochs(self, phase: int) -> list[Epoch]:
        """The finished epochs of a phase."""
        return [epoch for epoch in self.history if epoch.phase == phase]

    @property
    def scores(self) -> list[float]:
        """Scores of the finished epochs of the current phase."""
        return [epoch.score for epoch in self.epochs(self.phase)]

    @property
    def best(self) -> Epoch:
        """The best epoch of the current phase; if nothing is held out, the latest."""
        return snapshots.best(self.epochs(self.phase), 1)[0]

    @property
    def best_of_cycle(self) -> Epoch:
        """The best epoch of the latest cycle with an epoch; if nothing is held out, the latest."""
        epochs = self.epochs(self.phase)
        return snapshots.best([epoch for epoch in epochs if epoch.cycle == epochs[-1].cycle], 1)[0]

    def end_epoch(self, epoch: Epoch, network: nn.Module, phases: Sequence[Phase]) -> None:
        """Add an epoch; copy the network's weights if they are kept, and drop those they replace."""
        self.history.append(epoch)
        self.losses = []
        done = phases[: self.phase]
        chosen = [kept for number, phase in enumerate(done, 1) for kept in self._chosen(phase, number)]
        passed_on = [self.best, self.best_of_cycle] if done[-1].restarts_by_score else [self.best]
        wanted = {kept.key for kept in (*chosen, *passed_on)}
        if epoch.key in wanted:
            self.weights[epoch.key] = copy_state(network)
        self.weights = {key: state for key, state in self.weights.items() if key in wanted}

    def kept(self, phases: Sequence[Phase]) -> dict[KeptSnapshot, State]:
        """The snapshots that the phases kept, with their weights. Call this after the last phase."""
        return {
            KeptSnapshot(name, epoch.phase, epoch.cycle, epoch.epoch, epoch.score): self.weights[epoch.key]
            for number, phase in enumerate(phases, 1)
            for name, epoch in zip(
                phase.snapshots_after(number, len(self.epochs(number))), self._chosen(phase, number), strict=True
            )
        }

    def _chosen(self, phase: Phase, number: int) -> list[Epoch]:
        return snapshots.retained(phase.keep, self.epochs(number))

    # In a checkpoint ------------------------------------------------------------------------------------------

    def facts(self, losses: Sequence[float]) -> dict[str, Any]:
        """All but the weights, for JSON. losses: the state's, as numbers."""
        history = [asdict(epoch) for epoch in self.history]
        return {"phase": self.phase, "losses": list(losses), "history": history, "seconds": self.seconds}

    @classmethod
    def of(cls, facts: Mapping[str, Any], tensors: Mapping[str, State], device: torch.device) -> Self:
        """Restore a checkpoint's state. Tensors without an epoch's key belong to the next step and are ignored."""
        history = [Epoch(**row) for row in facts["history"]]
        weights = {epoch.key: tensors[epoch.key] for epoch in history if epoch.key in tensors}
        losses = [torch.tensor(loss, device=device) for loss in facts["losses"]]
        return cls(history, facts["phase"], weights, losses, facts["seconds"])


class Pace:
    """Estimates the rest of a training from the pace of this program's part of it."""

    def __init__(self, phases: Sequence[Phase]) -> None:
        self.phases, self.clock, self.work_done = phases, Clock(), 0.0

    def left(self, state: TrainingState) -> str:
        """Text with the most time left; call this at the end of each epoch."""
        phase = self.phases[state.phase - 1]
        self.work_done += phase.work_per_epoch
        ahead = [later.schedule.most_epochs * later.work_per_epoch for later in self.phases[state.phase - 1 :]]
        return self.clock.left(self.work_done, sum(ahead) - len(state.scores) * phase.work_per_epoch)
