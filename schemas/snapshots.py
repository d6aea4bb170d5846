"""Config sections about snapshots: which epochs a phase keeps, and their weights in a model's prediction.

salt/inference/snapshots.py applies these rules. In the report, a rule's `words` follow "the weights of".
"""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Discriminator, Field, Tag

from schemas.base import Count, Positive, Section
from schemas.words import nearest

MOST_MEMBERS = 100  # of a falling rule; all are in memory at once


class BestOfCycle(Section):
    """The best epoch of each cycle: `phase2_cycle3`. A plateau is one cycle: `phase1`."""

    name: Literal["best_of_cycle"] = "best_of_cycle"
    by_score: ClassVar[bool] = True
    rewritten: ClassVar[int] = 1  # snapshots that a later epoch may replace

    def suffixes(self, cycles: Sequence[str], epochs: int) -> list[str]:
        """Suffixes of a phase's snapshots in their names. cycles: suffixes of its cycles; epochs: their number."""
        return list(cycles)

    @property
    def words(self) -> str:
        """What is kept."""
        return "the best epoch of each cycle"


class Best(Section):
    """The best epochs of the phase: `phase1_best1` is the best, `phase1_best2` the next."""

    name: Literal["best"]
    count: Count = Field(description="Number of epochs to keep; all, if the phase has fewer.")
    by_score: ClassVar[bool] = True

    @property
    def rewritten(self) -> int:
        """Snapshots that a later epoch may replace."""
        return self.count

    def suffixes(self, cycles: Sequence[str], epochs: int) -> list[str]:
        """As of BestOfCycle."""
        return [f"_best{place}" for place in range(1, min(self.count, epochs) + 1)]

    @property
    def words(self) -> str:
        """What is kept."""
        return "the best epoch of each phase" if self.count == 1 else f"the {self.count} best epochs of each phase"


class Last(Section):
    """The last epoch of the phase: `phase1_last`."""

    name: Literal["last"]
    by_score: ClassVar[bool] = False
    rewritten: ClassVar[int] = 1

    def suffixes(self, cycles: Sequence[str], epochs: int) -> list[str]:
        """As of BestOfCycle."""
        return ["_last"]

    @property
    def words(self) -> str:
        """What is kept."""
        return "the last epoch of each phase"


class Every(Section):
    """Every n-th epoch of the phase: `phase1_epoch10`, `phase1_epoch20` ..."""

    name: Literal["every"]
    epochs: Count = Field(description="The n: epochs from one snapshot to the next.")
    by_score: ClassVar[bool] = False
    rewritten: ClassVar[int] = 0

    def suffixes(self, cycles: Sequence[str], epochs: int) -> list[str]:
        """As of BestOfCycle."""
        return [f"_epoch{epoch}" for epoch in range(self.epochs, epochs + 1, self.epochs)]

    @property
    def words(self) -> str:
        """What is kept."""
        return "every epoch" if self.epochs == 1 else f"the last of every {self.epochs} epochs"


Keep = Annotated[BestOfCycle | Best | Last | Every, Field(discriminator="name")]


class Equal(Section):
    """All snapshots that the training kept, with equal weights."""

    name: Literal["equal"]

    @property
    def words(self) -> str:
        """What the prediction is the mean of."""
        return "all kept snapshots with equal weights"


class Falling(Section):
    """Of the snapshots that the training kept, those with the best held-out scores; lower scores weigh less."""

    name: Literal["falling"]
    best: int = Field(
        ge=1,
        le=MOST_MEMBERS,
        description="Number of snapshots; all, if fewer are kept. Of equal scores, the earlier is better.",
    )
    ratio: float = Field(
        ge=0.01, le=1, description="Weight of each snapshot relative to the next better one; the best weighs 1."
    )
    by_score: ClassVar[str] = "the snapshots of the prediction"

    @property
    def words(self) -> str:
        """What the prediction is the mean of."""
        if self.best == 1:
            return "the kept snapshot with the best held-out score"
        weights = f"each weighing {self.ratio:g} times the one before"
        return f"the {self.best} kept snapshots with the best held-out scores, {weights}"


WEIGHTS, RULE = (
    "dict[snapshots]",
    "rule",
)  # schemas.faults knows mappings in unions by the name that pydantic gives them


def _form(members: Any) -> str:
    """The form of `members` that is meant: a rule if a key is `name` or nearly so, since no snapshot is called that."""
    named = isinstance(members, dict) and nearest("name", map(str, members))
    return RULE if named or isinstance(members, Equal | Falling) else WEIGHTS


Weights = Annotated[dict[str, Positive], Field(min_length=1)]
Rule = Annotated[Equal | Falling, Field(discriminator="name")]
Members = Annotated[Annotated[Weights, Tag(WEIGHTS)] | Annotated[Rule, Tag(RULE)], Discriminator(_form)]
