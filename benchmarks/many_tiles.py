"""The workflow on very many small tiles, almost all unlabelled: time, peak memory and disk of each job.

.venv/bin/python -m benchmarks.many_tiles 100000 /tmp/many      # 1,000,000 need 15 GB there and most of an hour

Tiles of 32 px in the competition's zips, a tiny network in two folds with one snapshot, pseudo-labels from it, and a
submission, on two cores. More options go to snakemake.
"""

import argparse
import os
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import yaml

from salt.data import rle
from salt.data.records import chunks
from salt.runtime.paths import REPOSITORY, Run

SIDE = 32  # px
LABELLED = 400
EVERY = 0.1  # seconds between looks at the memory of a job
PHASE = {
    "loss": "bce_dice",
    "optimizer": {"name": "adamw", "lr": 3e-3},
    "schedule": {"name": "cosine", "cycles": [2]},
    "batch": 16,
}
UNUSED = ("stage1_resnext50", "stage1_resnet34", "stage2_resnext50", "stage2_resnet34", "stage3_pad128")


def recipe(folder: Path) -> dict:
    """An overlay on workflow_config.yaml: one model, and a set of pseudo-labels from which nothing learns."""
    model = {
        "network": {"name": "unet_plain", "width": 4, "levels": 3},
        "input": {"channels": "grey"},
        "phases": [PHASE],
        "members": {"phase1_cycle1": 1},
    }
    return {
        "pathvars": {"results": str(folder / "results")},
        "data": {"root": str(folder / "data"), "tile": SIDE},
        "folds": {"count": 2, "by": "coverage"},
        "mosaics": {"most_tiles": 0},
        "models": dict.fromkeys([*UNUSED, "stage3_resize128"]) | {"plain": model},
        "ensembles": dict.fromkeys(["stage1", "stage2"])
        | {"final": {"stage2_resnext50": None, "stage3_pad128": None, "plain": 1}},
        "pseudo_labels": dict.fromkeys(["stage1_confident", "stage2_confident", "stage1_by_size"])
        | {"confident": {"ensemble": "plain", "min_confidence": 0.5}},
        "submission": {"ensemble": "final"},
        "compute": {"device": "cpu", "threads": 1, "loader_workers": 0, "predict_batch": 256, "shards": 2},
    }


# Data -----------------------------------------------------------------------------------------------------------------


def write_data(root: Path, count: int) -> None:
    """Write the competition's files: LABELLED labelled tiles and `count` others."""
    root.mkdir(parents=True)
    train, test = (f"t{number:05}" for number in range(LABELLED)), [f"u{number:08}" for number in range(count)]
    rng = np.random.default_rng(2018)
    with zipfile.ZipFile(root / "train.zip", "w") as zipped, (root / "train.csv").open("w") as table:
        table.write("id,rle_mask\n")
        for name, (image, mask) in zip(train, draw(rng, LABELLED), strict=True):
            zipped.writestr(f"images/{name}.png", encoded(image))
            table.write(f"{name},{rle.encode(mask)}\n")
    with zipfile.ZipFile(root / "test.zip", "w") as zipped:
        for rows in chunks(count):
            for name, (image, _) in zip(test[rows], draw(rng, rows.stop - rows.start), strict=True):
                zipped.writestr(f"images/{name}.png", encoded(image))


def draw(rng: np.random.Generator, count: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield noisy images and their masks, (SIDE, SIDE) uint8: salt is bright, below a slanting line."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    top, slant = rng.uniform(0, 1.5 * SIDE, (count, 1, 1)), rng.uniform(-1, 1, (count, 1, 1))
    masks = (rows > top + slant * columns).astype(np.uint8)
    images = np.clip(100 + 60 * masks + rng.normal(0, 25, masks.shape), 0, 255).astype(np.uint8)
    yield from zip(images, masks, strict=True)


def encoded(image: np.ndarray) -> bytes:
    """The image as a PNG."""
    return cv2.imencode(".png", image)[1].tobytes()


# Jobs -----------------------------------------------------------------------------------------------------------------


@dataclass
class Usage:
    """What a job has used so far.

    start, end: when it was first and last seen, s; peak: of its resident memory, with mapped files, kB
    own: peak of the memory that is not backed by files, kB, which alone must fit into the machine
    """

    start: float = field(default_factory=time.time)
    end: float = 0.0
    peak: int = 0
    own: int = 0


def watch(child: subprocess.Popen, used: dict[str, Usage]) -> None:
    """Look at all stage programs below a process until it ends."""
    while child.poll() is None:
        for process in Path("/proc").glob("[0-9]*"):
            try:
                words = (process / "cmdline").read_text().split("\0")
                if "-m" not in words[1:2] or not words[2].startswith("stages.") or not is_below(process, child.pid):
                    continue
                status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
            except (OSError, IndexError):
                continue
            usage = used.setdefault(f"{words[2].removeprefix('stages.')} {process.name}", Usage())
            usage.end = time.time()
            usage.peak = max(usage.peak, kilobytes(status, "VmHWM"))
            usage.own = max(usage.own, kilobytes(status, "RssAnon"))
        time.sleep(EVERY)


def is_below(process: Path, ancestor: int) -> bool:
    """Whether a process descends from another."""
    while process.name not in ("0", "1"):
        parent = (process / "stat").read_text().rpartition(")")[2].split()[1]
        if int(parent) == ancestor:
            return True
        process = process.parent / parent
    return False


def kilobytes(status: dict[str, str], key: str) -> int:
    """A number of /proc/<pid>/status; 0 where a process that ends has none."""
    return int(status.get(key, "0 kB").split()[0])


def main() -> None:
    """Make the data unless they exist, run the workflow, and print a line for each job."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("count", type=int, help="unlabelled tiles")
    parser.add_argument("folder", type=Path, help="of data and results")
    args, options = parser.parse_known_args()
    folder, overlay, used = args.folder.resolve(), args.folder.resolve() / "recipe.yaml", dict[str, Usage]()
    if not (folder / "data").exists():
        write_data(folder / "data", args.count)
    overlay.write_text(yaml.safe_dump(recipe(folder)))
    run = Run(folder / "results")
    targets = [run.submission, run.scores, run.report, run.pseudo_labels("confident", "all_folds").table]
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--configfile", overlay, *options, "--", *targets]
    start = time.time()
    child = subprocess.Popen(command, cwd=REPOSITORY, env=os.environ | {"PYTHONPATH": str(REPOSITORY)})  # noqa: S603
    threading.Thread(target=watch, args=(child, used)).start()
    status = child.wait()
    print(f"{args.count} tiles, {time.time() - start:.0f} s; status {status}")
    print("| job | seconds | own memory, MB | with mapped files, MB |\n|---|---|---|---|")
    for name, usage in used.items():
        if usage.end - usage.start < EVERY:  # a fork of a program, about to become git
            continue
        print(f"| {name.split()[0]} | {usage.end - usage.start:.1f} | {usage.own / 1e3:.0f} | {usage.peak / 1e3:.0f} |")
    sizes = {path: path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    for path in sorted(sizes, key=lambda path: -sizes[path])[:10]:
        print(f"{sizes[path] / 1e6:10.0f} MB  {path.relative_to(folder)}")


if __name__ == "__main__":
    main()
