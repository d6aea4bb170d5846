"""Config sections about schedules: the length of a phase and the course of its learning rate.

salt/training/schedules.py computes the rates.
"""

from typing import Literal, Self

from pydantic import Field, model_validator

from schemas.base import Count, Section


class Restart(Section):
    """What a new cycle starts from; in the original, a fresh optimizer and the last (ResNet34) or best weights."""

    weights: Literal["last", "best"] = Field(
        "last",
        description="Of the cycle before. best: those with the best held-out score; without held-out tiles, the last. "
        "An exponential average starts anew with them.",
    )
    optimizer: Literal["kept", "fresh"] = Field(
        "kept", description="fresh: its memory of earlier steps, such as momentum, is lost."
    )


class Plateau(Section):
    """Reduce the learning rate when the held-out score stalls, stop if it keeps stalling; not for pretraining."""

    name: Literal["plateau"]
    epochs: Count = Field(description="Most epochs of the phase.")
    factor: float = Field(gt=0, lt=1, description="The learning rate is multiplied by this.")
    patience: Count = Field(description="Epochs without a better score before the rate is reduced.")
    min_delta: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Only a score that is better by more than this keeps the rate; the original's is 1e-4. For "
        "`stop_after`, any better score counts.",
    )
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
        """Epochs of the phase if nothing stops it early."""
        return self.epochs

    @property
    def fewest_epochs(self) -> int:
        """Epochs of the phase if its first epoch stays the best."""
        return min(self.epochs, 1 + self.stop_after)

    @property
    def restart(self) -> Restart:
        """Its one cycle is never followed by another."""
        return Restart()

    @property
    def cycle_suffixes(self) -> list[str]:
        """Suffix of the one cycle in names: empty."""
        return [""]


class Cycles(Section):
    """A schedule of cycles that differ only in length."""

    cycles: tuple[Count, ...] = Field(min_length=1, description="Epochs of each cycle.")
    min_lr: float = Field(0.0, ge=0, description="The smallest learning rate.")
    restart: Restart = Field(Restart(), description="What each cycle but the first starts from.")

    @property
    def most_epochs(self) -> int:
        """Epochs of the phase."""
        return sum(self.cycles)

    @property
    def fewest_epochs(self) -> int:
        """Epochs of the phase: nothing stops it early."""
        return self.most_epochs

    @property
    def cycle_suffixes(self) -> list[str]:
        """Suffixes of its cycles in names."""
        return [f"_cycle{cycle}" for cycle in range(1, len(self.cycles) + 1)]


class Cosine(Cycles):
    """Cosine from the optimizer's rate down to `min_lr` in each cycle (SGDR)."""

    name: Literal["cosine"]
    interval: Literal["step", "epoch"] = Field(
        "step",
        description="How often the rate is set. epoch: once an epoch, as in the original, so that the last epoch of a "
        "cycle has a rate above `min_lr`.",
    )


class Triangular2(Cycles):
    """From `min_lr` up to the optimizer's rate and back; each cycle halves the rise (Smith 2017)."""

    name: Literal["triangular2"]
