"""Every step between tiles and results, at several numbers of tiles: seconds and memory, beside a plain twin.

    python -m benchmarks.pipeline                      5,000 and 22,000 tiles: about 10 minutes
    python -m benchmarks.pipeline --tiles 100000       20 minutes, 12 GB of memory and 8 GB of disk

A twin is what one would write first: loops over tiles and pixels, everything in memory. It works on `--part` tiles; its
seconds for all of them are that number scaled, as a square where each tile is compared with each.
"""

import argparse
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
import torch

from benchmarks import measure, tiles
from benchmarks import plain_twins as twins
from salt.data import rle
from salt.data.predictions import UNSCORED
from salt.data.records import create_records, open_records
from salt.data.tiles import Tiles
from salt.ensembles import blending, pseudo_labels
from salt.intake.competition import read_competition
from salt.mosaics.layout import lay_out
from salt.scores import metric
from schemas.data import Mosaics
from schemas.results import PseudoLabelSettings

CPU = torch.device("cpu")
SIZE = (tiles.SIDE, tiles.SIDE)
LABELLED = 400  # or half of fewer than 800 tiles
THRESHOLDS = np.arange(1, 51) / 51
COLUMNS = ("step", "tiles", "seconds", "peak MB", "twin, s", "of tiles", "twin's peak MB", "twin / ours", "fault")
Mask = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class World:
    """The files and arrays that the steps work on, each made when it is first asked for."""

    count: int
    folder: Path

    @cached_property
    def tiles(self) -> Tiles:
        """Labelled tiles."""
        return tiles.make(self.count)

    @property
    def masks(self) -> Mask:
        """The true masks, (n, H, W) uint8."""
        return self.tiles.arrays[1]

    @cached_property
    def texts(self) -> list[str]:
        """The masks' run-length encodings."""
        return [rle.encode(mask) for mask in self.masks]

    @cached_property
    def archives(self) -> Path:
        """A folder of the competition's files: LABELLED tiles with masks, the others without."""
        root = self.folder / "data"
        root.mkdir()
        labelled = min(LABELLED, self.count // 2)
        ends = {"train": slice(0, labelled), "test": slice(labelled, None)}
        for split, rows in ends.items():
            with zipfile.ZipFile(root / f"{split}.zip", "w") as zipped:
                for name, image in zip(self.tiles.ids[rows], self.tiles.images[rows], strict=True):
                    zipped.writestr(f"images/{name}.png", cv2.imencode(".png", image)[1].tobytes())
        lines = (f"{name},{text}\n" for name, text in zip(self.tiles.ids[:labelled], self.texts, strict=False))
        (root / "train.csv").write_text(f"id,rle_mask\n{''.join(lines)}")
        return root

    @cached_property
    def predictions(self) -> list[Path]:
        """Two files of predictions: the masks with noise, float16."""
        rng, paths = np.random.default_rng(0), [self.folder / f"member{number}.npy" for number in range(2)]
        for path in paths:
            with create_records(path, self.tiles.ids, dict.fromkeys(UNSCORED, np.float16), *SIZE) as records:
                for row, mask in enumerate(self.masks):
                    noise = 0.3 * rng.standard_normal(SIZE, dtype=np.float32)
                    records["tta"][row] = np.clip(mask + noise, 0, 1)
        return paths

    def probabilities(self, count: int) -> npt.NDArray[np.float16]:
        """Predictions of the first tiles, (count, H, W)."""
        return open_records(self.predictions[0])["tta"][:count]

    @property
    def out(self) -> Path:
        """A file to write."""
        return self.folder / "out.npy"


class Step(NamedTuple):
    """A step on the first `count` tiles, and its plain twin, whose time grows with a power of their number."""

    ours: Callable[[World, int], object]
    twin: Callable[[World, int], object]
    power: int = 1
    prepare: Callable[[World], object] = lambda world: world.tiles


# The steps ------------------------------------------------------------------------------------------------------------


def label(world: World, count: int) -> object:
    """What make_pseudo_labels does: masks, confidences, selection."""
    settings = PseudoLabelSettings(ensemble="both", folds=2, weights=(1, 1))
    table = pseudo_labels.write_masks([open_records(path) for path in world.predictions], settings, world.out)
    return pseudo_labels.select(table.assign(constant=False), settings, settings.folds)


def blend(world: World, count: int) -> object:
    """What blend does."""
    return blending.blend([open_records(path) for path in world.predictions], (1, 1), world.out)


def archives(world: World) -> object:
    """Prepare what `unpack` reads."""
    return world.archives


def predictions(world: World) -> object:
    """Prepare what the steps after prediction read."""
    return world.predictions


STEPS = {
    "pack": Step(
        lambda world, count: read_competition(world.archives, SIZE),
        lambda world, count: twins.unpack(world.archives / "test.zip", count),
        prepare=archives,
    ),
    "encode": Step(
        lambda world, count: [rle.encode(mask) for mask in world.masks],
        lambda world, count: [twins.encode(mask) for mask in world.masks[:count]],
    ),
    "decode": Step(
        lambda world, count: [rle.decode(text, *SIZE) for text in world.texts],
        lambda world, count: [twins.decode(text) for text in world.texts[:count]],
        prepare=lambda world: world.texts,
    ),
    "score": Step(
        lambda world, count: metric.score(world.masks[::-1], world.masks),
        lambda world, count: twins.score(world.masks[::-1][:count] > 0, world.masks[:count]),
    ),
    "thresholds": Step(
        lambda world, count: metric.threshold_scores(world.probabilities(count), world.masks, THRESHOLDS),
        lambda world, count: twins.curve(world.probabilities(count), world.masks[:count], THRESHOLDS),
        prepare=predictions,
    ),
    "blend": Step(blend, lambda world, count: twins.average(world.predictions, count, world.out), prepare=predictions),
    "pseudo-labels": Step(label, lambda world, count: twins.label(world.predictions, count), prepare=predictions),
    "mosaics": Step(
        lambda world, count: lay_out(world.tiles.ids, world.tiles.images, Mosaics(most_tiles=count)),
        lambda world, count: twins.match(world.tiles.images[:count]),
        power=2,
    ),
}


# All of them --------------------------------------------------------------------------------------------------------


def timed(work: Callable[[World, int], object], world: World, count: int) -> tuple[float, float]:
    """Seconds, and the peak of memory in MB beyond what was there."""
    measure.forget_peak(CPU)
    before, start = measure.peak(CPU), time.perf_counter()
    work(world, count)
    return time.perf_counter() - start, measure.peak(CPU) - before


def rows(args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """A row for each step at each number of tiles; a fault is in its row."""
    for count in args.tiles:
        with tempfile.TemporaryDirectory(dir=args.folder) as folder:
            world = World(count, Path(folder))
            for name in args.steps:
                row: dict[str, Any] = {"step": name, "tiles": count}
                try:
                    row |= compared(STEPS[name], world, min(args.part, count))
                except Exception as error:  # the other rows are still worth having
                    row["fault"] = measure.fault(error)
                yield row


def compared(step: Step, world: World, part: int) -> dict[str, Any]:
    """Seconds and memory of a step on all tiles and of its twin on a part of them."""
    step.prepare(world)
    seconds, memory = timed(step.ours, world, world.count)
    twin, twins_memory = timed(step.twin, world, part)
    twin *= (world.count / part) ** step.power
    of_ours, of_twin = {"seconds": seconds, "peak MB": memory}, {"twin, s": twin, "twin's peak MB": twins_memory}
    return of_ours | of_twin | {"of tiles": part, "twin / ours": twin / seconds}


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Options of the program."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiles", type=int, nargs="+", default=[5000, 22_000])
    parser.add_argument("--part", type=int, default=1000, help="tiles that the twins work on")
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=list(STEPS))
    parser.add_argument("--folder", type=Path, help="where to make files; default: the system's temporary folder")
    parser.add_argument("--json", type=Path, help="file to write")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run the program; returns 1 if a row has a fault."""
    args = parse_args(argv)
    machine, found = measure.machine(CPU), list[dict[str, Any]]()
    for row in rows(args):
        found.append(row)
        print(measure.table([row], COLUMNS).splitlines()[-1], flush=True)
        measure.write(args.json, {"machine": machine, "rows": found})
    print(f"\n{measure.table(found, COLUMNS)}")
    return int(any("fault" in row for row in found))


if __name__ == "__main__":
    raise SystemExit(main())
