"""Config sections about a phase of training: its loss, optimizer, schedule, average, and what it keeps."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from schemas import losses
from schemas.base import Count, Positive, Section
from schemas.losses import Loss, Losses
from schemas.schedules import Cosine, Plateau, Triangular2
from schemas.snapshots import BestOfCycle, Keep
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
    accumulate: Count = Field(
        1,
        description="Parts of a batch that go through the network one after the other, for a GPU that cannot hold all "
        "of it. Their gradients add up to those of the batch, except that batch norm, Dice and lovasz_non_empty take "
        "each part alone. The unlabelled tiles of consistency stay together.",
    )
    passes_per_epoch: Count = Field(1, description="Passes over the data that count as one epoch.")
    with_replacement: bool = Field(
        False,
        description="Draw each tile of a batch from all tiles, as the ResNeXt50 author did: an epoch has as many "
        "steps, but holds some tiles several times and others not at all.",
    )
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
    def _parts_have_statistics(self) -> Self:
        if self.batch < 2 * self.accumulate:
            raise ValueError(
                f"expected accumulate to leave each part at least 2 of the batch's {self.batch} tiles, for batch norm, "
                f"found {self.accumulate}; lower it to {self.batch // 2} or less"
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
    def restarts_by_score(self) -> bool:
        """Whether the held-out score chooses the weights that a cycle starts from."""
        return len(self.schedule.cycle_suffixes) > 1 and self.schedule.restart.weights == "best"

    @property
    def rewritten(self) -> int:
        """Sets of weights that a later epoch may replace, beside the phase's best."""
        of_cycle = self.restarts_by_score and not isinstance(self.keep, BestOfCycle)  # else, it is a snapshot
        return self.keep.rewritten + of_cycle

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
