"""Read and check all images and masks, and pack the tiles into arrays."""

import argparse
import logging
from pathlib import Path

from salt.data.tiles import save_tiles
from salt.intake.competition import read_competition
from salt.intake.folders import read_folders
from salt.intake.sources import sources
from salt.runtime import provenance
from salt.runtime.program import run
from schemas.base import COMPETITION
from schemas.data import DataSettings
from schemas.reading import read_settings

log = logging.getLogger(__name__)


def main(argv: list[str] | None = None) -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", required=True, help="JSON of schemas.data.DataSettings")
    parser.add_argument("--out", type=Path, required=True, help="folder for tiles.csv and the arrays")
    args = parser.parse_args(argv)
    data = read_settings(DataSettings, args.settings)

    if data.layout == "folders":
        train, test = read_folders(data)
    else:
        train, test = read_competition(Path(data.root), data.tile or COMPETITION)
    save_tiles(args.out, train, test)
    provenance.write(args.out, args.settings, {"root": sources(data)})

    for split, tiles in (("train", train), ("test", test)):
        empty = "" if tiles.masks is None else f", {(tiles.table['coverage'] == 0).sum()} without salt"
        log.info("%s: %d tiles, %d constant%s", split, len(tiles), tiles.table["constant"].sum(), empty)


if __name__ == "__main__":
    run(main)
