"""Train one network through its phases (recipe 7): epochs, steps, validation, snapshots, checkpoints.

A training resumes from its checkpoint if there is one, and ends with the same bits as without the interruption.
"""

import math
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from models.losses import create_loss
from salt.curves.curves import Curves
from salt.inference.weight_files import State
from salt.runtime.device import autocast, faults_of_the_machine
from salt.runtime.progress import say
from salt.runtime.signals import Interrupted, StopRequest, stop_requests
from salt.scores import metric
from salt.training import schedules
from salt.training.averaging import WeightAverage
from salt.training.checkpoints import Checkpoints, Saver
from salt.training.consistency import ConsistencyLoss
from salt.training.loader import batch_of, create_loader, create_sampler, stable_seed
from salt.training.mixup import Mixed, mix
from salt.training.optimizers import create_optimizer, load_state, set_learning_rate, state_of
from salt.training.result import Fitted
from salt.training.state import Epoch, Pace, TrainingState
from salt.training.task import Task
from schemas.errors import UserError


@contextmanager
def fit(task: Task, folder: Path, curves: Path) -> Iterator[Fitted]:
    """Train with checkpoints and curves in folders of these; yield the result, to be written inside the context.

    The checkpoints are deleted when the context ends. If it fails, they stay, and the same command loses nothing.
    Waits while another process trains in the folder. Raises UserError if the loss is no longer a finite number or the
    machine is too small; Interrupted after TERM or Ctrl-C.
    """
    with Checkpoints(folder, task.fingerprint()) as checkpoints:
        yield train(task, checkpoints, curves)
        checkpoints.remove()


def train(task: Task, checkpoints: Checkpoints | None = None, curves: Path | None = None) -> Fitted:
    """Train through all phases, each from the best weights of the one before. Raises the errors of `fit`.

    checkpoints, curves: None writes none
    """
    task.network.to(task.device).to(memory_format=torch.channels_last)
    facts, tensors = (checkpoints.load() if checkpoints else None) or ({}, {})
    state = TrainingState.of(facts, tensors, task.device) if facts else TrainingState()
    if facts:
        epoch, step = len(state.scores) + 1, len(state.losses) + 1
        say(f"resumes from a checkpoint: phase {state.phase}, epoch {epoch}, step {step}")
    done = (epoch.curves for epoch in state.history)
    shown = Curves(curves, done, task.held_out, task.geometry, task.device)
    saver, pace = Saver(checkpoints, task.compute.checkpoint_seconds, state.seconds), Pace(task.settings.phases)
    with stop_requests() as request, faults_of_the_machine():
        for number in range(state.phase, len(task.settings.phases) + 1):
            state.phase = number
            PhaseTraining(task, state, tensors, saver, pace, request, shown).run()
            tensors = {}
    state.seconds = saver.seconds
    return Fitted(task, state)


class PhaseTraining:
    """The current phase of a training, from its present state to the end of the phase."""

    def __init__(
        self,
        task: Task,
        state: TrainingState,
        tensors: dict[str, dict[str, Tensor]],
        saver: Saver,
        pace: Pace,
        request: StopRequest,
        curves: Curves,
    ) -> None:
        """tensors: of the checkpoint that the phase resumes from; empty if it starts afresh."""
        self.task, self.state, self.saver, self.pace = task, state, saver, pace
        self.request, self.curves = request, curves
        self.phase, self.phase_seed = task.settings.phases[state.phase - 1], stable_seed(task.seed, state.phase)
        self.network, self.loss_of = task.network, create_loss(self.phase.losses)
        self.optimizer = create_optimizer(self.network, self.phase.optimizer)
        self.average = WeightAverage(self.network, self.phase.average)
        start = len(state.scores), len(state.losses)
        self.sampler = create_sampler(
            task.tiles, task.draws, self.phase, task.settings.labelled_share, self.phase_seed, start
        )
        workers, pin_memory = task.compute.loader_workers, task.device.type == "cuda"
        self.batches = iter(create_loader(task.tiles, task.settings.augment, self.sampler, workers, pin_memory))
        steps = self.sampler.batches_per_epoch
        self.consistency = ConsistencyLoss.of(task, self.phase, self.average, steps, self.phase_seed, start)
        if tensors:
            self.network.load_state_dict(tensors["network"])
            load_state(self.optimizer, tensors["optimizer"])
            self.average.load_state(tensors["average"])

    def run(self) -> None:
        """Train to the end of the phase, and load its best weights into the network."""
        state, schedule = self.state, self.phase.schedule
        while not schedules.is_over(schedule, state.scores):
            self._epoch()
            if schedules.ends_cycle(schedule, state.scores):
                self._restart()
                self._save()
            self._save_if_due()
        self.network.load_state_dict(state.weights[state.best.key])

    def _restart(self) -> None:
        """Make the changes with which the next cycle starts."""
        if self.phase.restarts_by_score:
            self.network.load_state_dict(self.state.weights[self.state.best_of_cycle.key])
            self.average.restart()
        if self.phase.schedule.restart.optimizer == "fresh":
            self.optimizer = create_optimizer(self.network, self.phase.optimizer)

    def _epoch(self) -> None:
        """Train to the end of an epoch, validate, add a row to the history, keep the weights if they are chosen."""
        state, scores, schedule = self.state, self.state.scores, self.phase.schedule
        start, done = time.monotonic(), len(state.losses)
        for step in range(done, self.sampler.batches_per_epoch):
            self._step(step, scores)
            self._save_if_due()
        self._update_epoch_average(len(scores))
        images = (len(state.losses) - done) * self.phase.batch
        speed = images / (time.monotonic() - start)
        loss = float(np.mean(self._finite_losses()))
        lr = schedules.learning_rate(schedule, self.phase.optimizer.lr, scores, 0)
        held_out_loss, score = self._validate()
        cycle = schedules.cycle(schedule, scores)
        epoch = Epoch(state.phase, cycle, len(scores) + 1, lr, loss, held_out_loss, score)
        state.end_epoch(epoch, self.average.network, self.task.settings.phases)
        ends_cycle = schedules.ends_cycle(schedule, [*scores, score])
        self.curves.add(epoch.curves, speed, self.average.network, epoch.epoch, ends_cycle)
        say(f"{self._summary(epoch)} | {speed:.0f} images/s | {self.pace.left(state)} left")

    def _step(self, step: int, scores: list[float]) -> None:
        """Take one step. The loss stays on the device: reading it would make the CPU wait for the GPU."""
        seed = stable_seed(self.phase_seed, len(scores), step)
        torch.manual_seed(seed)  # for dropout
        fraction = step / self.sampler.batches_per_epoch
        set_learning_rate(
            self.optimizer,
            schedules.learning_rate(self.phase.schedule, self.phase.optimizer.lr, scores, fraction),
        )
        self.optimizer.zero_grad()
        losses = []
        for loss in self._losses((len(scores) + fraction) / self.phase.schedule.most_epochs, seed):
            loss.backward()  # one at a time, so that only one part of the batch is in memory with its feature maps
            losses.append(loss.detach())
        self.optimizer.step()
        self.average.after_step()
        self.state.losses.append(torch.stack(losses).sum())

    def _losses(self, progress: float, seed: int) -> Iterator[Tensor]:
        """The terms of the next step's loss: of each part of its batch, then of its unlabelled tiles.

        progress: share of the phase, 0..1; seed: of the mixing
        """
        batch = next(self.batches).to(self.task.device)
        mixed = mix(batch.images, batch.masks, self.task.settings.mix, seed, batch.weights)
        for rows, part in mixed.parts(self.phase.accumulate):
            yield self._loss(self.network.train(), part, batch.depths[rows], self.task.tiles.soft)[1]
        if self.consistency:
            yield self.consistency.loss(progress, seed)

    def _loss(self, network: nn.Module, mixed: Mixed, depths: Tensor, soft: bool) -> tuple[dict[str, Tensor], Tensor]:
        """The network's outputs and the loss of tiles at depths (B,). soft: their masks."""
        with autocast(self.task.device):
            outputs = network(self.task.inputs(mixed.images, depths))
        losses = [
            share * self.loss_of(outputs, self.task.geometry.masks(part, soft), tile_weights)
            for (share, part), tile_weights in zip(mixed.masks, mixed.weights, strict=True)
        ]
        return outputs, torch.stack(losses).sum()

    def _update_epoch_average(self, epoch: int) -> None:
        """Add the weights at the end of an epoch (0-based) to the phase's average over epochs, if it has one."""
        torch.manual_seed(stable_seed(self.phase_seed, epoch, self.sampler.batches_per_epoch))
        batches = ([row for _, _, row in draws] for draws in self.sampler.epoch(epoch))
        plain = (batch_of(self.task.tiles, rows) for rows in batches)
        where = self.task.device
        self.average.after_epoch(
            epoch + 1, (self.task.inputs(batch.images.to(where), batch.depths.to(where)) for batch in plain)
        )

    @torch.inference_mode()
    def _validate(self) -> tuple[float, float]:
        """Mean loss and score of the held-out tiles, without augmentation and TTA; NaN if nothing is held out."""
        held_out, size = self.task.held_out, self.task.compute.predict_batch
        if held_out is None:
            return math.nan, math.nan
        network = self.average.network.eval()
        losses, scores = [], []
        for start in range(0, len(held_out), size):
            batch = batch_of(held_out, slice(start, start + size))
            tiles = batch.to(self.task.device)
            outputs, loss = self._loss(network, mix(tiles.images, tiles.masks), tiles.depths, held_out.soft)
            predicted = self.task.geometry.probabilities(outputs["mask"]) > 0.5
            losses.append(loss.item() * len(predicted))
            scores.append(metric.score(predicted.cpu().numpy().astype(np.uint8), batch.masks.numpy()))
        return sum(losses) / len(held_out), float(np.concatenate(scores).mean())

    def _finite_losses(self) -> list[float]:
        """The losses of the current epoch so far, as numbers. Raises UserError if one is not finite."""
        values = torch.stack(self.state.losses).tolist() if self.state.losses else []
        epoch = len(self.state.scores)
        for step, value in enumerate(values):
            if not math.isfinite(value):
                ids = self.task.ids(row for _, _, row in self.sampler.epoch(epoch)[step])
                raise UserError(
                    f"The training loss ({self.phase.loss_words}) became {value} in phase {self.state.phase}, epoch "
                    f"{epoch + 1}, step {step + 1} of {self.sampler.batches_per_epoch}. Expected a finite number. "
                    f"Lower the learning rate, now {self.phase.optimizer.lr:g}, or raise the batch; with changed "
                    f"settings this training starts afresh. The tiles of that step were {', '.join(ids)}."
                )
        return values

    # Checkpoints ----------------------------------------------------------------------------------------------

    def _save_if_due(self) -> None:
        """Write a checkpoint if one is due. Raises Interrupted after saving, if the program was asked to stop."""
        if self.request.signal_number:
            self._save()
            where = f"phase {self.state.phase}, epoch {len(self.state.scores) + 1}"
            name = signal.Signals(self.request.signal_number).name
            raise Interrupted(f"Stopped by {name} in {where}. {self.saver.how_to_resume}", self.request.signal_number)
        if self.saver.is_due:
            self._save()

    def _save(self) -> None:
        """Write a checkpoint for the next step; skip it if a weight is not finite, so that the last good one stays."""
        with self.saver.timed():
            losses = self._finite_losses()
            if all(bool(weight.isfinite().all()) for weight in self.network.parameters()):
                self.state.seconds = self.saver.seconds
                self.saver.save(self.state.facts(losses), self._next_step() | self.state.weights)

    def _next_step(self) -> dict[str, State]:
        """The tensors that the next step reads and changes."""
        network, average = self.network.state_dict(), self.average.state()
        return {"network": network, "optimizer": state_of(self.optimizer), "average": average}

    # Log ------------------------------------------------------------------------------------------------------

    def _summary(self, epoch: Epoch) -> str:
        number = f"phase {epoch.phase}/{len(self.task.settings.phases)} {self.phase.loss_words}"
        of_epochs = f"epoch {epoch.epoch}/{self.phase.schedule.most_epochs}"
        text = f"{number} | {of_epochs} | lr {epoch.lr:.2g} | loss {epoch.loss:.4f}"
        if math.isnan(epoch.score):
            return text
        best = self.state.best.score
        return f"{text} | held-out loss {epoch.held_out_loss:.4f} score {epoch.score:.4f} best {best:.4f}"
