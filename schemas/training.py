"""Sections of the config about models: what they are trained with, in which phases, and which snapshots count."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from schemas import losses
from schemas.augmentation import PRESETS, Augmentation, Mix
from schemas.losses import Loss, Losses
from schemas.networks import Input, Network
from schemas.section import Count, Name, Positive, Section, variants


class Optimizer(Section):
    """The optimizer and its largest learning rate."""

    name: Literal["sgd", "rmsprop", "adamw"] = Field(description="torch's, RMSprop with the constants of Keras.")
    lr: Positive = Field(description="Learning rate that the schedule starts from.")
    momentum: float = Field(0.9, ge=0, lt=1, description="sgd only.")
    weight_decay: float = Field(0.0, ge=0, description="L2 penalty; of adamw, its decoupled decay.")


class Plateau(Section):
    """Reduce the learning rate when the validation score stalls, stop when it keeps stalling; not for pretraining."""

    name: Literal["plateau"]
    epochs: Count = Field(description="At most so many.")
    factor: float = Field(gt=0, lt=1, description="The learning rate is multiplied by this.")
    patience: Count = Field(description="Epochs without a better score before the rate is reduced.")
    stop_after: Count = Field(description="Epochs without a better score before the phase ends; at least patience.")
    min_lr: float = Field(0.0, ge=0, description="The rate is not reduced below this.")

    @model_validator(mode="after")
    def _reduces_before_it_stops(self) -> Self:
        if self.stop_after < self.patience:
            raise ValueError(
                f"expected stop_after to be at least patience, {self.patience}, found {self.stop_after}: the phase "
                "would end before it has tried a reduced rate; raise stop_after or lower patience"
            )
        return self

    @property
    def most_epochs(self) -> int:
        """Epochs of the phase, if nothing stops it early."""
        return self.epochs


class Cycles(Section):
    """A schedule of cycles, all alike but for their length."""

    cycles: tuple[Count, ...] = Field(min_length=1, description="Epochs of each cycle; one snapshot a cycle.")
    min_lr: float = Field(0.0, ge=0, description="The smallest learning rate.")

    @property
    def most_epochs(self) -> int:
        """Epochs of the phase."""
        return sum(self.cycles)


class Cosine(Cycles):
    """Cosine from the optimizer's rate to `min_lr` in each cycle, each starting at the top again (SGDR)."""

    name: Literal["cosine"]


class Triangular2(Cycles):
    """From `min_lr` up to the optimizer's rate and back in each cycle, the rise halved each time (Smith 2017)."""

    name: Literal["triangular2"]


class Ema(Section):
    """Exponential moving average of the weights: after each step, decay x average + (1 - decay) x weights."""

    name: Literal["ema"]
    decay: float = Field(0.999, gt=0, lt=1, description="1 / (1 - decay) is about the number of steps remembered.")


class Swa(Section):
    """Stochastic weight averaging (Izmailov et al. 2018): the mean of the weights at the ends of some epochs."""

    name: Literal["swa"]
    start: Count = Field(description="The first epoch of the phase that counts; until then the weights as they are.")
    every: Count = Field(1, description="Then each n-th epoch; a cycle's length takes the weights at its ends.")


class Phase(Section):
    """A stretch of training with one loss, optimizer and schedule; starts from the best weights of the one before."""

    loss: Losses = Field(
        description="A loss; several with their weights, {bce: 0.1, lovasz_relu: 0.9}; or with parameters beside a "
        "weight, {bce: 0.5, dice: {weight: 0.5, smooth: 10}}."
    )
    optimizer: Optimizer = Field(description="How the weights follow the loss.")
    schedule: Annotated[Plateau | Cosine | Triangular2, Field(discriminator="name")] = Field(
        description="How long the phase is, and its learning rate."
    )
    average: Annotated[Ema | Swa, Field(discriminator="name")] | None = Field(
        None, description="Validate and keep an average of the weights in place of the weights."
    )
    batch: int = Field(ge=2, description="Tiles a step.")
    passes_per_epoch: Count = Field(1, description="Passes over the data that count as one epoch.")

    @model_validator(mode="after")
    def _rate_and_average_in_reach(self) -> Self:
        if self.schedule.min_lr > self.optimizer.lr:
            raise ValueError(
                f"expected schedule.min_lr to be at most optimizer.lr, {self.optimizer.lr:g}, which the rate starts "
                f"from, found {self.schedule.min_lr:g}; lower it"
            )
        if isinstance(self.average, Swa) and self.average.start > self.schedule.most_epochs:
            raise ValueError(
                f"expected average.start to be at most the phase's {self.schedule.most_epochs} epochs, found "
                f"{self.average.start}: no epoch would count; start earlier"
            )
        return self

    @property
    def losses(self) -> tuple[Loss, ...]:
        """The terms of the loss, which is their weighted sum."""
        return losses.terms(self.loss)

    @property
    def loss_words(self) -> str:
        """The loss as it is shown: `lovasz_relu`, or `0.1 bce + 0.9 lovasz_relu`."""
        return losses.shown(self.loss)

    def snapshots(self, number: int) -> list[str]:
        """Names of the weights that the phase leaves, as the `number`-th (1-based) of its training."""
        if isinstance(self.schedule, Plateau):
            return [f"phase{number}"]
        return [f"phase{number}_cycle{cycle}" for cycle in range(1, len(self.schedule.cycles) + 1)]


class Pretrain(Section):
    """Training on pseudo-labels alone, once for all folds or, where each has its own labels, once a fold.

    Its last weights are where the folds start.
    """

    pseudo_labels: Name = Field(description="The set it learns from, of the section pseudo_labels.")
    phases: tuple[Phase, ...] = Field(min_length=1, description="As a model's, without plateau schedules.")

    @model_validator(mode="after")
    def _has_nothing_to_validate_on(self) -> Self:
        if any(isinstance(phase.schedule, Plateau) for phase in self.phases):
            raise ValueError(
                "expected schedules that need no score, since pretraining has none, found plateau; use cosine"
            )
        return self


class Model(Section):
    """A network and how it is trained: one training a fold."""

    network: Network = Field(description="What is trained.")
    input: Input = Field(description="What the network sees of a tile.")
    augment: Augmentation = PRESETS["write_up"]
    mix: Mix | None = Field(None, description="Mixing of tiles within a batch; none: no mixing.")
    pretrain: Pretrain | None = Field(None, description="Training on pseudo-labels before the folds; none: without.")
    add_pseudo_labels: Name | None = Field(None, description="Pseudo-labels that join each fold's training tiles.")
    phases: tuple[Phase, ...] = Field(min_length=1, description="Stretches of a fold's training, one after another.")
    members: dict[str, Positive] = Field(
        min_length=1,
        description="Snapshots in the model's prediction and their weights: {phase2: 1, phase3_cycle1: 1}.",
    )

    @model_validator(mode="after")
    def _heads_for_the_loss(self) -> Self:
        phases = [*self.phases, *(self.pretrain.phases if self.pretrain else ())]
        loss = next((loss.name for phase in phases for loss in phase.losses if loss.needs_heads), None)
        if loss and not self.network.has_heads:
            fitting = [name for name, network in variants(Network).items() if network.has_heads]
            raise ValueError(
                f"expected a network with heads for the loss {loss}, {' or '.join(fitting)}, found "
                f"{self.network.name}; choose one of them, or another loss"
            )
        return self

    @property
    def snapshots(self) -> list[str]:
        """Names of all the snapshots that a fold's training leaves."""
        return [name for number, phase in enumerate(self.phases, 1) for name in phase.snapshots(number)]

    @property
    def pseudo_labels(self) -> list[str]:
        """Names of the pseudo-label sets that its training needs."""
        names = [self.pretrain.pseudo_labels if self.pretrain else None, self.add_pseudo_labels]
        return [name for name in names if name is not None]


class TrainSettings(Section):
    """What a training depends on: the settings of train_fold."""

    seed: int
    network: Network
    input: Input
    augment: Augmentation
    mix: Mix | None = None
    phases: tuple[Phase, ...]


class PretrainSettings(TrainSettings):
    """The settings of pretrain."""

    fold: int | None = Field(None, description="The fold that starts from the weights; none: all of them.")


class PredictSettings(Section):
    """What a fold's prediction depends on: the settings of predict_fold."""

    network: Network
    input: Input
    members: dict[str, Positive]
