"""Find which tiles lie side by side and lay them out in mosaics."""

import argparse
import logging
from pathlib import Path

import numpy as np

from salt import provenance
from salt.atomic import atomic_path
from salt.mosaics import assemble
from salt.neighbours import find_neighbours
from salt.program import run
from salt.tiles import load_tiles
from schemas.config import Mosaics, read_settings


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", required=True, help="the config's section `mosaics`, as JSON")
    parser.add_argument("--tiles", type=Path, required=True, help="folder of prepare_tiles")
    parser.add_argument("--out", type=Path, required=True, help="mosaics.csv to write")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Read the tiles of both splits, find neighbours, assemble, write mosaics.csv."""
    args = parse_args(argv)
    train, test = load_tiles(args.tiles, "train"), load_tiles(args.tiles, "test")
    images = np.concatenate([train.grey, test.grey])
    pairs = find_neighbours(images, read_settings(Mosaics, args.settings))
    mosaics = assemble([*train.ids, *test.ids], pairs)
    with atomic_path(args.out) as path:
        mosaics.to_csv(path, index=False)
    provenance.leave(args.out, args.settings, {"tiles": args.tiles})
    logging.info(
        "%d of %d tiles in %d mosaics, from %d pairs of neighbours",
        len(mosaics),
        len(images),
        mosaics["mosaic"].nunique(),
        len(pairs),
    )


if __name__ == "__main__":
    run(main)
