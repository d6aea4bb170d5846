"""Config sections about models: their training, its phases, and the snapshots that predict."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from schemas import losses
from schemas.augmentation import PRESETS, Augmentation, Mix
from schemas.base import Count, Name, Positive, Section, variants
from schemas.losses import Loss, Losses
from schemas.networks import Input, Network
from schemas.schedules import Cosine, Plateau, Triangular2
from schemas.snapshots import BestOfCycle, Falling, Keep, Members
from schemas.unlabelled import Consistency


class Optimizer(Section):
    """The optimizer and its largest learning rate."""

    name: Literal["sgd", "rmsprop", "adamw"] = Field(
        description="PyTorch's optimizers; rmsprop with the constants of Keras."
    )
    lr: Positive = Field(description="The largest learning rate of the schedule.")
    momentum: float = Field(0.9, ge=0, lt=1, description="Only for sgd.")
    weight_decay: float = Field(0.0, ge=0, description="L2 penalty; for adamw, decoupled weight decay.")


class Ema(Section):
    """Exponential moving average of the weights: after each step, decay x average + (1 - decay) x weights."""

    name: Literal["ema"]
    decay: float = Field(0.999, gt=0, lt=1, description="The average spans about 1 / (1 - decay) steps.")


class Swa(Section):
    """Stochastic weight averaging (Izmailov et al. 2018): the mean of the weights at the ends of some epochs."""

    name: Literal["swa"]
    start: Count = Field(
        description="The first averaged epoch of the phase; before it, the weights are used as they are."
    )
    every: Count = Field(
        1, description="Then average every n-th epoch; the length of a cycle picks the ends of cycles."
    )


class Phase(Section):
    """A part of training with one loss, optimizer and schedule; starts from the best weights of the previous phase."""

    loss: Losses = Field(
        description="One loss; several with weights, {bce: 0.1, lovasz_relu: 0.9}; or also with parameters, "
        "{bce: 0.5, dice: {weight: 0.5, smooth: 10}}."
    )
    optimizer: Optimizer = Field(description="How the loss updates the weights.")
    schedule: Annotated[Plateau | Cosine | Triangular2, Field(discriminator="name")] = Field(
        description="The phase's length and learning rate."
    )
    average: Annotated[Ema | Swa, Field(discriminator="name")] | None = Field(
        None, description="Validate and keep an average of the weights instead of the weights themselves."
    )
    consistency: Consistency | None = Field(
        None, description="Learn from the unlabelled tiles as well, all that are not constant; none: do not."
    )
    batch: int = Field(ge=2, description="Tiles per step.")
    passes_per_epoch: Count = Field(1, description="Passes over the data that count as one epoch.")
    keep: Keep = Field(
        BestOfCycle(), description="The epochs whose weights are kept as snapshots, and the snapshots' names."
    )

    @model_validator(mode="after")
    def _rate_and_average_in_reach(self) -> Self:
        if self.schedule.min_lr > self.optimizer.lr:
            raise ValueError(
                f"expected schedule.min_lr to be at most optimizer.lr, {self.optimizer.lr:g}, the largest rate, "
                f"found {self.schedule.min_lr:g}; lower it"
            )
        if isinstance(self.average, Swa) and self.average.start > self.schedule.most_epochs:
            raise ValueError(
                f"expected average.start to be at most the phase's {self.schedule.most_epochs} epochs, found "
                f"{self.average.start}: no epoch would be averaged; start earlier"
            )
        return self

    @model_validator(mode="after")
    def _has_its_teacher(self) -> Self:
        if self.consistency and self.consistency.teacher == "average" and not isinstance(self.average, Ema):
            raise ValueError(
                "expected average: {name: ema} for the teacher of consistency, found "
                f"{self.average.name if self.average else 'none'}; add it, or set teacher: self"
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
        """The terms of the loss, a weighted sum."""
        return losses.terms(self.loss)

    @property
    def loss_words(self) -> str:
        """The loss as logs show it: `lovasz_relu`, or `0.1 bce + 0.9 lovasz_relu`."""
        return losses.shown(self.loss)

    @property
    def work_per_epoch(self) -> float:
        """Tiles that an epoch takes through the network, unlabelled ones included, per training tile."""
        extra = self.consistency.batch / self.batch if self.consistency else 0
        return self.passes_per_epoch * (1 + extra)

    def snapshots(self, number: int) -> list[str]:
        """Names of the snapshots that the phase, number `number` (from 1) of its training, keeps at full length."""
        return self.snapshots_after(number, self.schedule.most_epochs)

    def certain_snapshots(self, number: int) -> list[str]:
        """Names of the snapshots that the phase keeps however early it ends."""
        return self.snapshots_after(number, self.schedule.fewest_epochs)

    def snapshots_after(self, number: int, epochs: int) -> list[str]:
        """Names of the snapshots that the phase keeps if it ends after so many epochs."""
        return [f"phase{number}{end}" for end in self.keep.suffixes(self.schedule.cycle_suffixes, epochs)]


class Pretrain(Section):
    """Training on pseudo-labels only: once for all folds, or once per fold if each has its own labels.

    The folds start from its last weights.
    """

    pseudo_labels: Name = Field(description="The set to train on, by its name in the section pseudo_labels.")
    phases: tuple[Phase, ...] = Field(min_length=1, description="As for a model, without plateau schedules.")

    @model_validator(mode="after")
    def _has_nothing_to_validate_on(self) -> Self:
        if any(isinstance(phase.schedule, Plateau) for phase in self.phases):
            raise ValueError(
                "expected schedules that need no score, since pretraining has none, found plateau; use cosine"
            )
        if any(phase.consistency for phase in self.phases):
            raise ValueError(
                "expected phases without consistency, since a pretraining has no labelled tiles, found one; move it to "
                "the phases of the model"
            )
        if any(phase.keep != BestOfCycle() for phase in self.phases):
            raise ValueError(
                "expected phases without keep, since only a pretraining's last weights are used, found one; leave it "
                "out"
            )
        return self


class Model(Section):
    """A network and its training, once per fold."""

    network: Network = Field(description="The network to train.")
    input: Input = Field(description="What the network sees of a tile.")
    augment: Augmentation = PRESETS["write_up"]
    mix: Mix | None = Field(None, description="Mixing of tiles within a batch; none: no mixing.")
    pretrain: Pretrain | None = Field(
        None, description="Pretraining on pseudo-labels before the folds; none: no pretraining."
    )
    add_pseudo_labels: Name | None = Field(None, description="Pseudo-labels to add to each fold's training tiles.")
    control: bool = Field(
        False,
        description="Train on the labelled tiles alone, for as many steps as with the model's pseudo-labels, of which "
        "only the number is used, and without consistency.",
    )
    labelled_share: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Share of labelled tiles in each batch beside added pseudo-labels (rounded, at least one tile of "
        "each kind). none: batches are drawn from both together, so the larger kind decides.",
    )
    phases: tuple[Phase, ...] = Field(min_length=1, description="The phases of a fold's training, in order.")
    members: Members = Field(
        description="The snapshots in the model's prediction with their weights, {phase2: 1, phase3_cycle1: 1}, or a "
        "rule that chooses them, {name: equal}."
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

    @model_validator(mode="after")
    def _has_steps_to_repeat(self) -> Self:
        if self.control and not self.learns_from_unlabelled:
            raise ValueError(
                "expected pretrain, add_pseudo_labels or consistency beside control, since a control takes as many "
                "steps as with unlabelled tiles, found none; add one of them, or remove control"
            )
        return self

    @model_validator(mode="after")
    def _two_kinds_of_tiles_to_share_batches(self) -> Self:
        if self.labelled_share is not None and self.add_pseudo_labels is None:
            raise ValueError(
                f"expected add_pseudo_labels beside labelled_share, found a share of {self.labelled_share:g} without "
                "them: all tiles are labelled; add pseudo-labels or remove labelled_share"
            )
        return self

    @property
    def snapshots(self) -> list[str]:
        """Names of all snapshots that a fold's training keeps if no phase ends early."""
        return [name for number, phase in enumerate(self.phases, 1) for name in phase.snapshots(number)]

    @property
    def certain_snapshots(self) -> list[str]:
        """Names of the snapshots that a fold's training keeps however early its phases end."""
        return [name for number, phase in enumerate(self.phases, 1) for name in phase.certain_snapshots(number)]

    @property
    def chosen_by_score(self) -> list[str]:
        """Descriptions of what the held-out tiles choose; such choices make their score somewhat optimistic."""
        kept = [phase.keep.words for phase in self.phases if phase.keep.by_score]
        members = [self.members.by_score] if isinstance(self.members, Falling) else []
        passed_on = ["the weights that a phase started from"] if len(self.phases) > 1 else []
        return list(dict.fromkeys(kept + members)) or passed_on

    @property
    def pseudo_labels(self) -> list[str]:
        """Names of the pseudo-label sets that its training needs; a control only counts their tiles."""
        names = [self.pretrain.pseudo_labels if self.pretrain else None, self.add_pseudo_labels]
        return [name for name in names if name is not None]

    @property
    def learns_from_unlabelled(self) -> bool:
        """Whether its training uses unlabelled tiles, by pseudo-labels or consistency; a control leaves them out."""
        return bool(self.pseudo_labels) or any(phase.consistency for phase in self.phases)


class TrainSettings(Section):
    """The settings of train_fold: what a training depends on."""

    seed: int
    network: Network
    input: Input
    augment: Augmentation
    mix: Mix | None = None
    labelled_share: float | None = None
    phases: tuple[Phase, ...]
    control: bool = Field(False, description="Train on labelled tiles alone; pseudo-labels are only counted.")

    @property
    def learns_from_unlabelled(self) -> bool:
        """Whether a phase needs unlabelled tiles."""
        return not self.control and any(phase.consistency for phase in self.phases)


class PretrainSettings(TrainSettings):
    """The settings of pretrain."""

    fold: int | None = Field(None, description="The fold that starts from the weights; none: all folds do.")


class NetworkSettings(Section):
    """The settings that a network needs besides its weights."""

    network: Network
    input: Input


class PredictSettings(NetworkSettings):
    """The settings of predict_fold: what a fold's prediction depends on."""

    members: Members
