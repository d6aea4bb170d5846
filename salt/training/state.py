"""What a training has so far: its history and the weights that it keeps, as a checkpoint holds them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import torch
from torch import Tensor, nn

from salt.inference import snapshots
from salt.inference.snapshots import Kept
from salt.inference.weights import State, copy_state
from schemas.training import Phase


@dataclass(frozen=True)
class Epoch:
    """One row of the history. phase, cycle and epoch count from 1; lr is that of its first step."""

    phase: int
    cycle: int
    epoch: int
    lr: float
    loss: float  # mean over the epoch's steps, with augmentation and dropout
    held_out_loss: float  # NaN where nothing is held out
    score: float  # the competition's, at threshold 0.5, of the held-out tiles; NaN where nothing is held out

    @property
    def key(self) -> str:
        """What tells it from all others."""
        return f"phase {self.phase} epoch {self.epoch}"


@dataclass
class TrainingState:
    """What a training has so far, and leaves in the end.

    phase: the phase at hand, from 1
    weights: by `Epoch.key`, on the CPU: those of the snapshots so far, and the best ones of the phase at hand
    losses: of the steps done of the epoch at hand, on the device
    seconds: spent up to the last save, over all parts of a training that was stopped and went on
    """

    history: list[Epoch] = field(default_factory=list)
    phase: int = 1
    weights: dict[str, State] = field(default_factory=dict)
    losses: list[Tensor] = field(default_factory=list)
    seconds: float = 0.0

    def epochs(self, phase: int) -> list[Epoch]:
        """The epochs done of a phase."""
        return [epoch for epoch in self.history if epoch.phase == phase]

    @property
    def scores(self) -> list[float]:
        """Scores of the epochs done of the phase at hand."""
        return [epoch.score for epoch in self.epochs(self.phase)]

    @property
    def best(self) -> Epoch:
        """The best epoch of the phase at hand; where nothing is held out, the latest."""
        return snapshots.best(self.epochs(self.phase), 1)[0]

    def end_epoch(self, epoch: Epoch, network: nn.Module, phases: Sequence[Phase]) -> None:
        """Add an epoch; take a copy of the network's weights where they are kept, and forget those they replace."""
        self.history.append(epoch)
        self.losses = []
        done = phases[: self.phase]
        chosen = [kept for number, phase in enumerate(done, 1) for kept in self._chosen(phase, number)]
        wanted = {kept.key for kept in (*chosen, self.best)}
        if epoch.key in wanted:
            self.weights[epoch.key] = copy_state(network)
        self.weights = {key: state for key, state in self.weights.items() if key in wanted}

    def kept(self, phases: Sequence[Phase]) -> dict[Kept, State]:
        """The snapshots that the phases have left, with their weights. To be asked for when all of them have ended."""
        return {
            Kept(name, epoch.phase, epoch.cycle, epoch.epoch, epoch.score): self.weights[epoch.key]
            for number, phase in enumerate(phases, 1)
            for name, epoch in zip(
                phase.snapshots_after(number, len(self.epochs(number))), self._chosen(phase, number), strict=True
            )
        }

    def _chosen(self, phase: Phase, number: int) -> list[Epoch]:
        return snapshots.retained(phase.keep, self.epochs(number))

    # In a checkpoint ------------------------------------------------------------------------------------------

    def facts(self, losses: Sequence[float]) -> dict[str, Any]:
        """All but the weights, for JSON. losses: those of the state, as numbers."""
        history = [asdict(epoch) for epoch in self.history]
        return {"phase": self.phase, "losses": list(losses), "history": history, "seconds": self.seconds}

    @classmethod
    def of(cls, facts: Mapping[str, Any], tensors: Mapping[str, State], device: torch.device) -> Self:
        """The state that a checkpoint holds; its other tensors are those of the next step."""
        history = [Epoch(**row) for row in facts["history"]]
        weights = {epoch.key: tensors[epoch.key] for epoch in history if epoch.key in tensors}
        losses = [torch.tensor(loss, device=device) for loss in facts["losses"]]
        return cls(history, facts["phase"], weights, losses, facts["seconds"])
