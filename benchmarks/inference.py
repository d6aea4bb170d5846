"""Prediction of the test tiles with the final blend's snapshots and mirror images: seconds, FLOP/s, memory.

    python -m benchmarks.inference                    a part of the tiles, and an estimate for all of them
    python -m benchmarks.inference --whole            18,000 tiles, all folds: 5 minutes at most on an H200-class GPU
    python -m benchmarks.inference --tiles 32 --snapshots 1 --batch 16      on a CPU

`ours` is what a job of predict_fold does, from files of weights and tiles to a file of predictions; `plain` is the same
in float32, without channels_last.
"""

import argparse
import itertools
import math
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch

from benchmarks import measure, recipe, tiles
from models.registry import create_network
from salt.data.network_input import Geometry
from salt.data.predictions import UNSCORED
from salt.data.tiles import Tiles, load_tiles, save_tiles
from salt.inference import fold_prediction
from salt.inference.predictor import Prediction, Predictor
from salt.inference.snapshots import Member
from salt.inference.weight_files import copy_state, load_weights, save_weights
from salt.runtime import device
from schemas.config import Compute
from schemas.training import Model, NetworkSettings

TEST_TILES = 18_000
FOLDS = 5  # of the recipe
WEIGHTS = "weights.safetensors"
COLUMNS = (
    *("model", "input", "way", "tiles", "snapshots", "loading, s", "seconds", "passes/s"),
    *("TFLOP/s", "share", "peak MB", "whole, min", "fault"),
)


class PlainPredictor(Predictor):
    """A predictor in float32 and PyTorch's own layout."""

    @torch.inference_mode()
    def predict(self, tiles: npt.NDArray[np.uint8], depths: npt.NDArray[np.float32]) -> Prediction:
        """Probabilities of tiles (B, H, W) uint8, with and without their mirror images."""
        batch, at = torch.from_numpy(np.array(tiles)).to(self.device), torch.from_numpy(depths).to(self.device)
        plain, mirrored = self._average(batch, at), self._average(batch.flip(2), at).flip(2)
        return Prediction(plain.cpu().numpy(), ((plain + mirrored) / 2).cpu().numpy())

    def _average(self, batch: torch.Tensor, depths: torch.Tensor) -> torch.Tensor:
        inputs = self.geometry.images(batch, depths).contiguous()
        outputs = (network(inputs)["mask"] for network in self.networks)
        return torch.stack([self.geometry.probabilities(logits) for logits in outputs]).mean(dim=0)


@dataclass(frozen=True)
class Job:
    """The prediction of one fold by one model, with the same random weights for all snapshots."""

    model: Model
    snapshots: int
    tiles: Tiles
    folder: Path  # with the file WEIGHTS
    compute: Compute
    where: torch.device

    @classmethod
    def of(cls, name: str, snapshots: int | None, tiles: Tiles, folder: Path, compute: Compute) -> Self:
        """The job of a model of the recipe, and its file of weights. snapshots: of a fold; none: the recipe's."""
        model = recipe.read(name)
        save_weights(folder / WEIGHTS, copy_state(create_network(model.network, model.input.channel_count)))
        return cls(model, snapshots or len(dict(model.members)), tiles, folder, compute, device.set_up(compute))

    @property
    def geometry(self) -> Geometry:
        """What the networks see of a tile."""
        return Geometry.of(self.model.input, self.tiles)

    def dtype(self, way: str) -> torch.dtype:
        """What the convolutions of a way compute in."""
        return device.prediction_dtype(self.where, self.compute) if way == "ours" else torch.float32

    def predictor(self, way: str) -> Predictor:
        """The predictor of a way, from files of weights."""
        settings = NetworkSettings(network=self.model.network, input=self.model.input)
        members = [Member(file=WEIGHTS, weight=1)] * self.snapshots
        if way == "ours":
            return fold_prediction.load_predictor(
                settings, self.folder, members, self.geometry, self.where, self.dtype(way)
            )
        networks = [create_network(settings.network, settings.input.channel_count) for _ in members]
        for network in networks:
            load_weights(network, self.folder / WEIGHTS)
            network.eval().to(self.where)
        return PlainPredictor(networks, [1.0] * len(networks), self.geometry, self.where)

    def run(self, predictor: Predictor, count: int) -> None:
        """Predict the first `count` tiles into a file."""
        some, batch = self.tiles.part(slice(0, count)), self.compute.predict_batch
        fold_prediction.predict(self.folder / "out.npy", some, predictor, batch, UNSCORED, "tiles")


def measured(job: Job, way: str, whole: bool, limits: dict[str, float]) -> dict[str, Any]:
    """Seconds, rates and memory of one way, and the minutes for all test tiles, folds and snapshots of the recipe."""
    measure.forget_peak(job.where)
    start = time.perf_counter()
    predictor = job.predictor(way)
    loading = time.perf_counter() - start
    job.run(predictor, job.compute.predict_batch)  # the first batch of a process is slow
    folds, start = FOLDS if whole else 1, time.perf_counter()
    for _ in range(folds):
        job.run(predictor, len(job.tiles))
    seconds = time.perf_counter() - start
    passes = 2 * len(job.tiles) * job.snapshots * folds
    rate = passes / seconds
    flops = measure.flops(predictor.networks[0], job.model.input.channel_count, job.geometry.shape)
    dtype = str(job.dtype(way)).removeprefix("torch.")
    of_all = FOLDS * len(dict(job.model.members))
    return {
        "input": "x".join(map(str, job.geometry.shape)),
        "tiles": len(job.tiles),
        "snapshots": job.snapshots * folds,
        "loading, s": loading,
        "seconds": seconds,
        "passes/s": rate,
        "TFLOP/s": flops * rate / 1e12,
        "share": flops * rate / limits[dtype],
        "of": dtype,
        "peak MB": measure.peak(job.where),
        "whole, min": of_all * (loading / job.snapshots + 2 * TEST_TILES / rate) / 60,
    }


def rows(args: argparse.Namespace, compute: Compute, limits: dict[str, float]) -> Iterator[dict[str, Any]]:
    """A row for each way of each model of the final blend; a fault is in its row."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_tiles(folder, tiles.make(1), tiles.make(TEST_TILES if args.whole else args.tiles, "test"))
        for way, model in itertools.product(args.ways, args.models):
            row: dict[str, Any] = {"model": model, "way": way}
            try:
                job = Job.of(model, args.snapshots, load_tiles(folder, "test"), folder, compute)
                row |= measured(job, way, args.whole, limits)
            except Exception as error:  # the other rows are still worth having
                row["fault"] = measure.fault(error)
            yield row


def sums(found: list[dict[str, Any]]) -> dict[str, float]:
    """Minutes of the whole prediction by all models, by way; only of ways that all models have."""
    by_way: dict[str, list[float]] = {}
    for row in found:
        by_way.setdefault(row["way"], []).append(row.get("whole, min", math.nan))
    return {way: sum(minutes) for way, minutes in by_way.items() if not math.isnan(sum(minutes))}


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Options of the program."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    measure.add_options(parser)
    parser.add_argument("--models", nargs="+", choices=recipe.MODELS, default=recipe.final_blend())
    parser.add_argument("--ways", nargs="+", choices=("ours", "plain"), default=["ours", "plain"])
    parser.add_argument("--tiles", type=int, default=1024)
    parser.add_argument("--snapshots", type=int, help="of each fold, instead of the recipe's")
    parser.add_argument("--batch", type=int, help="instead of the recipe's predict_batch")
    parser.add_argument("--whole", action="store_true", help="all test tiles and folds")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run the program; returns 1 if a row has a fault."""
    args = parse_args(argv)
    compute = recipe.compute(args)
    if args.batch:
        compute = compute.model_copy(update={"predict_batch": args.batch})
    where = device.set_up(compute)
    limits = measure.matrix_rates(where)
    result = {"machine": measure.machine(where), "compute": compute.model_dump(), "matrix FLOP/s": limits}
    found: list[dict[str, Any]] = []
    for row in rows(args, compute, limits):
        found.append(row)
        measure.write(args.json, result | {"rows": found, "whole, min": sums(found)})
    print(measure.table(found, COLUMNS))
    print(f"\nAll {TEST_TILES} tiles, min: {', '.join(f'{way} {value:.1f}' for way, value in sums(found).items())}")
    return int(any("fault" in row for row in found))


if __name__ == "__main__":
    raise SystemExit(main())
