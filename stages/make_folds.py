"""Assign the training tiles to folds."""

import argparse
import logging
from pathlib import Path

from salt.data import folds
from salt.data.tiles import load_table
from salt.intake.fold_file import read_folds
from salt.mosaics.duplicates import load_duplicates
from salt.mosaics.layout import load_mosaics
from salt.runtime import provenance
from salt.runtime.atomic import atomic_path
from salt.runtime.paths import TileFiles
from salt.runtime.program import run
from schemas.data import Folds
from schemas.reading import read_settings


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Options of the program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", required=True, help="JSON of schemas.data.Folds")
    parser.add_argument("--tiles", type=Path, required=True, help="folder of prepare_tiles")
    parser.add_argument("--mosaics", type=Path, nargs="*", help="mosaics.csv and duplicates.csv; only for `by: mosaic`")
    parser.add_argument("--out", type=Path, required=True, help="folds.csv to write")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Run the program."""
    args = parse_args(argv)
    settings = read_settings(Folds, args.settings)
    table = load_table(args.tiles)
    families, listed = None, None
    if args.mosaics:
        mosaics, duplicates = args.mosaics
        families = folds.families(load_mosaics(mosaics), load_duplicates(duplicates))
    file = Path(settings.file) if settings.file else None
    if file:
        listed = read_folds(file, table, settings.count)
    dealt = folds.assign(table, families, settings, listed)
    with atomic_path(args.out) as path:
        dealt.to_csv(path, index=False)
    inputs = {"tiles": TileFiles(args.tiles).table, "mosaics": args.mosaics, "file": file}
    provenance.write(args.out, args.settings, inputs)
    sizes = ", ".join(str(len(folds.split(table, dealt, fold)[1])) for fold in range(settings.count))
    logging.info("%d training tiles by %s; held out without constant ones: %s", len(dealt), settings.by, sizes)


if __name__ == "__main__":
    run(main)
