"""Neighbours and mosaics of synthetic surveys of about 5,000 and 22,000 tiles: seconds and peak memory."""

import resource
import time

import numpy as np

from salt import mosaics, neighbours
from salt.survey import make_tiles
from schemas.config import Mosaics, Survey


def main() -> None:
    """Run them."""
    for sections in (80, 350):
        tiles = make_tiles(Survey(sections=sections), tile=101)
        images = np.stack([tile.image for tile in tiles])
        start = time.perf_counter()
        pairs = neighbours.find_neighbours(images, Mosaics())
        found = mosaics.assemble([tile.id for tile in tiles], pairs)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        print(
            f"{len(tiles)} tiles: {time.perf_counter() - start:.1f} s, {len(pairs)} pairs, "
            f"{found['mosaic'].nunique()} mosaics of {len(found)} tiles; peak of the process {peak:.2f} GB"
        )


if __name__ == "__main__":
    main()
