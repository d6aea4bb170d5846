"""What jobs with networks claim on a cluster: cores, memory and time. On one machine, nothing limits these claims.

Each attempt claims twice as much memory and time as the one before. A training that ran out of time has saved a
checkpoint, so the next attempt continues it.
"""

import math
from typing import Any

from salt.runtime import timings
from salt.runtime.paths import Run
from salt.workflow.cost import Cost, TileCount, count_tiles
from salt.workflow.snakemake_adapter import Job
from schemas.config import Config

UNKNOWN = 12 * 60  # minutes of a job whose like was not measured yet
START = 15  # minutes: a busy file system, imports, tiles
MARGIN = 1.5  # nodes differ, and share disks
PROGRAM = 6000  # MB of a program with torch, CUDA and a network; 1500 were measured on a CPU
WORKER = 500  # MB of a process that augments tiles
COPIES = 4  # of a tile and its mask in memory: as read, as selected, with pseudo-labels, as batches


class Claims:
    """The claims of a config's jobs, as functions that Snakemake calls with a job's wildcards and attempt (from 1)."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self._tiles: TileCount | None = None

    def cost(self) -> Cost:
        """The cost of jobs by the timings that exist now."""
        return Cost(self.config, self.tiles, timings.load(Run.of(self.config)))

    @property
    def tiles(self) -> TileCount | None:
        """The run's tiles, counted once, because there may be millions; None while they cannot be counted."""
        self._tiles = self._tiles or count_tiles(self.config)
        return self._tiles

    @property
    def cores(self) -> int:
        """Cores of a job: the network's threads and the processes that augment tiles."""
        return self.config.compute.threads + self.config.compute.loader_workers

    def megabytes(self, wildcards: Any, attempt: int) -> int:
        """Memory of a job, which holds the tiles."""
        tiles, channels = self.tiles, 3 if self.config.data.colour == "rgb" else 1
        held = COPIES * (tiles.train + tiles.test) * tiles.pixels * (channels + 1) // 10**6 if tiles else 0
        return (PROGRAM + WORKER * self.config.compute.loader_workers + held) * 2 ** (attempt - 1)

    def pretrain_minutes(self, wildcards: Any, attempt: int) -> int:
        """Time of a pretraining."""
        return self._minutes(self.cost().seconds(Job("pretrain", dict(wildcards.items()))), attempt)

    def train_minutes(self, wildcards: Any, attempt: int) -> int:
        """Time of a fold's training."""
        return self._minutes(self.cost().seconds(Job("train_fold", dict(wildcards.items()))), attempt)

    def predict_minutes(self, wildcards: Any, attempt: int) -> int:
        """Time of a fold's prediction, or of a part of it."""
        return self._minutes(self.cost().prediction_seconds(wildcards.model), attempt)

    def image_minutes(self, wildcards: Any, attempt: int) -> int:
        """Time of a prediction of other images; what is done when it ends is kept."""
        return self._minutes(None, attempt)

    def _minutes(self, seconds: float | None, attempt: int) -> int:
        once = UNKNOWN if seconds is None else START + math.ceil(MARGIN * seconds / 60)
        return once * 2 ** (attempt - 1)
