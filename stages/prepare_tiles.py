"""Read and check all images and masks, and pack the tiles into arrays."""

import argparse
import logging
from pathlib import Path

from salt.data import hidden_labels
from salt.data.scratch import in_folder
from salt.data.tiles import save_tiles
from salt.intake.competition import read_competition
from salt.intake.folders import read_folders
from salt.intake.sources import sources
from salt.runtime import provenance
from salt.runtime.paths import TileFiles
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
    parser.add_argument("--hidden-masks", type=Path, nargs="?", help="records to write, if labels are hidden")
    args = parser.parse_args(argv)
    data = read_settings(DataSettings, args.settings)
    if data.hide_labels and not args.hidden_masks:
        parser.error("data.hide_labels needs --hidden-masks")

    allocate = in_folder(args.out)
    if data.layout == "folders":
        train, test = read_folders(data, allocate)
    else:
        train, test = read_competition(Path(data.root), data.tile or COMPETITION, allocate)
    splits = {"train": train, "test": test}
    if data.hide_labels:
        splits["train"], splits["test"], splits["hidden"] = hidden_labels.hide(train, test, data.hide_labels, allocate)
        hidden_labels.save_masks(args.hidden_masks, splits["hidden"])
    save_tiles(args.out, splits["train"], splits["test"])
    outputs = [*TileFiles(args.out).all, args.hidden_masks]
    provenance.write(outputs, args.settings, {"root": sources(data)}, name=args.out)

    for split, tiles in splits.items():
        empty = "" if tiles.masks is None else f", {(tiles.table['coverage'] == 0).sum()} without salt"
        log.info("%s: %d tiles, %d constant%s", split, len(tiles), tiles.table["constant"].sum(), empty)


if __name__ == "__main__":
    run(main)
