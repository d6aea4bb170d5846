"""Which snapshots make a model: the epochs whose weights a phase keeps, and their weights in its prediction.

A training keeps the epochs that `retained` chooses, and lists them in a table, snapshots.csv. The fold's prediction
resolves the model's `members` by that table, once, and leaves members.json, which all later predictions read. Imports
stay light: the Snakefile reads members.json too. The config sections of these rules are in schemas/snapshots.py.
"""

import csv
import json
import math
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Annotated, NamedTuple, Protocol, TypeVar

from pydantic import Field, TypeAdapter

from salt.data.damage import reading
from salt.runtime.atomic import atomic_path
from salt.runtime.paths import snapshot
from schemas.base import Positive, Section
from schemas.snapshots import Best, BestOfCycle, Equal, Every, Falling, Keep, Last, Members


class Epoch(Protocol):
    """An epoch of a phase; cycle and epoch count from 1; score is NaN if nothing is held out."""

    @property
    def cycle(self) -> int: ...  # noqa: D102
    @property
    def epoch(self) -> int: ...  # noqa: D102
    @property
    def score(self) -> float: ...  # noqa: D102


E = TypeVar("E", bound=Epoch)


class KeptSnapshot(NamedTuple):
    """A snapshot that a training kept, and the epoch of its weights: a row of snapshots.csv."""

    name: str
    phase: int
    cycle: int
    epoch: int
    score: float


class Member(Section):
    """A snapshot in a model's prediction: its file in the folder of snapshots, and its weight in the mean."""

    file: str = Field(pattern=r"^\w+\.safetensors$")
    weight: Positive


# What a training keeps --------------------------------------------------------------------------------------------


def retained(keep: Keep, epochs: Sequence[E]) -> list[E]:
    """The epochs of a phase so far whose weights are kept, in the order of their snapshots' names.

    An epoch that is left out is never chosen later, so its weights can be dropped.
    """
    match keep:
        case BestOfCycle():
            return [best(list(cycle), 1)[0] for _, cycle in groupby(epochs, key=lambda epoch: epoch.cycle)]
        case Best():
            return best(epochs, keep.count)
        case Last():
            return list(epochs[-1:])
        case Every():
            return [epoch for epoch in epochs if epoch.epoch % keep.epochs == 0]


def best(epochs: Sequence[E], count: int) -> list[E]:
    """The `count` best epochs, best first. Ties go to the earlier epoch; if nothing is held out, the latest is best."""

    def rank(epoch: E) -> tuple[float, int]:
        return (0, -epoch.epoch) if math.isnan(epoch.score) else (-epoch.score, epoch.epoch)

    return sorted(epochs, key=rank)[:count]


# What a model predicts with ---------------------------------------------------------------------------------------


def resolve(members: Members, kept: Sequence[KeptSnapshot]) -> list[Member]:
    """The snapshots in a model's prediction with their weights, which may have any sum."""
    match members:
        case Equal():
            weights = {row.name: 1.0 for row in kept}
        case Falling():
            ranked = sorted(kept, key=lambda row: (-row.score, row.phase, row.epoch))
            weights = {row.name: members.ratio**place for place, row in enumerate(ranked[: members.best])}
        case _:
            weights = members
    return [Member(file=snapshot(Path(), name).name, weight=weight) for name, weight in weights.items()]


# Files ------------------------------------------------------------------------------------------------------------


def write_table(path: Path, kept: Iterable[KeptSnapshot]) -> None:
    """Write snapshots.csv. Scores keep all their digits, because `resolve` compares them."""
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(KeptSnapshot._fields)
        writer.writerows(kept)


def read_table(path: Path) -> list[KeptSnapshot]:
    """Read snapshots.csv. Raises UserError if it is missing or damaged."""
    with reading(path), path.open(newline="", encoding="utf-8") as file:
        return [
            KeptSnapshot(row["name"], int(row["phase"]), int(row["cycle"]), int(row["epoch"]), float(row["score"]))
            for row in csv.DictReader(file)
        ]


def write_members(path: Path, members: Sequence[Member]) -> None:
    """Write members.json: [{"file": "phase1.safetensors", "weight": 1.0}, ...]."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps([member.model_dump() for member in members], indent=1) + "\n", encoding="utf-8")


def read_members(path: Path) -> list[Member]:
    """Read members.json. Raises UserError if it is missing or not in the form that predict_fold writes."""
    with reading(path):
        return TypeAdapter(Annotated[list[Member], Field(min_length=1)]).validate_json(path.read_bytes())
