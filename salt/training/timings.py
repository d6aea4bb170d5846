"""How long trainings took and how large their weights are, from which the next ones are estimated.

A training leaves one small JSON beside its results. No rule owns it: what is measured differs each time, while what
rules write repeats exactly. Light: the Snakefile reads these files each time it tells what a run will take.
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

    network: its settings without the file that it starts from, as JSON; shape: of its input, px
    tiles: passes over single tiles, of all epochs; seconds: spent on them and on validation, over all parts of a
        training that was stopped and went on
    weights: bytes of one snapshot; device: in words
    """

    network: str
    shape: tuple[int, int]
    tiles: int
    seconds: float
    weights: int
    device: str

    @classmethod
    def read(cls, path: Path) -> Self:
        """Raises ValueError, TypeError, KeyError or OSError where the file is not one of these."""
        read = json.loads(path.read_text())
        return cls(**read | {"shape": tuple(read["shape"])})

    def write(self, path: Path) -> None:
        """Write the file, whole or not at all."""
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(asdict(self)))


def kind(network: Network) -> str:
    """What trainings of the same speed and size share, besides the shape of their input."""
    return json.dumps(network.model_dump(mode="json", exclude={"weights"}), sort_keys=True)


def load(run: Run) -> list[Timing]:
    """Timings of a run, then those of the other runs beside it; of each run the newest first."""
    beside = [Run(folder).timings for folder in sorted(run.folder.parent.glob("*")) if folder != run.folder]
    return [timing for folder in (run.timings, *beside) for timing in _newest_first(folder)]


def _newest_first(folder: Path) -> Iterable[Timing]:
    dated: list[tuple[float, Any]] = [(path.stat().st_mtime, path) for path in folder.glob("[!.]*.json")]
    for _, path in sorted(dated, reverse=True):
        try:
            yield Timing.read(path)
        except (OSError, ValueError, TypeError, KeyError):
            continue  # of another version, or not ours
