"""Make the final masks of the test tiles: the steps of the config, from the threshold to the jigsaw rule."""

import argparse
import logging
from pathlib import Path

from salt.data.records import open_records
from salt.data.tiles import load_table, load_tiles
from salt.mosaics.layout import load_mosaics
from salt.postprocess.final_masks import write_masks
from salt.postprocess.jigsaw import usable_masks
from salt.runtime import program, provenance
from salt.runtime.atomic import atomic_path
from schemas.postprocess import Postprocess
from schemas.reading import read_settings


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Options of the program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", required=True, help="JSON of schemas.postprocess.Postprocess")
    parser.add_argument("--probabilities", type=Path, required=True, help="test.npy of the ensemble")
    parser.add_argument("--tiles", type=Path, required=True, help="folder of prepare_tiles")
    parser.add_argument("--mosaics", type=Path, required=True, help="mosaics.csv")
    parser.add_argument("--masks-out", type=Path, required=True, help="records of (id, mask) to write")
    parser.add_argument("--changes-out", type=Path, required=True, help="csv to write: what the jigsaw rule changed")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Run the program."""
    args = parse_args(argv)
    settings = read_settings(Postprocess, args.settings)
    train, table, mosaics = load_tiles(args.tiles, "train"), load_table(args.tiles), load_mosaics(args.mosaics)
    probabilities, constant = open_records(args.probabilities), set(table.loc[table["constant"], "id"])
    known = usable_masks(train.ids, train.arrays[1], train.table["constant"])
    changes = write_masks(args.masks_out, probabilities, constant, known, mosaics, settings)
    with atomic_path(args.changes_out) as path:
        changes.to_csv(path, index=False)
    inputs = {"probabilities": args.probabilities, "tiles": args.tiles, "mosaics": args.mosaics}
    provenance.write([args.masks_out, args.changes_out], args.settings, inputs)
    logging.info("%d masks, by the steps %s", len(probabilities), ", ".join(step.name for step in settings.root))
    pixels = changes["pixels"].sum()
    logging.info("jigsaw rule: %s, %d tiles, %d pixels changed", settings.jigsaw, len(changes), pixels)


if __name__ == "__main__":
    program.run(main)
