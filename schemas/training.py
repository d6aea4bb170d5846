"""Sections of the config about models: what they are trained with, in which phases, and which snapshots count."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from schemas import losses
from schemas.augmentation import PRESETS, Augmentation, Mix
from schemas.losses import Loss, Losses
from schemas.networks import Input, Network
from schemas.schedules import Cosine, Plateau, Triangular2
from schemas.section import Count, Name, Positive, Section, variants
from schemas.snapshots import BestOfCycle, Falling, Keep, Members


class Optimizer(Section):
    """The optimizer and its largest learning rate."""

    name: Literal["sgd", "rmsprop", "adamw"] = Field(description="torch's, RMSprop with the constants of Keras.")
    lr: Positive = Field(description="Learning rate that the schedule starts from.")
    momentum: float = Field(0.9, ge=0, lt=1, description="sgd only.")
    weight_decay: float = Field(0.0, ge=0, description="L2 penalty; of adamw, its decoupled decay.")


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
    keep: Keep = Field(
        BestOfCycle(), description="Which epochs leave their weights as snapshots, and under which names."
    )

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

    @model_validator(mode="after")
    def _keeps_something(self) -> Self:
        if not self.certain_snapshots(1):
            raise ValueError(
                f"expected keep to leave a snapshot however early the phase ends, found {self.keep.words} of a phase "
                f"that may end after {self.schedule.fewest_epochs}; keep more"
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
        """Names of the weights that the phase keeps, as the `number`-th (1-based) of its training, if it is not cut."""
        return self.snapshots_after(number, self.schedule.most_epochs)

    def certain_snapshots(self, number: int) -> list[str]:
        """Those of them that are there however early the phase ends."""
        return self.snapshots_after(number, self.schedule.fewest_epochs)

    def snapshots_after(self, number: int, epochs: int) -> list[str]:
        """Those of them that are there when the phase has ended with so many epochs."""
        return [f"phase{number}{end}" for end in self.keep.suffixes(self.schedule.cycle_suffixes, epochs)]


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
        if any(phase.keep != BestOfCycle() for phase in self.phases):
            raise ValueError(
                "expected phases without keep, since nothing but a pretraining's last weights is used, found one; "
                "leave it out"
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
    members: Members = Field(
        description="Snapshots in the model's prediction and their weights, {phase2: 1, phase3_cycle1: 1}, or a rule "
        "that chooses them, {name: equal}."
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
        """Names of all the snapshots that a fold's training leaves, if no phase ends early."""
        return [name for number, phase in enumerate(self.phases, 1) for name in phase.snapshots(number)]

    @property
    def certain_snapshots(self) -> list[str]:
        """Those of them that are there however early its phases end."""
        return [name for number, phase in enumerate(self.phases, 1) for name in phase.certain_snapshots(number)]

    @property
    def chosen_by_score(self) -> list[str]:
        """What the held-out tiles choose, in words; then their score is somewhat optimistic."""
        kept = [phase.keep.words for phase in self.phases if phase.keep.by_score]
        members = [self.members.by_score] if isinstance(self.members, Falling) else []
        passed_on = ["the weights that a phase started from"] if len(self.phases) > 1 else []
        return list(dict.fromkeys(kept + members)) or passed_on

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


class NetworkSettings(Section):
    """What makes a network of weights, whichever they are."""

    network: Network
    input: Input


class PredictSettings(NetworkSettings):
    """What a fold's prediction depends on: the settings of predict_fold."""

    members: Members
