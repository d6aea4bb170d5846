"""What makes prediction fast on this machine, one step after the other, and how far each moves probabilities.

    python -m benchmarks.prediction RESULTS MODEL --tiles 512 --threads 1

Predicts held-out tiles of the first fold of a finished run's model with its last snapshot, with mirror images. Prints
tiles a second of CPU time (median of three, so other programs matter less), and differences to the first line.
"""

import argparse
import copy
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import yaml
from torch import nn

from models.registry import create_network
from salt.data import folds
from salt.data.network_input import Geometry
from salt.data.tiles import Tiles, load_tiles, rows_of
from salt.inference import predictor
from salt.inference.predictor import Predictor, ready
from salt.inference.weight_files import load_weights
from salt.runtime import device
from salt.runtime.paths import Run
from salt.scores import metric
from schemas.config import Compute
from schemas.reading import check_config
from schemas.training import Model

REPEATS = 3


@dataclass(frozen=True)
class Way:
    """A way to predict. most_pixels: of a slice that a CPU computes at once."""

    name: str
    network: nn.Module
    most_pixels: int
    dtype: torch.dtype = torch.float32


def ways(model: Model, weights: Path, where: torch.device) -> list[Way]:
    """The ways to compare: the first is the plain one, the third and fourth are those of float32 and bf16."""
    channels = model.input.channel_count
    network = create_network(model.network, channels).eval()
    load_weights(network, weights)
    folded = ready(network, channels, where)
    network = copy.deepcopy(network).to(where).to(memory_format=torch.channels_last)
    whole, slices = 2**40, predictor.CPU_PIXELS
    ways = [Way("float32", network, whole), Way("+ slices", network, slices), Way("+ folded", folded, slices)]
    return [*ways, Way("bf16", network, slices, torch.bfloat16), Way("bf16, folded", folded, slices, torch.bfloat16)]


def predict(way: Way, tiles: Tiles, geometry: Geometry, where: torch.device, batch: int) -> npt.NDArray[np.float32]:
    """Probabilities (n, H, W) of the tiles."""
    predictor.CPU_PIXELS = way.most_pixels
    one = Predictor([way.network], [1], geometry, where, way.dtype)
    starts = range(0, len(tiles), batch)
    parts = (slice(start, start + batch) for start in starts)
    return np.concatenate([one.predict(tiles.images[part], tiles.depths[part]).tta for part in parts])


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("model")
    parser.add_argument("--tiles", type=int, default=512)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    run = Run(args.results)
    model = check_config(yaml.safe_load(run.config.read_text())).models[args.model]
    labelled, compute = load_tiles(run.tiles.folder, "train"), Compute(threads=args.threads)
    held_out = rows_of(labelled.ids, folds.split(labelled.table, folds.load_folds(run.folds), 0)[1])
    tiles, where = labelled.select(held_out[: args.tiles]), device.set_up(compute)
    geometry, weights = Geometry.of(model.input, tiles), sorted(run.fold(args.model, 0).snapshots.glob("[!.]*"))[-1]
    compared, passes, found = ways(model, weights, where), 1 + REPEATS, {}
    seconds: dict[str, list[float]] = {way.name: [] for way in compared}
    for _ in range(passes):  # in turn, so that a change of the machine's load meets all ways; the first is a warm-up
        for way in compared:
            start = time.process_time()
            found[way.name] = predict(way, tiles, geometry, where, compute.predict_batch)
            seconds[way.name].append((time.process_time() - start) / args.threads)
    first = found["float32"]
    for name, p in found.items():
        rate, difference = len(tiles) / statistics.median(seconds[name][1:]), np.abs(p - first)
        score, moved = metric.score((p > 0.5).astype(np.uint8), tiles.masks).mean(), (p > 0.5) != (first > 0.5)
        pixels = f"{moved.sum()} of {moved.size}, in {moved.any((1, 2)).sum()} tiles"
        print(
            f"{name:12} {rate:7.1f} tiles/s | difference: largest {difference.max():.4f}, mean {difference.mean():.6f} "
            f"| pixels across 0.5: {pixels} | score {score:.5f}"
        )


if __name__ == "__main__":
    main()
