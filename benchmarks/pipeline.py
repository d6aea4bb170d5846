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
LABELLED = 400
THRESHOLDS = np.arange(1, 51) / 51
IOUS = np.arange(0.5, 1, 0.05)
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
        ends = {"train": slice(0, LABELLED), "test": slice(LABELLED, None)}
        for split, rows in ends.items():
            with zipfile.ZipFile(root / f"{split}.zip", "w") as zipped:
                for name, image in zip(self.tiles.ids[rows], self.tiles.images[rows], strict=True):
                    zipped.writestr(f"images/{name}.png", cv2.imencode(".png", image)[1].tobytes())
        lines = (f"{name},{text}\n" for name, text in zip(self.tiles.ids[:LABELLED], self.texts, strict=False))
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


# Plain twins --------------------------------------------------------------------------------------------------------


def unpack(world: World, count: int) -> object:
    """Read and decode the archive's images one after another."""
    with zipfile.ZipFile(world.archives / "test.zip") as zipped:
        data = [np.frombuffer(zipped.read(name), np.uint8) for name in zipped.namelist()[:count]]
    return np.stack([cv2.imdecode(image, cv2.IMREAD_GRAYSCALE) for image in data])


def encode(mask: Mask) -> str:
    """Run-length encoding, pixel by pixel."""
    runs: list[int] = []
    previous = -2
    for pixel in np.flatnonzero(mask.T.ravel()):
        if pixel > previous + 1:
            runs += [int(pixel) + 1, 0]
        runs[-1] += 1
        previous = pixel
    return " ".join(map(str, runs))


def decode(text: str) -> Mask:
    """The mask of a run-length encoding, run by run."""
    pixels, values = np.zeros(tiles.SIDE**2, np.uint8), list(map(int, text.split()))
    for start, length in zip(values[::2], values[1::2], strict=True):
        pixels[start - 1 : start - 1 + length] = 1
    return pixels.reshape(SIZE).T


def score(predicted: npt.NDArray[np.bool_], truth: Mask) -> list[float]:
    """The score of each tile, threshold by threshold."""
    scores = []
    for one, other in zip(predicted, truth.astype(bool), strict=True):
        union = (one | other).sum()
        iou = (one & other).sum() / union if union else 1.0
        scores.append(float(np.mean([iou > threshold for threshold in IOUS])))
    return scores


def average(world: World, count: int) -> object:
    """The mean of all predictions, in memory."""
    members = [np.load(path)["tta"][:count].astype(np.float32) for path in world.predictions]
    np.save(world.folder / "twin.npy", np.mean(members, axis=0).astype(np.float16))
    return members


def label(world: World, count: int) -> object:
    """The mask and the confidence of each tile's mean."""
    found = []
    for tile in np.mean([np.load(path)["tta"][:count].astype(np.float32) for path in world.predictions], axis=0):
        sure = ((tile < 0.2) | (tile > 0.8)).sum() / tile.size
        found.append((tile > 0.5, sure, (tile > 0.5).sum()))
    return found


def match(world: World, count: int) -> object:
    """For each tile, the most similar left and upper borders of all tiles to its right and lower ones."""
    images = world.tiles.images[:count].astype(np.float32)
    found = []
    for own, others in ((images[:, :, -1], images[:, :, 0]), (images[:, -1], images[:, 0])):
        others = (others - others.mean(1, keepdims=True)) / (others.std(1, keepdims=True) + 1e-6)
        for line in own:
            similarity = (others * ((line - line.mean()) / (line.std() + 1e-6))).mean(axis=1)
            found.append((int(similarity.argmax()), float(similarity.max())))
    return found


# Ours ---------------------------------------------------------------------------------------------------------------


def label_in_chunks(world: World, count: int) -> object:
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


def at_thresholds(world: World, count: int) -> object:
    """The twin's curve of scores."""
    probabilities, truth = world.probabilities(count), world.masks[:count]
    return [score(probabilities > threshold, truth) for threshold in THRESHOLDS]


STEPS = {
    "pack": Step(lambda world, count: read_competition(world.archives, SIZE), unpack, prepare=archives),
    "encode": Step(
        lambda world, count: [rle.encode(mask) for mask in world.masks],
        lambda world, count: [encode(mask) for mask in world.masks[:count]],
    ),
    "decode": Step(
        lambda world, count: [rle.decode(text, *SIZE) for text in world.texts],
        lambda world, count: [decode(text) for text in world.texts[:count]],
        prepare=lambda world: world.texts,
    ),
    "score": Step(
        lambda world, count: metric.score(world.masks[::-1], world.masks),
        lambda world, count: score(world.masks[::-1][:count] > 0, world.masks[:count]),
    ),
    "thresholds": Step(
        lambda world, count: metric.threshold_scores(world.probabilities(count), world.masks, THRESHOLDS),
        at_thresholds,
        prepare=predictions,
    ),
    "blend": Step(blend, average, prepare=predictions),
    "pseudo-labels": Step(label_in_chunks, label, prepare=predictions),
    "mosaics": Step(
        lambda world, count: lay_out(world.tiles.ids, world.tiles.images, Mosaics(most_tiles=count)), match, power=2
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
    """A row for each step at each number of tiles; faults end no row."""
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
    found: list[dict[str, Any]] = []
    for row in rows(args):
        found.append(row)
        print(measure.table([row], COLUMNS).splitlines()[-1], flush=True)
        measure.write(args.json, {"machine": measure.machine(CPU), "rows": found})
    print(f"\n{measure.table(found, COLUMNS)}")
    return int(any("fault" in row for row in found))


if __name__ == "__main__":
    raise SystemExit(main())
