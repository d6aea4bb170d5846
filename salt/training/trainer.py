"""Training of one network through its phases (recipe 7), from a checkpoint on where there is one."""

import math
import signal
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from salt.data.tiles import Tiles
from salt.inference.weights import State, copy_state
from salt.runtime.device import describe, faults_of_the_machine
from salt.runtime.progress import Clock, say
from salt.runtime.signals import Interrupted, stop_requests
from salt.scores import metric
from salt.training import schedules
from salt.training.checkpoints import Checkpoints
from salt.training.loader import batch_of
from salt.training.steps import PhaseSteps, Setting
from salt.training.timings import Timing, kind
from schemas.errors import UserError
from schemas.training import Phase

MOST_ON_CHECKPOINTS = 0.02  # of a training's time, but for those at the ends of cycles


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


class Best:
    """The best weights so far, as a copy. Where nothing is held out (score NaN), the latest are the best."""

    def __init__(self, score: float = -math.inf, state: State | None = None) -> None:
        self.score, self.state = score, state or {}

    def beaten_by(self, score: float) -> bool:
        """Whether weights of this score are better than all before."""
        return math.isnan(score) or score > self.score


@dataclass
class Training:
    """What a training has so far, and leaves in the end.

    snapshots: weights by name (`phase1`, `phase2_cycle1` ...) on the CPU
    phase: the phase at hand, from 1; of_phase, of_cycle: its best weights
    losses: of the steps done of the epoch at hand, on the device
    seconds: spent up to the last save, over all parts of a training that was stopped and went on
    """

    snapshots: dict[str, State] = field(default_factory=dict)
    history: list[Epoch] = field(default_factory=list)
    phase: int = 1
    of_phase: Best = field(default_factory=Best)
    of_cycle: Best = field(default_factory=Best)
    losses: list[Tensor] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def scores(self) -> list[float]:
        """Scores of the epochs done of the phase at hand."""
        return [epoch.score for epoch in self.history if epoch.phase == self.phase]

    def offer(self, score: float, network: nn.Module) -> None:
        """Take the network's weights for the best ones where they are."""
        beaten = [best for best in (self.of_phase, self.of_cycle) if best.beaten_by(score)]
        state = copy_state(network) if beaten else {}
        for best in beaten:
            best.score, best.state = score, state

    def table(self) -> pd.DataFrame:
        """The history as a table."""
        return pd.DataFrame([asdict(epoch) for epoch in self.history])

    def facts(self, losses: list[float]) -> dict[str, Any]:
        """All but the tensors, for a checkpoint."""
        history = [asdict(epoch) for epoch in self.history]
        scores = {"of_phase": self.of_phase.score, "of_cycle": self.of_cycle.score}
        return {"phase": self.phase, "losses": losses, "scores": scores, "history": history, "seconds": self.seconds}

    def states(self) -> dict[str, State]:
        """The weights, for a checkpoint."""
        snapshots = {f"snapshot {name}": state for name, state in self.snapshots.items()}
        return {"of_phase": self.of_phase.state, "of_cycle": self.of_cycle.state, **snapshots}

    @classmethod
    def of(cls, facts: Mapping[str, Any], states: Mapping[str, State], device: torch.device) -> "Training":
        """The training that a checkpoint holds."""
        return cls(
            {name.removeprefix("snapshot "): state for name, state in states.items() if name.startswith("snapshot ")},
            [Epoch(**row) for row in facts["history"]],
            facts["phase"],
            Best(facts["scores"]["of_phase"], states["of_phase"]),
            Best(facts["scores"]["of_cycle"], states["of_cycle"]),
            [torch.tensor(loss, device=device) for loss in facts["losses"]],
            facts["seconds"],
        )


class Trainer:
    """Trains one network on tiles, validating on the held-out ones where there are any.

    held_out: None while pretraining
    checkpoints: open; None keeps none
    Raises UserError where the network cannot take tiles of this geometry, or there are fewer than a batch.
    """

    def __init__(self, setting: Setting, held_out: Tiles | None, checkpoints: Checkpoints | None = None) -> None:
        if wrong := [side for side in setting.geometry.shape if side % setting.network.stride]:
            raise UserError(
                f"Expected an input whose side divides by {setting.network.stride}, as this network needs, and found "
                f"{wrong[0]} px. Set `resize` or `pad` of the model's `input`."
            )
        self._check_batches(setting, held_out)
        self.setting, self.held_out, self.checkpoints = setting, held_out, checkpoints
        setting.network.to(setting.device).to(memory_format=torch.channels_last)
        self.phases = setting.settings.phases
        self.training = Training()

    def _check_batches(self, setting: Setting, held_out: Tiles | None) -> None:
        """How many pseudo-labels are selected, nobody knows before: a pretraining takes what there is."""
        for number, phase in enumerate(setting.settings.phases, 1):
            if phase.batch > len(setting.tiles):
                text = (
                    f"Expected at least the {phase.batch} tiles of a batch of phase {number} to train on, and found "
                    f"{len(setting.tiles)}."
                )
                if held_out is not None:
                    raise UserError(f"{text} Lower `batch` of this phase.")
                say(f"Warning: {text} Each step takes all of them; lower `batch`, or the set's `min_confidence`.")

    def run(self) -> Training:
        """Train through all phases, each from the best weights of the one before.

        Raises UserError when the loss is no longer a finite number or the machine is too small, Interrupted after
        TERM or Ctrl-C.
        """
        found = self.checkpoints.load() if self.checkpoints else None
        states: dict[str, dict[str, Tensor]] = {}
        if found:
            facts, states = found
            self.training = Training.of(facts, states, self.setting.device)
            epoch, step = len(self.training.scores) + 1, len(self.training.losses) + 1
            say(f"goes on from a checkpoint: phase {self.training.phase}, epoch {epoch}, step {step}")
        self.clock, self.passes_done = Clock(), 0
        self.started = self.clock.start - self.training.seconds
        self._wait_for_next(spent=0)
        with stop_requests() as self.wish, faults_of_the_machine():
            for number in range(self.training.phase, len(self.phases) + 1):
                self._phase(number, states)
                states = {}
        return self.training

    def timing(self) -> Timing:
        """What the training took, for the estimate of others."""
        setting, history = self.setting, self.training.history
        passes = sum(self.phases[epoch.phase - 1].passes_per_epoch for epoch in history)
        weights = sum(value.nbytes for value in setting.network.state_dict().values())
        return Timing(
            kind(setting.settings.network),
            setting.geometry.shape,
            passes * len(setting.tiles),
            self.training.seconds,
            weights,
            describe(setting.device),
        )

    def _phase(self, number: int, states: dict[str, dict[str, Tensor]]) -> None:
        """Train through one phase, keep its snapshots, and put the phase's best weights into the network.

        states: of the checkpoint that the phase goes on from; none where it starts
        """
        training, phase = self.training, self.phases[number - 1]
        if not states:
            training.phase, training.of_phase, training.of_cycle = number, Best(), Best()
        steps = PhaseSteps(self.setting, number, len(training.scores), len(training.losses))
        if states:
            steps.load(states)
        while not schedules.is_over(phase.schedule, training.scores):
            self._epoch(steps)
            if schedules.ends_cycle(phase.schedule, training.scores):
                training.snapshots[self._cycles_left()[0]] = training.of_cycle.state
                training.of_cycle = Best()
                self._save(steps)
            self._save_if_due(steps)
        self.setting.network.load_state_dict(training.of_phase.state)

    def _cycles_left(self) -> list[str]:
        """Names of the snapshots that the phase at hand has not left yet."""
        names = self.phases[self.training.phase - 1].snapshots(self.training.phase)
        return [name for name in names if name not in self.training.snapshots]

    def _epoch(self, steps: PhaseSteps) -> None:
        """Train through the rest of an epoch, validate, and add a row to the history."""
        training, phase, scores = self.training, steps.phase, self.training.scores
        cycle = 1 + len(phase.snapshots(training.phase)) - len(self._cycles_left())
        start, done = time.monotonic(), len(training.losses)
        for _ in steps.epoch(scores, training.losses):
            self._save_if_due(steps)
        speed = (len(training.losses) - done) * phase.batch / (time.monotonic() - start)
        loss = float(np.mean(steps.check(len(scores), training.losses)))
        lr = schedules.learning_rate(phase.schedule, phase.optimizer.lr, scores, 0)
        held_out_loss, score = self._validate(steps)
        epoch = Epoch(training.phase, cycle, len(scores) + 1, lr, loss, held_out_loss, score)
        training.history.append(epoch)
        training.losses = []
        training.offer(score, steps.average.network)
        say(f"{self._line(epoch, phase)} | {speed:.0f} images/s | {self._time_left(phase)} left")

    @torch.inference_mode()
    def _validate(self, steps: PhaseSteps) -> tuple[float, float]:
        """Mean loss and score of the held-out tiles, without augmentation and TTA; NaN where nothing is held out."""
        if self.held_out is None:
            return math.nan, math.nan
        network = steps.average.network.eval()
        losses, scores = [], []
        size = self.setting.compute.predict_batch
        for start in range(0, len(self.held_out), size):
            batch = batch_of(self.held_out, slice(start, start + size))
            outputs, loss = steps.loss(network, batch)
            salt = self.setting.geometry.probabilities(outputs["mask"]) > 0.5
            losses.append(loss.item() * len(salt))
            scores.append(metric.score(salt.cpu().numpy().astype(np.uint8), batch.masks.numpy()))
        return sum(losses) / len(self.held_out), float(np.concatenate(scores).mean())

    # Checkpoints ----------------------------------------------------------------------------------------------

    def _save_if_due(self, steps: PhaseSteps) -> None:
        """Write a checkpoint when it is time, or when the program is asked to stop, which it then does."""
        if self.wish.signal_number:
            self._save(steps)
            where = f"phase {self.training.phase}, epoch {len(self.training.scores) + 1}"
            kept = f"A checkpoint is in {self.checkpoints.folder}; the" if self.checkpoints else "The"
            name = signal.Signals(self.wish.signal_number).name
            raise Interrupted(f"Stopped by {name} in {where}. {kept} same command goes on.", self.wish.signal_number)
        if time.monotonic() >= self.due:
            self._save(steps)

    def _save(self, steps: PhaseSteps) -> None:
        start = time.monotonic()
        self.training.seconds = start - self.started
        if self.checkpoints is None:
            return
        losses = steps.check(len(self.training.scores), self.training.losses)
        if steps.is_finite():  # else the next step's loss is not, and the checkpoint from before is wanted
            self.checkpoints.save(self.training.facts(losses), steps.states() | self.training.states())
        self._wait_for_next(spent=time.monotonic() - start)

    def _wait_for_next(self, spent: float) -> None:
        """Put the next checkpoint off as configured, and longer where they take more than their share of the time."""
        pause = self.setting.compute.checkpoint_seconds
        self.due = time.monotonic() + (max(pause, spent / MOST_ON_CHECKPOINTS) if pause else 0)

    # Words ----------------------------------------------------------------------------------------------------

    def _line(self, epoch: Epoch, phase: Phase) -> str:
        of_epochs = f"epoch {epoch.epoch}/{phase.schedule.most_epochs}"
        text = f"phase {epoch.phase}/{len(self.phases)} {phase.loss_words} | {of_epochs} | lr {epoch.lr:.2g}"
        text += f" | loss {epoch.loss:.4f}"
        if math.isnan(epoch.score):
            return text
        best = self.training.of_phase.score
        return f"{text} | held-out loss {epoch.held_out_loss:.4f} score {epoch.score:.4f} best {best:.4f}"

    def _time_left(self, phase: Phase) -> str:
        self.passes_done += phase.passes_per_epoch
        ahead = [later.schedule.most_epochs * later.passes_per_epoch for later in self.phases]
        done_of_phase = len(self.training.scores) * phase.passes_per_epoch
        return self.clock.left(self.passes_done, sum(ahead[self.training.phase - 1 :]) - done_of_phase)
