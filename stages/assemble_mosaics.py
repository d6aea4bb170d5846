"""Find neighbouring tiles and duplicates, and lay the tiles out in mosaics."""

import argparse
import logging
from collections.abc import Container
from pathlib import Path

import pandas as pd

from salt.data.tiles import GreyImages, load_tiles
from salt.mosaics.duplicates import is_copy
from salt.mosaics.layout import lay_out
from salt.runtime import provenance
from salt.runtime.atomic import atomic_path
from salt.runtime.program import run
from schemas.data import Mosaics
from schemas.reading import read_settings

log = logging.getLogger(__name__)


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Options of the program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", required=True, help="JSON of schemas.data.Mosaics")
    parser.add_argument("--tiles", type=Path, required=True, help="folder of prepare_tiles")
    parser.add_argument("--mosaics", type=Path, required=True, help="mosaics.csv to write")
    parser.add_argument("--neighbours", type=Path, required=True, help="neighbours.csv to write")
    parser.add_argument("--duplicates", type=Path, required=True, help="duplicates.csv to write")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Run the program."""
    args = parse_args(argv)
    train, test = load_tiles(args.tiles, "train"), load_tiles(args.tiles, "test")
    images = GreyImages([train.images, test.images])
    layout = lay_out([*train.ids, *test.ids], images, read_settings(Mosaics, args.settings))
    for table, file in zip(layout, (args.mosaics, args.neighbours, args.duplicates), strict=True):
        with atomic_path(file) as path:
            table.to_csv(path, index=False)
    provenance.write([args.mosaics, args.neighbours, args.duplicates], args.settings, {"tiles": args.tiles})
    log_duplicates(layout.duplicates, set(train.ids))
    log.info(
        "%d of %d tiles in %d mosaics, from %d pairs of neighbours; %d other pairs contradicted more certain ones",
        len(layout.mosaics),
        len(images),
        layout.mosaics["mosaic"].nunique(),
        layout.neighbours["kept"].sum(),
        (~layout.neighbours["kept"]).sum(),
    )


def log_duplicates(duplicates: pd.DataFrame, train: Container[str]) -> None:
    """Warn of duplicates: across splits, they give away a test tile's mask; across folds, they leak into scores."""
    if duplicates.empty:
        log.info("no tile is a copy of another, turned or mirrored")
        return
    copies = is_copy(duplicates).sum()
    across = sum((name in train) != (of in train) for name, of in zip(duplicates["id"], duplicates["of"], strict=True))
    log.warning(
        "%d tiles duplicate another tile: %d are exact copies and in no mosaic, %d are turned or mirrored; "
        "%d are in a different split than their original. See duplicates.csv",
        len(duplicates),
        copies,
        len(duplicates) - copies,
        across,
    )


if __name__ == "__main__":
    run(main)
