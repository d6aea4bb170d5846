"""Config sections about models: a network, its training on labels and pseudo-labels, the snapshots that predict."""

from typing import Literal, Self

from pydantic import Field, model_validator

from schemas.augmentation import PRESETS, Augmentation, Mix
from schemas.base import Name, Section, variants
from schemas.networks import Input, Network
from schemas.phases import Phase
from schemas.schedules import Plateau
from schemas.snapshots import BestOfCycle, Falling, Members

ConstantTiles = Literal["leave_out", "train"]


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
    constant_tiles: ConstantTiles = Field(
        "leave_out",
        description="Labelled tiles of one grey value in the folds' training. train: learn from them as well, as the "
        "ResNet34 author. They are never held out, and predicted empty.",
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
    stretch: bool = Field(
        False,
        description="Stretch the model's prediction, the mean over its folds, so that the least probability of all "
        "unlabelled tiles becomes 0 and the largest 1, as the ResNet34 author did before blending. The same numbers "
        "stretch predictions of labelled tiles and of other images. Pseudo-labels of scope fold take none of it.",
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
        restarts = ["the weights that a cycle started from"] if any(p.restarts_by_score for p in self.phases) else []
        return list(dict.fromkeys(kept + members)) or passed_on + restarts

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
    constant_tiles: ConstantTiles = "leave_out"
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


class ShardSettings(NetworkSettings):
    """The settings of predict_shard."""

    scores_test: bool = Field(False, description="Whether masks of test tiles are known: scores read one more field.")


class PredictSettings(ShardSettings):
    """The settings of predict_fold: what a fold's prediction depends on."""

    members: Members
