"""Mosaics of synthetic surveys with given numbers of tiles: seconds, peak memory, recall and precision of neighbours.

.venv/bin/python -m benchmarks.mosaics 5000 22000      # making 100000 tiles takes a quarter of an hour
"""

import resource
import sys
import time
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from salt.mosaics.layout import lay_out
from salt.survey.survey import make_tiles
from schemas.data import Mosaics, Survey

COLUMNS = ["id", "mosaic", "row", "column"]


def main() -> None:
    """Make the tiles and search each set in a separate process, so that its peak memory is that of the search alone."""
    for count in map(int, sys.argv[1:] or ("5000", "22000")):
        with TemporaryDirectory() as folder:
            make(count, Path(folder))
            child = get_context("spawn").Process(target=search, args=(Path(folder),))
            child.start()
            child.join()


def make(count: int, folder: Path) -> None:
    """Write tiles.npy and truth.csv: the first `count` tiles of surveys of about 2,500 each, seeds 0, 1 ..."""
    images, places = [], []
    for seed in range(1 + count // 2000):
        tiles = make_tiles(Survey(seed=seed, sections=40), tile=101)[: count - len(places)]
        images.append(np.stack([tile.image for tile in tiles]) if tiles else np.zeros((0, 101, 101), np.uint8))
        places += [(f"{tile.id}-{seed}", 1000 * seed + tile.mosaic, tile.row, tile.column) for tile in tiles]
    np.save(folder / "tiles.npy", np.concatenate(images))
    pd.DataFrame(places, columns=COLUMNS).to_csv(folder / "truth.csv", index=False)


def search(folder: Path) -> None:
    """Lay the tiles out and print the cost and the accuracy; constant tiles are not part of the truth."""
    images, truth = np.load(folder / "tiles.npy"), pd.read_csv(folder / "truth.csv", dtype={"id": str})
    before, start = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    layout = lay_out(truth["id"].tolist(), images, Mosaics())
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    peak = after.ru_maxrss / 1e6
    print(f"{len(images)} tiles: {seconds:.1f} s, {processor:.1f} s of processor time, peak {peak:.2f} GB")
    truth = truth[images.max(axis=(1, 2)) > images.min(axis=(1, 2))]
    for direction, down, right in (("right", 0, 1), ("below", 1, 0)):
        true, found = beside(truth, down, right), beside(layout.mosaics, down, right)
        print(
            f"  {direction}: recall {len(found & true) / len(true):.4f}, precision {len(found & true) / len(found):.4f}"
        )


def beside(places: pd.DataFrame, down: int, right: int) -> set[tuple[str, str]]:
    """Pairs of ids whose second tile lies `down` rows and `right` columns from the first."""
    moved = places.assign(row=places["row"] + down, column=places["column"] + right)
    pairs = moved.merge(places, on=["mosaic", "row", "column"])
    return set(zip(pairs["id_x"], pairs["id_y"], strict=True))


if __name__ == "__main__":
    main()
