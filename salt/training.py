"""Training of one network through its phases (recipe 7): each a loss, an optimizer and a schedule."""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor, nn

from models.losses import create_loss
from salt import metric, schedules
from salt.device import autocast
from salt.geometry import Geometry
from salt.loader import EpochSampler, create_loader, stable_seed
from salt.program import UserError
from salt.progress import Clock, say
from salt.weights import State, copy_state
from schemas.config import Compute, Optimizer, Phase, Transform

Arrays = tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]  # images and masks, both (n, H, W), masks in {0, 1}


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


@dataclass
class Training:
    """What a training leaves: weights by name (`phase1`, `phase2_cycle1` ...) on the CPU, and its history."""

    snapshots: dict[str, State] = field(default_factory=dict)
    history: list[Epoch] = field(default_factory=list)

    def table(self) -> pd.DataFrame:
        """The history as a table."""
        return pd.DataFrame([asdict(epoch) for epoch in self.history])


class Best:
    """The best weights so far, as a copy. Where nothing is held out (score NaN), the latest are the best."""

    def __init__(self) -> None:
        self.score = -math.inf
        self.state: State = {}

    def offer(self, score: float, network: nn.Module) -> None:
        """Take the network's weights if they score higher than all before."""
        if math.isnan(score) or score > self.score:
            self.score, self.state = score, copy_state(network)


class Trainer:
    """Trains one network on tiles, validating on the held-out ones where there are any.

    network: gives the outputs of `models`
    held_out: None while pretraining
    seed: data order, augmentation and dropout are functions of (seed, phase, epoch, tile)
    """

    def __init__(
        self,
        network: nn.Module,
        geometry: Geometry,
        tiles: Arrays,
        held_out: Arrays | None,
        augmentation: Sequence[Transform],
        compute: Compute,
        device: torch.device,
        seed: int,
    ) -> None:
        self.network = network.to(device).to(memory_format=torch.channels_last)
        self.geometry = geometry
        self.tiles, self.held_out = tiles, held_out
        self.augmentation = augmentation
        self.compute, self.device, self.seed = compute, device, seed
        self.result = Training()

    def run(self, phases: Sequence[Phase]) -> Training:
        """Train through all phases, each from the best weights of the one before.

        Raises UserError when the loss is no longer a finite number.
        """
        passes = [schedules.most_epochs(phase.schedule) * phase.passes_per_epoch for phase in phases]
        self.clock, self.passes_done = Clock(), 0
        for number, phase in enumerate(phases, 1):
            title = f"phase {number}/{len(phases)} {phase.loss}"
            self._phase(number, phase, title, passes_ahead=sum(passes[number - 1 :]))
        return self.result

    def _phase(self, number: int, phase: Phase, title: str, passes_ahead: int) -> None:
        """Train through one phase, keep its snapshots, and put the phase's best weights into the network."""
        steps = PhaseSteps(self, phase, stable_seed(self.seed, number))
        names = phase.snapshots(number)
        of_phase, of_cycle, cycle, scores = Best(), Best(), 1, list[float]()
        while not schedules.is_over(phase.schedule, scores):
            lr = schedules.learning_rate(phase.schedule, phase.optimizer.lr, scores, 0)
            start = time.monotonic()
            loss = steps.epoch(scores)
            speed = steps.sampler.batches_per_epoch * phase.batch / (time.monotonic() - start)
            held_out_loss, score = self._validate(steps)
            epoch = Epoch(number, cycle, len(scores) + 1, lr, loss, held_out_loss, score)
            self.result.history.append(epoch)
            scores.append(score)
            of_phase.offer(score, self.network)
            of_cycle.offer(score, self.network)
            self.passes_done += phase.passes_per_epoch
            left = self.clock.left(self.passes_done, passes_ahead - len(scores) * phase.passes_per_epoch)
            say(f"{title} | {_line(epoch, phase, of_phase.score)} | {speed:.0f} images/s | {left} left")
            if schedules.ends_cycle(phase.schedule, scores):
                self.result.snapshots[names[cycle - 1]] = of_cycle.state
                of_cycle, cycle = Best(), cycle + 1
        self.network.load_state_dict(of_phase.state)

    @torch.inference_mode()
    def _validate(self, steps: "PhaseSteps") -> tuple[float, float]:
        """Mean loss and score of the held-out tiles, without augmentation and TTA; NaN where nothing is held out."""
        if self.held_out is None:
            return math.nan, math.nan
        self.network.eval()
        images, masks = self.held_out
        losses, scores = [], []
        for start in range(0, len(images), self.compute.predict_batch):
            rows = slice(start, start + self.compute.predict_batch)
            outputs, loss = steps.loss(torch.from_numpy(images[rows]), torch.from_numpy(masks[rows]))
            salt = self.geometry.probabilities(outputs["mask"]) > 0.5
            losses.append(loss.item() * len(salt))
            scores.append(metric.score(salt.cpu().numpy().astype(np.uint8), masks[rows]))
        return sum(losses) / len(images), float(np.concatenate(scores).mean())


class PhaseSteps:
    """The steps of one phase: its batches, loss and optimizer."""

    def __init__(self, trainer: Trainer, phase: Phase, seed: int) -> None:
        self.network, self.geometry, self.device = trainer.network, trainer.geometry, trainer.device
        self.phase, self.seed = phase, seed
        epochs = schedules.most_epochs(phase.schedule)
        self.sampler = EpochSampler(len(trainer.tiles[0]), phase.batch, epochs, phase.passes_per_epoch, seed)
        workers, pin = trainer.compute.loader_workers, self.device.type == "cuda"
        self.batches = iter(create_loader(*trainer.tiles, trainer.augmentation, self.sampler, workers, pin))
        self.loss_of = create_loss(phase.loss)
        self.optimizer = create_optimizer(self.network, phase.optimizer)

    def loss(self, images: Tensor, masks: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """The network's outputs and the loss of a batch, images and masks (B, H, W) uint8."""
        images = images.to(self.device, non_blocking=True)
        masks = self.geometry.masks(masks.to(self.device, non_blocking=True))
        with autocast(self.device):
            outputs = self.network(self.geometry.images(images).contiguous(memory_format=torch.channels_last))
        return outputs, self.loss_of(outputs, masks)

    def epoch(self, scores: Sequence[float]) -> float:
        """Train through the next epoch, after those that scored `scores`; gives the mean loss of its steps."""
        torch.manual_seed(stable_seed(self.seed, len(scores)))  # for dropout
        self.network.train()
        count = self.sampler.batches_per_epoch
        total = torch.zeros((), device=self.device)
        for step, (images, masks) in enumerate(_take(self.batches, count)):
            lr = schedules.learning_rate(self.phase.schedule, self.phase.optimizer.lr, scores, step / count)
            for group in self.optimizer.param_groups:
                group["lr"] = lr
            self.optimizer.zero_grad()
            _, loss = self.loss(images, masks)
            loss.backward()
            self.optimizer.step()
            total += loss.detach()  # read once an epoch: each read would make the CPU wait for the GPU
        mean = total.item() / count
        if not math.isfinite(mean):
            raise UserError(
                f"The training loss ({self.phase.loss}) became {mean} in epoch {len(scores) + 1}. Expected a finite "
                f"number. Try a smaller learning rate than {self.phase.optimizer.lr:g}, or a larger batch."
            )
        return mean


def create_optimizer(network: nn.Module, settings: Optimizer) -> torch.optim.Optimizer:
    """The optimizer of a phase; its learning rate is set before each step."""
    parameters, decay = network.parameters(), settings.weight_decay
    match settings.name:
        case "sgd":
            return torch.optim.SGD(parameters, settings.lr, momentum=settings.momentum, weight_decay=decay)
        case "rmsprop":  # Keras' constants: the ResNeXt50 author's framework
            return torch.optim.RMSprop(parameters, settings.lr, alpha=0.9, eps=1e-7, weight_decay=decay)
        case "adamw":
            return torch.optim.AdamW(parameters, settings.lr, weight_decay=decay)


def _take(batches: Iterator[tuple[Tensor, Tensor]], count: int) -> Iterator[tuple[Tensor, Tensor]]:
    for _ in range(count):
        yield next(batches)


def _line(epoch: Epoch, phase: Phase, best: float) -> str:
    text = f"epoch {epoch.epoch}/{schedules.most_epochs(phase.schedule)} | lr {epoch.lr:.2g} | loss {epoch.loss:.4f}"
    if math.isnan(epoch.score):
        return text
    return f"{text} | held-out loss {epoch.held_out_loss:.4f} score {epoch.score:.4f} best {best:.4f}"
