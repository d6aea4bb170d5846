"""How long trainings took and how large their weights are: the basis for estimates of later ones.

A training leaves one small JSON beside its results. No rule owns it, because measurements differ each time, while the
outputs of rules repeat exactly. Imports stay light: the Snakefile reads these files to estimate a run.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from salt.runtime.atomic import atomic_path
from salt.runtime.paths import Run
from schemas.networks import Network


@dataclass(frozen=True)
class Timing:
    """What one training took.

    network: its settings as JSON, without the weights that it starts from; shape: of its input, px
    tiles: number of tiles seen over all epochs, repeats and unlabelled ones counted
    seconds: spent on them and on validation, over all parts of a training that was stopped and resumed
    weights: bytes of one snapshot; device: its description
    """

    network: str
    shape: tuple[int, int]
    tiles: int
    seconds: float
    weights: int
    device: str

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a file. Raises ValueError, TypeError, KeyError or OSError if it is not a timing."""
        read = json.loads(path.read_text())
        return cls(**read | {"shape": tuple(read["shape"])})

    def write(self, path: Path) -> None:
        """Write the file, whole or not at all."""
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(asdict(self)))


def kind(network: Network) -> str:
    """A key for networks of the same speed and size, given inputs of the same shape."""
    return json.dumps(network.model_dump(mode="json", exclude={"weights"}), sort_keys=True)


def load(run: Run) -> list[Timing]:
    """Timings of a run, then of the other runs beside it; within each run, the newest first."""
    beside = [Run(folder).timings for folder in sorted(run.folder.parent.glob("*")) if folder != run.folder]
    return [timing for folder in (run.timings, *beside) for timing in _newest_first(folder)]


def _newest_first(folder: Path) -> Iterable[Timing]:
    dated: list[tuple[float, Any]] = [(path.stat().st_mtime, path) for path in folder.glob("[!.]*.json")]
    for _, path in sorted(dated, reverse=True):
        try:
            yield Timing.read(path)
        except (OSError, ValueError, TypeError, KeyError):
            continue  # written by another version, or not by this project
