"""Estimates of the cost of jobs before they run, in seconds of training and in bytes on disk."""

import contextlib
import csv
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Self

from salt.data.damage import reading
from salt.intake import sources
from salt.runtime import timings
from salt.runtime.makespan import Limits, Load
from salt.runtime.paths import Run, TileFiles
from salt.runtime.timings import Timing
from salt.workflow.snakemake_adapter import Job, size
from schemas import rounds
from schemas.config import Config
from schemas.errors import UserError
from schemas.phases import Phase

TRAININGS = ("pretrain", "train_fold")
PREDICTIONS = ("predict_fold", "predict_shard")  # of the run's tiles

# Pixels per second and core in training: res34_256 reaches 22,569, other networks with an encoder are near it.
CPU_PIXELS = 20_000
FIELD = 2  # bytes per pixel of a field of float16; predictions have one or two (salt/data/predictions.py)


class TileCount(NamedTuple):
    """Number of tiles that all folds together train on, number of tiles to predict, and pixels per tile."""

    train: int
    test: int
    pixels: int


@dataclass(frozen=True)
class Disk:
    """Bytes by purpose, without the models in `unknown`, the size of whose weights is unknown."""

    kinds: dict[str, int] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        """Bytes of all kinds together."""
        return sum(self.kinds.values())


@dataclass(frozen=True)
class Cost:
    """The cost of jobs of a config.

    tiles: None if their number is not known yet
    measured: timings of earlier trainings, the best basis first
    checkpoints: bytes of existing checkpoints
    """

    config: Config
    tiles: TileCount | None
    measured: Sequence[Timing] = ()
    checkpoints: int = 0

    @classmethod
    def of(cls, config: Config) -> Self:
        """The cost of jobs of a config, based on the files of its run."""
        run = Run.of(config)
        return cls(config, count_tiles(config), timings.load(run), size(run.all_checkpoints))

    # Time -----------------------------------------------------------------------------------------------------

    def seconds(self, job: Job) -> float | None:
        """Maximum seconds of a training; None if no similar one was measured, or if the tiles are unknown."""
        basis, tiles = self.basis(job), self._tiles_of(job)
        if basis is None or tiles is None:
            return None
        return self._passes(job) * tiles * basis.seconds / basis.tiles

    def loads(self, jobs: Sequence[Job]) -> dict[int, Load]:
        """What jobs take, by their numbers. Only trainings take time here, as far as their time is known."""
        seconds = {job.number: self.seconds(job) or 0.0 for job in jobs if job.rule in TRAININGS}
        return {job.number: Load(seconds.get(job.number, 0.0), job.cores, job.gpus, job.after) for job in jobs}

    def prediction_seconds(self, model: str) -> float | None:
        """Maximum seconds of a job that predicts for a fold: a tile takes less than in training, twice a snapshot."""
        basis = self.basis(Job("predict_fold", {"model": model}))
        if basis is None or self.tiles is None:
            return None
        tiles = self.tiles.train // self.config.folds.count + self.tiles.test // self.config.compute.shards + 2
        return 2 * len(self.config.models[model].snapshots) * tiles * basis.seconds / basis.tiles

    def seconds_on_cpu(self, job: Job) -> float:
        """Rough seconds of a training on the CPU with this config's threads; 0 for networks without an encoder."""
        model, tiles = self.config.models[job.wildcards["model"]], self._tiles_of(job)
        shape = model.input.known_shape(self.config.data.shape)
        if tiles is None or shape is None or model.network.encoder is None:
            return 0
        return self._passes(job) * tiles * math.prod(shape) / (CPU_PIXELS * self.config.compute.threads)

    def basis(self, job: Job) -> Timing | None:
        """The measured training with the same network and input, from which a training is estimated."""
        model = self.config.models[job.wildcards["model"]]
        key = timings.kind(model.network), model.input.known_shape(self.config.data.shape)
        return next((timing for timing in self.measured if (timing.network, timing.shape) == key), None)

    def _passes(self, job: Job) -> float:
        return sum(phase.schedule.most_epochs * phase.work_per_epoch for phase in self._phases(job))

    def _phases(self, job: Job) -> Sequence[Phase]:
        model = self.config.models[job.wildcards["model"]]
        return model.pretrain.phases if job.rule == "pretrain" and model.pretrain else model.phases

    def _tiles_of(self, job: Job) -> int | None:
        """Maximum number of tiles that a training learns from: which pseudo-labels are confident is not known yet."""
        if self.tiles is None:
            return None
        model, folds = self.config.models[job.wildcards["model"]], self.config.folds.count
        if job.rule == "pretrain" and model.pretrain:
            labels = self.config.pseudo_labels[model.pretrain.pseudo_labels]
            served = [range(folds)] if labels.scope == "ensemble" else [[fold] for fold in range(folds)]
            return max(labels.most_tiles(self.tiles.test, each) for each in served)
        labelled = self.tiles.train * (folds - 1) // folds
        if model.add_pseudo_labels is None:
            return labelled
        added = self.config.pseudo_labels[model.add_pseudo_labels]
        return labelled + added.most_tiles(self.tiles.test, [int(job.wildcards["fold"])])

    # Bytes ----------------------------------------------------------------------------------------------------

    def disk(self, jobs: Sequence[Job], limits: Limits) -> Disk:
        """Peak bytes that jobs add to the disk, less those that they replace. limits: of what runs side by side."""
        kinds: dict[str, int] = defaultdict(int)
        number, folds = rounds.numbers(self.config), dict[int, int]()
        for job in jobs:
            kind, amount = self._kept(job)
            kinds[kind] += max(0, amount - job.present)
            if job.rule in PREDICTIONS:
                # All folds of a round may wait to be blended.
                of_round = number[job.wildcards["model"]]
                folds[of_round] = folds.get(of_round, 0) + self._predictions(job, kept=False)
        trainings = [job for job in jobs if job.rule in TRAININGS]
        trained = list(dict.fromkeys(job.wildcards["model"] for job in trainings))
        largest = sorted((self._checkpoints(job.wildcards["model"]) for job in trainings), reverse=True)
        checkpoints = sum(largest[: limits.at_once([(job.cores, job.gpus) for job in trainings])])
        kinds["checkpoints, while trainings run"] = max(0, checkpoints - self.checkpoints)
        kinds["predictions of folds, until they are blended"] = max(folds.values(), default=0)
        unknown = [model for model in trained if self.weights(model) is None]
        return Disk({kind: amount for kind, amount in kinds.items() if amount}, tuple(unknown))

    def weights(self, model: str) -> int | None:
        """Bytes of one set of a model's weights: measured, or else from its number of parameters; None if unknown."""
        network = self.config.models[model].network
        for timing in self.measured:
            if timing.network == timings.kind(network):
                return timing.weights
        return 4 * network.known_parameters if network.known_parameters else None  # float32

    def _kept(self, job: Job) -> tuple[str, int]:
        """The kind of a job's permanent output, and its bytes; 0 if they are unknown."""
        train, test, pixels = self.tiles or (0, 0, 0)
        channels = 3 if self.config.data.colour == "rgb" else 1
        match job.rule:
            case "train_fold" | "pretrain":
                model = job.wildcards["model"]
                sets = len(self.config.models[model].snapshots) if job.rule == "train_fold" else 1
                return "weights", sets * (self.weights(model) or 0)
            case "predict_fold" | "predict_shard":
                return "predictions of folds, kept for pseudo-labels", self._predictions(job, kept=True)
            case "blend":
                return "predictions of models and ensembles", (2 * train + self._test_fields * test) * pixels * FIELD
            case "prepare_tiles":
                hide = self.config.data.hide_labels
                masks = round(train / (1 - hide.share)) if hide else train  # hidden ones are written too
                return "tiles and masks", (masks + channels * (train + test)) * pixels
            case "make_pseudo_labels":
                soft = self.config.pseudo_labels[job.wildcards["labels"]].masks == "soft"
                return "tiles and masks", test * pixels * (2 if soft else 1)
            case "postprocess":
                return "tiles and masks", test * pixels
            case "predict_images":
                return "predictions of images and, until they are blended, of their windows", self._of_images()
        return "tables", 0

    def _of_images(self) -> int:
        """Bytes of predictions of other images, 2 per pixel, assuming a byte per pixel in the files and windows."""
        windows = 1 / (1 - self.config.windows.overlap) ** 2  # windows that contain a pixel
        return round(2 * (1 + windows) * size(Path(self.config.predict or "")))

    @property
    def _test_fields(self) -> int:
        """Fields of a prediction of test tiles."""
        return 2 if self.config.knows_test_masks else 1

    def _predictions(self, job: Job, kept: bool) -> int:
        """Bytes of a fold's predictions in a job: those that are kept, or those that are deleted once blended."""
        train, test, pixels = self.tiles or (0, 0, 0)
        keeps_test = any(labels.scope == "fold" for labels in self.config.pseudo_labels.values())
        shards, is_shard = self.config.compute.shards, job.rule == "predict_shard"
        of_test = test * self._test_fields // shards if is_shard or shards == 1 else 0
        held_out = 0 if is_shard else 2 * (train // self.config.folds.count)
        fields = of_test * (kept == keeps_test) + held_out * (not kept)
        return fields * pixels * FIELD

    def _checkpoints(self, name: str) -> int:
        """Maximum bytes of a training's checkpoints (salt/training/checkpoints.py).

        Two are kept, each with the weights, the optimizer's state, an average, the best weights of the phase, and
        the weights that later epochs may replace. All other snapshots never change and are stored once.
        """
        model = self.config.models[name]
        phases = [*model.phases, *(model.pretrain.phases if model.pretrain else ())]
        optimizer = 2 if any(phase.optimizer.name == "adamw" for phase in phases) else 1
        average = 1 if any(phase.average for phase in phases) else 0
        replaced = max(phase.rewritten for phase in phases)
        return (2 * (1 + optimizer + average + 1 + replaced) + len(model.snapshots)) * (self.weights(name) or 0)


def count_tiles(config: Config) -> TileCount | None:
    """Tiles of a run: counted in its tiles, or else in the tables of the data; None if there are neither.

    For a survey that has not been made yet, the maximum number of tiles. Tiles whose labels are hidden are tiles to
    predict.
    """
    with contextlib.suppress(UserError):  # a damaged table stops the programs that read it, not the plan of a run
        return _count_packed(Run.of(config).tiles)
    if config.data.shape is None or config.data.layout == "folders":  # the images may be larger than a tile
        return None
    pixels = math.prod(config.data.shape)
    if config.survey:
        most = config.survey.sections * config.survey.rows[1] * config.survey.columns[1]
        test = round(most * config.survey.test)
        return _with_hidden_labels(config, TileCount(most - test, test, pixels))
    root = Path(config.data.root)
    train, predicted = sources.rows(root, "train.csv"), sources.rows(root, "sample_submission.csv")
    return _with_hidden_labels(config, TileCount(train, predicted, pixels)) if train and predicted else None


def _count_packed(tiles: TileFiles) -> TileCount:
    """Tiles in the table of a run. Raises UserError if it is missing or damaged."""
    with reading(tiles.table), tiles.table.open(newline="", encoding="utf-8") as file:
        rows = [(row["split"], row["constant"]) for row in csv.DictReader(file)]
    labelled = sum(split == "train" for split, _ in rows)
    pixels = size(tiles.masks) // max(1, labelled)  # one byte per pixel, and a few bytes of header
    return TileCount(rows.count(("train", "False")), len(rows) - labelled, pixels)


def _with_hidden_labels(config: Config, tiles: TileCount) -> TileCount:
    """The numbers after the config's labels are hidden."""
    hidden = config.data.hide_labels.count(tiles.train) if config.data.hide_labels else 0
    return TileCount(tiles.train - hidden, tiles.test + hidden, tiles.pixels)
