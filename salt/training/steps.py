"""The steps of one phase of a training: its batches, loss, optimizer and average of weights."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models import Network
from models.losses import create_loss
from salt.data.tiles import Tiles
from salt.inference.geometry import Geometry
from salt.inference.weights import State
from salt.runtime.device import autocast
from salt.training import schedules
from salt.training.averaging import WeightAverage
from salt.training.checkpoints import fingerprint
from salt.training.loader import Batch, EpochSampler, batch_of, create_loader, stable_seed
from salt.training.mixing import mix
from schemas.augmentation import Mix
from schemas.config import Compute
from schemas.errors import UserError
from schemas.training import Optimizer, TrainSettings


@dataclass(frozen=True)
class Setting:
    """What all phases of a training share.

    tiles: those to train on
    seed: data order, augmentation, mixing and dropout are functions of (seed, phase, epoch, step, tile)
    """

    network: Network
    geometry: Geometry
    tiles: Tiles
    settings: TrainSettings
    compute: Compute
    device: torch.device
    seed: int

    def fingerprint(self, held_out: Tiles | None) -> str:
        """Digest of all that the training's result is a function of."""
        arrays = [array for some in (self.tiles, held_out) if some for array in (*some.arrays, some.depths)]
        return fingerprint(f"{self.seed} {self.settings.model_dump_json()}", arrays, self.network.state_dict())


class PhaseSteps:
    """The steps of the `number`-th phase (from 1), from any step of it on."""

    def __init__(self, setting: Setting, number: int, epochs_done: int = 0, steps_done: int = 0) -> None:
        """Where a phase goes on: after so many epochs, and so many steps of the next."""
        self.setting = setting
        self.network, self.tiles, self.device = setting.network, setting.tiles, setting.device
        self.number, self.phase = number, setting.settings.phases[number - 1]
        self.seed = stable_seed(setting.seed, number)
        epochs = self.phase.schedule.most_epochs
        self.sampler = EpochSampler(
            len(self.tiles), self.phase.batch, epochs, self.phase.passes_per_epoch, self.seed, (epochs_done, steps_done)
        )
        workers, pin = setting.compute.loader_workers, self.device.type == "cuda"
        self.batches = iter(create_loader(self.tiles, setting.settings.augment, self.sampler, workers, pin))
        self.loss_of = create_loss(self.phase.losses)
        self.optimizer = create_optimizer(self.network, self.phase.optimizer)
        self.average = WeightAverage(self.network, self.phase.average)

    def loss(
        self, network: nn.Module, batch: Batch, settings: Mix | None = None, seed: int = 0
    ) -> tuple[dict[str, Tensor], Tensor]:
        """The network's outputs and the loss of a batch, whose tiles are mixed first if `settings` say so."""
        images, masks, depths = (part.to(self.device, non_blocking=True) for part in batch)
        mixed = mix(images, masks, settings, seed)
        with autocast(self.device):
            outputs = network(self._inputs(mixed.images, depths))
        geometry = self.setting.geometry
        losses = [weight * self.loss_of(outputs, geometry.masks(part)) for weight, part in mixed.masks]
        return outputs, torch.stack(losses).sum()

    def epoch(self, scores: Sequence[float], losses: list[Tensor]) -> Iterator[None]:
        """Take the steps of the next epoch that are left, and yield after each.

        scores: of the epochs that are done
        losses: of the steps of this epoch that are done; grows. They stay on the device: reading one would make the
            CPU wait for the GPU.
        """
        epoch, count = len(scores), self.sampler.batches_per_epoch
        for step in range(len(losses), count):
            seed = stable_seed(self.seed, epoch, step)
            torch.manual_seed(seed)  # for dropout
            self.network.train()
            lr = schedules.learning_rate(self.phase.schedule, self.phase.optimizer.lr, scores, step / count)
            for group in self.optimizer.param_groups:
                group["lr"] = lr
            self.optimizer.zero_grad()
            _, loss = self.loss(self.network, next(self.batches), self.setting.settings.mix, seed)
            loss.backward()
            self.optimizer.step()
            self.average.after_step()
            losses.append(loss.detach())
            yield
        torch.manual_seed(stable_seed(self.seed, epoch, count))
        self.average.after_epoch(epoch + 1, self._plain_inputs(epoch))

    def check(self, epoch: int, losses: Sequence[Tensor]) -> list[float]:
        """The losses of an epoch (0-based) so far as numbers; raises UserError where one is not finite."""
        values = torch.stack(list(losses)).tolist() if losses else []
        for step, value in enumerate(values):
            if not math.isfinite(value):
                ids = [self.tiles.ids[row] for _, _, row in self.sampler.epoch(epoch)[step]]
                raise UserError(
                    f"The training loss ({self.phase.loss_words}) became {value} in phase {self.number}, epoch "
                    f"{epoch + 1}, step {step + 1} of {self.sampler.batches_per_epoch}. Expected a finite number. "
                    f"Try a smaller learning rate than {self.phase.optimizer.lr:g}, or a larger batch; with changed "
                    f"settings this training starts afresh. The tiles of that step were {', '.join(ids)}."
                )
        return values

    def states(self) -> dict[str, State]:
        """The tensors that the next step depends on, by name; they change with it."""
        optimizer = {
            f"{parameter}.{name}": value
            for parameter, state in self.optimizer.state_dict()["state"].items()
            for name, value in state.items()
            if value is not None  # SGD's momentum before its first step
        }
        average = {} if self.average.average is None else self.average.average.state_dict()
        return {"network": self.network.state_dict(), "optimizer": optimizer, "average": average}

    def is_finite(self) -> bool:
        """Whether all weights are finite numbers."""
        return all(bool(weight.isfinite().all()) for weight in self.network.parameters())

    def load(self, states: dict[str, dict[str, Tensor]]) -> None:
        """Go on from `states`."""
        self.network.load_state_dict(states["network"])
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in states["optimizer"].items():
            parameter, name = key.split(".")
            state.setdefault(int(parameter), {})[name] = value
        self.optimizer.load_state_dict(self.optimizer.state_dict() | {"state": state})
        if self.average.average is not None:
            self.average.average.load_state_dict(states["average"])

    def _plain_inputs(self, epoch: int) -> Iterator[Tensor]:
        """The network's inputs of an epoch's tiles without augmentation."""
        for draws in self.sampler.epoch(epoch):
            batch = batch_of(self.tiles, [row for _, _, row in draws])
            yield self._inputs(batch.images.to(self.device), batch.depths.to(self.device))

    def _inputs(self, images: Tensor, depths: Tensor) -> Tensor:
        return self.setting.geometry.images(images, depths).contiguous(memory_format=torch.channels_last)


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
