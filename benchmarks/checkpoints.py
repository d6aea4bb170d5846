"""The cost of checkpoints in a training: the share of time spent on them.

    python -m benchmarks.checkpoints RESULTS MODEL     trains the first fold of a model of a finished run again
    python -m benchmarks.checkpoints                   writes two checkpoints of the recipe's largest network

The first prints the share at the config's `checkpoint_seconds`, the second the time to write a checkpoint.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from models.registry import create_network
from salt.data import folds
from salt.data.tiles import load_tiles, rows_of
from salt.inference.weight_files import copy_state
from salt.training import fit
from salt.training.checkpoints import Checkpoints
from salt.training.state import TrainingState
from salt.training.task import Task
from schemas.networks import Res34At256Ds
from schemas.reading import check_config
from schemas.training import TrainSettings


def train(results: Path, name: str) -> None:
    """Train the first fold of a model as train_fold does, but without pseudo-labels."""
    config = check_config(yaml.safe_load((results / "config.yaml").read_text()))
    model = config.models[name]
    settings = TrainSettings(
        seed=config.seed,
        network=model.network,
        input=model.input,
        augment=model.augment,
        mix=model.mix,
        phases=model.phases,
    )
    labelled = load_tiles(results / "tiles", "train")
    train_ids, held_out_ids = folds.split(labelled.table, folds.load_folds(results / "folds.csv"), 0)
    tiles, held_out = (labelled.select(rows_of(labelled.ids, ids)) for ids in (train_ids, held_out_ids))
    compute = config.compute.model_copy(update={"device": "cpu"})
    task = Task.create(settings, compute, tiles, held_out, fold=0)
    with tempfile.TemporaryDirectory(dir=results) as folder, Checkpoints(Path(folder), "benchmark") as checkpoints:
        spent: list[float] = []
        fit.PhaseTraining._save = timed(fit.PhaseTraining._save, spent)  # type: ignore[method-assign]
        start = time.perf_counter()
        fit.train(task, checkpoints)
        whole = time.perf_counter() - start
    every = f"every {config.compute.checkpoint_seconds:g} s and at each cycle's end"
    print(
        f"{name}: {len(spent)} checkpoints ({every}) took {sum(spent):.2f} of {whole:.1f} s: {sum(spent) / whole:.2%}"
    )


def timed(function: Callable[..., None], spent: list[float]) -> Callable[..., None]:
    """The function; each call appends its seconds to `spent`."""

    def call(*args: Any) -> None:
        start = time.perf_counter()
        function(*args)
        spent.append(time.perf_counter() - start)

    return call


def write_large() -> None:
    """Write a checkpoint of `res34_256_ds` with SGD's momentum and a copy of the best weights, then the next one."""
    network = create_network(Res34At256Ds(name="res34_256_ds", weights="none"))
    state, momentum = network.state_dict(), copy_state(network)
    with tempfile.TemporaryDirectory() as folder, Checkpoints(Path(folder), "benchmark") as checkpoints:
        best = copy_state(network)
        for what in ("first", "next"):
            start = time.perf_counter()
            states = {"network": {**state}, "optimizer": {**momentum}, "phase 1 epoch 1": best}
            checkpoints.save(TrainingState().facts([]), states)
            print(f"{what} checkpoint of res34_256_ds: {time.perf_counter() - start:.2f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, nargs="?", help="folder of a finished run")
    parser.add_argument("model", nargs="?", help="one of its models, without pseudo-labels")
    args = parser.parse_args()
    train(args.results, args.model) if args.results else write_large()
