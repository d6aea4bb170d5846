"""Make the final masks: threshold the probabilities, empty the constant tiles, apply the jigsaw rule."""

import argparse
import logging
from pathlib import Path

import numpy as np

from salt.data import predictions
from salt.data.records import Records, chunks, create_records, open_records
from salt.data.tiles import load_table, load_tiles
from salt.mosaics.layout import load_mosaics
from salt.postprocess.jigsaw import find_changes, repaint
from salt.runtime import provenance
from salt.runtime.atomic import atomic_path
from salt.runtime.program import run
from schemas.reading import read_settings
from schemas.results import Submission


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", required=True, help="the config's section `submission`, as JSON")
    parser.add_argument("--probabilities", type=Path, required=True, help="test.npy of the ensemble")
    parser.add_argument("--tiles", type=Path, required=True, help="folder of prepare_tiles")
    parser.add_argument("--mosaics", type=Path, required=True, help="mosaics.csv")
    parser.add_argument("--masks-out", type=Path, required=True, help="masks to write: records of id, mask")
    parser.add_argument("--changes-out", type=Path, required=True, help="what the jigsaw rule did, CSV to write")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Read probabilities, tiles and mosaics; write masks and changes."""
    args = parse_args(argv)
    settings = read_settings(Submission, args.settings)
    probabilities = open_records(args.probabilities)
    ids = probabilities["id"].tolist()
    train, table = load_tiles(args.tiles, "train"), load_table(args.tiles)
    known = dict(zip(train.ids, train.arrays[1], strict=True))
    with create_records(args.masks_out, ids, {"mask": np.uint8}, *probabilities["tta"].shape[1:]) as records:
        empty = threshold(probabilities, settings.threshold, set(table.loc[table["constant"], "id"]), records)
        found = find_changes(settings.jigsaw, load_mosaics(args.mosaics), known, set(ids), empty)
        changes = repaint(ids, records["mask"], found)
    with atomic_path(args.changes_out) as path:
        changes.to_csv(path, index=False)
    inputs = {"probabilities": args.probabilities, "tiles": args.tiles, "mosaics": args.mosaics}
    provenance.leave(args.masks_out, args.settings, inputs)
    logging.info(
        "%d masks; jigsaw rule: %s, %d tiles, %d pixels changed",
        len(ids),
        settings.jigsaw,
        len(changes),
        changes["pixels"].sum(),
    )


def threshold(probabilities: Records, at: float, constant: set[str], masks: Records) -> set[str]:
    """Write a mask for each record of probabilities; return the ids of those that are empty."""
    empty: set[str] = set()
    for rows in chunks(len(masks)):
        ids = masks["id"][rows]
        salt = predictions.binarize(probabilities["tta"][rows], at)
        salt[[name in constant for name in ids]] = False
        masks["mask"][rows] = salt
        empty |= set(ids[~salt.any(axis=(1, 2))])
    return empty


if __name__ == "__main__":
    run(main)
