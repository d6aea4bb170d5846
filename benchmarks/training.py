"""Training of each network of the recipe: images/s, FLOP/s, memory; the original's way, ours, and its limit.

    python -m benchmarks.training --json training.json                       on a GPU: about 15 minutes
    python -m benchmarks.training --batch 4 --seconds 20                     on a CPU
    python -m benchmarks.training --models stage3_pad128 --ways ours limit   two rows

`original`: the original's loader, loop of losses, float32 and layout. `ours`: this engine. `limit`: this engine on one
batch that stays on the device, which the loader must not miss. `no ...`: ours without one thing. `with ...`: ours with
one thing more, measured only if it is named. The share is that of the measured rate of matrix products.
"""

import argparse
import itertools
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal
from unittest.mock import patch

import torch
from torch import Tensor

from benchmarks import measure, original, recipe, tiles
from salt.data.network_input import Geometry
from salt.data.tiles import Tiles
from salt.runtime import device
from salt.training import fit
from salt.training.loader import Batch
from salt.training.task import Task
from schemas.config import Compute

TILES = 400  # different ones; the original's loader reads each EPOCH / TILES times in its epoch
TRAINING = (
    3  # operations of a step by those of its forward pass; torch's counter is wrong where convolutions have groups
)
EPOCH = 3200  # tiles to train on in a fold of the competition's
COLUMNS = ("model", "input", "batch", "way", "images/s", "slowest", "fastest", "TFLOP/s", "share", "peak MB", "fault")


@dataclass(frozen=True)
class Way:
    """How a training computes; the defaults are the engine's own."""

    loader: Literal["engine", "original", "none"] = "engine"  # none: one batch stays on the device
    workers: bool = True
    channels_last: bool = True
    bf16: bool = True  # where the engine uses it
    tf32: bool = True  # convolutions in float32 as torch does them by default, where the GPU has it
    batched_loss: bool = True
    reads_loss: bool = False  # after each step, so that the CPU waits for the GPU
    autotune: bool = False  # of cuDNN
    compiled: bool = False


ORIGINAL = Way("original", channels_last=False, bf16=False, batched_loss=False, reads_loss=True, autotune=True)
WAYS = {
    "original": ORIGINAL,
    "ours": Way(),
    "limit": Way("none"),
    "original, no TF32": replace(ORIGINAL, tf32=False),
    "no bf16": Way(bf16=False),
    "no channels_last": Way(channels_last=False),
    "no batched loss": Way(batched_loss=False),
    "no engine's loader": Way("original"),
    "no workers": Way(workers=False),
    "no loss left on the device": Way(reads_loss=True),
    "with autotune": Way(autotune=True),
    "with torch.compile": Way(compiled=True),
}
ONLY_CUDA = {"original, no TF32", "no bf16", "no loss left on the device", "with autotune"}


def usual_ways(compute: Compute) -> list[str]:
    """The names of the ways that differ on this machine, without those that must be named."""
    left_out = ONLY_CUDA if compute.device == "cpu" else set()
    left_out = left_out if compute.loader_workers else left_out | {"no workers"}
    return [name for name in WAYS if name not in left_out and not name.startswith("with ")]


# One way of one model -----------------------------------------------------------------------------------------------


@contextmanager
def steps(task: Task, way: Way, pngs: Path) -> Iterator[Callable[[], Tensor]]:
    """Yield a function that takes one step of a training and returns its loss: the engine's own, but for the way.

    pngs: folder of the tiles for the original's loader
    """
    cudnn = {"benchmark": way.autotune, "deterministic": task.compute.deterministic, "allow_tf32": way.tf32}
    with ExitStack() as stack:
        stack.enter_context(torch.backends.cudnn.flags(enabled=True, **cudnn))
        if not way.channels_last:
            stack.enter_context(patch.object(Task, "inputs", _contiguous_inputs))
        if not way.bf16:
            stack.enter_context(patch.object(fit, "autocast", lambda *_: nullcontext()))
        training = _training(task, way, pngs)
        if not way.channels_last:
            task.network.to(memory_format=torch.contiguous_format)
        if way.compiled:
            task.network.compile()
        numbers = itertools.cycle(range(training.sampler.batches_per_epoch))

        def step() -> Tensor:
            training.state.losses.clear()
            training._step(next(numbers), [])
            loss = training.state.losses[-1]
            if way.reads_loss:
                loss.item()
            return loss

        yield step
        del training.batches  # ends its workers


def _contiguous_inputs(task: Task, images: Tensor, depths: Tensor) -> Tensor:
    return task.geometry.images(images, depths).contiguous()


def _training(task: Task, way: Way, pngs: Path) -> fit.PhaseTraining:
    """The phase of a training, with the way's loader and loss."""
    geometry, phase = task.geometry, task.settings.phases[0]
    if way.loader == "original":
        task = replace(task, geometry=original.PlacedGeometry(geometry.settings, geometry.tile))
    if not way.workers:
        task = replace(task, compute=task.compute.model_copy(update={"loader_workers": 0}))
    training = _begun(task)
    if way.loader == "original":
        training.batches = png_batches(task, geometry, pngs)  # type: ignore[assignment]
    elif way.loader == "none":
        training.batches = itertools.repeat(next(training.batches).to(task.device))  # type: ignore[assignment]
    if not way.batched_loss:
        training.loss_of = original.image_by_image(training.loss_of, phase.losses)
    return training


def _begun(task: Task) -> fit.PhaseTraining:
    """The first phase of a training as `fit.train` prepares it, before its first step."""
    found: list[fit.PhaseTraining] = []
    with patch.object(fit.PhaseTraining, "run", lambda training: found.append(training)):
        fit.train(task)
    return found[0]


def png_batches(task: Task, geometry: Geometry, pngs: Path) -> Iterator[Batch]:
    """The original's batches for a task; its epoch is as long as in the competition."""
    ids = (task.tiles.ids * EPOCH)[:EPOCH]
    batch, workers, pin = task.settings.phases[0].batch, task.compute.loader_workers, task.device.type == "cuda"
    return original.batches(pngs, ids, geometry, task.settings.augment, batch, workers, pin)


def measured(task: Task, way: Way, pngs: Path, seconds: float, limits: dict[str, float]) -> dict[str, Any]:
    """Rates and memory of a way; the share is of the limit of the dtype that it mostly computes in."""
    measure.forget_peak(task.device)
    with steps(task, way, pngs) as step:
        with fit.autocast(task.device):
            half = torch.is_autocast_enabled(task.device.type)
        found = measure.rate(step, task.settings.phases[0].batch, seconds, task.device)
    dtype = "bfloat16" if half else "tf32" if way.tf32 and "tf32" in limits else "float32"
    channels, shape = task.settings.input.channel_count, task.geometry.shape
    per_second = TRAINING * measure.flops(task.network, channels, shape) * found.median
    return {
        "images/s": found.median,
        "slowest": found.low,
        "fastest": found.high,
        "blocks": found.blocks,
        "TFLOP/s": per_second / 1e12,
        "share": per_second / limits[dtype],
        "of": dtype,
        "peak MB": measure.peak(task.device),
    }


# All of them --------------------------------------------------------------------------------------------------------


def rows(args: argparse.Namespace, compute: Compute, limits: dict[str, float]) -> Iterator[dict[str, Any]]:
    """A row for each way of each model, the most important ways first, until the time limit; a fault is in its row."""
    train, start = tiles.make(TILES), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        tiles.write_pngs(Path(folder), train)
        for way, name in itertools.product(args.ways or usual_ways(compute), args.models):
            row: dict[str, Any] = {"model": name, "way": way}
            if time.monotonic() - start > args.limit:
                continue
            try:
                task = create_task(name, args.batch, compute, train)
                height, width = task.geometry.shape
                row |= {"input": f"{height}x{width}", "batch": task.settings.phases[0].batch}
                row |= measured(task, WAYS[way], Path(folder), args.seconds, limits)
            except Exception as error:  # the other rows are still worth having
                row["fault"] = measure.fault(error)
            yield row


def create_task(name: str, batch: int | None, compute: Compute, train: Tiles) -> Task:
    """The task of a model of the recipe, with random first weights."""
    model = recipe.read(name)
    return Task.create(recipe.settings(model, batch), compute, train)


def ratios(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """For each model: ours to the original's way, ours to the limit."""
    speeds = {(row["model"], row["way"]): row["images/s"] for row in found if "images/s" in row}
    lines = []
    for name in dict.fromkeys(row["model"] for row in found):
        ours = speeds.get((name, "ours"))
        others = {way: speeds.get((name, way)) for way in ("original", "original, no TF32", "limit")}
        lines.append({"model": name} | {f"ours / {way}": ours / it for way, it in others.items() if ours and it})
    return lines


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Options of the program."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    measure.add_options(parser)
    parser.add_argument("--models", nargs="+", choices=recipe.MODELS, default=list(recipe.MODELS))
    parser.add_argument("--ways", nargs="+", choices=WAYS, help="default: all but `with ...`")
    parser.add_argument("--batch", type=int, help="instead of the recipe's")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    parser.add_argument("--limit", type=float, default=3600.0, help="seconds after which no measurement begins")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run the program; returns 1 if a row has a fault."""
    args = parse_args(argv)
    compute = recipe.compute(args)
    where = device.set_up(compute)
    limits = measure.matrix_rates(where, min(args.seconds, 0.5))
    result = {"machine": measure.machine(where), "compute": compute.model_dump(), "matrix FLOP/s": limits}
    found: list[dict[str, Any]] = []
    for row in rows(args, compute, limits):
        found.append(row)
        print(measure.table([row], COLUMNS).splitlines()[-1], flush=True)
        measure.write(args.json, result | {"rows": found, "ratios": ratios(found)})
    print(f"\n{measure.table(found, COLUMNS)}\n")
    columns = ("model", "ours / original", "ours / original, no TF32", "ours / limit")
    print(measure.table(ratios(found), columns))
    print(f"\nMatrix products, TFLOP/s: {', '.join(f'{name} {rate / 1e12:.3g}' for name, rate in limits.items())}")
    return int(any("fault" in row for row in found))


if __name__ == "__main__":
    raise SystemExit(main())
