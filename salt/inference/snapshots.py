"""Which snapshots make a model: the epochs whose weights a phase keeps, and how these weigh in its prediction.

A training keeps what `retained` names and lists it in a table, snapshots.csv. The prediction of its fold resolves the
model's `members` by that table, once, and leaves members.json, which all later predictions read. Light: the Snakefile
reads that file, too. The rules' sections of the config are in schemas/snapshots.py.
"""

import csv
import json
import math
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Annotated, NamedTuple, Protocol, TypeVar

from pydantic import Field, TypeAdapter, ValidationError

from salt.runtime.atomic import atomic_path
from salt.runtime.paths import snapshot
from schemas.errors import UserError
from schemas.section import Positive, Section
from schemas.snapshots import Best, BestOfCycle, Equal, Every, Falling, Keep, Last, Members


class Epoch(Protocol):
    """An epoch of a phase; cycle and epoch count from 1, score is NaN where nothing is held out."""

    @property
    def cycle(self) -> int: ...  # noqa: D102
    @property
    def epoch(self) -> int: ...  # noqa: D102
    @property
    def score(self) -> float: ...  # noqa: D102


E = TypeVar("E", bound=Epoch)


class Kept(NamedTuple):
    """A snapshot that a training kept, and the epoch whose weights it holds: a row of snapshots.csv."""

    name: str
    phase: int
    cycle: int
    epoch: int
    score: float


class Member(Section):
    """A snapshot of a model's prediction: its file in the folder of snapshots, and its weight in their mean."""

    file: str = Field(pattern=r"^\w+\.safetensors$")
    weight: Positive


# What a training keeps --------------------------------------------------------------------------------------------


def retained(keep: Keep, epochs: Sequence[E]) -> list[E]:
    """The epochs of a phase so far whose weights are kept, in the order of their snapshots' names.

    An epoch that is left out is never taken in later, so that its weights can be forgotten.
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
    """The best of some epochs, the best first. Of equal scores the earlier; where nothing is held out, the latest."""

    def rank(epoch: E) -> tuple[float, int]:
        return (0, -epoch.epoch) if math.isnan(epoch.score) else (-epoch.score, epoch.epoch)

    return sorted(epochs, key=rank)[:count]


# How they weigh ---------------------------------------------------------------------------------------------------


def resolve(members: Members, kept: Sequence[Kept]) -> list[Member]:
    """The snapshots of a model's prediction with their weights, which sum to anything."""
    match members:
        case Equal():
            weights = {row.name: 1.0 for row in kept}
        case Falling():
            ranked = sorted(kept, key=lambda row: (-row.score, row.phase, row.epoch))
            weights = {row.name: members.ratio**place for place, row in enumerate(ranked[: members.best])}
        case _:
            weights = members
    return [Member(file=snapshot(Path(), name).name, weight=weight) for name, weight in weights.items()]


# Their files ------------------------------------------------------------------------------------------------------


def write_kept(path: Path, kept: Iterable[Kept]) -> None:
    """Write snapshots.csv. Scores keep all their digits: a rule compares them."""
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Kept._fields)
        writer.writerows(kept)


def read_kept(path: Path) -> list[Kept]:
    """Read snapshots.csv."""
    with path.open(newline="", encoding="utf-8") as file:
        return [
            Kept(row["name"], int(row["phase"]), int(row["cycle"]), int(row["epoch"]), float(row["score"]))
            for row in csv.DictReader(file)
        ]


def write_members(path: Path, members: Sequence[Member]) -> None:
    """Write members.json: [{"file": "phase1.safetensors", "weight": 1.0}, ...]."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps([member.model_dump() for member in members], indent=1) + "\n", encoding="utf-8")


def read_members(path: Path) -> list[Member]:
    """Read members.json. Raises UserError where it is not as predict_fold writes it."""
    try:
        return TypeAdapter(Annotated[list[Member], Field(min_length=1)]).validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError) as error:
        found = "nothing" if isinstance(error, FileNotFoundError) else "something else"
        raise UserError(
            f"{path}: expected the snapshots of a fold's prediction and their weights, as predict_fold writes them, "
            f"found {found}. Delete the file if it is there, and type the command of the run again, without `predict`."
        ) from None
