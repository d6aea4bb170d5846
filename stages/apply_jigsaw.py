"""Make the final masks: threshold the probabilities, empty the constant tiles, apply the jigsaw rule."""

import argparse
import logging
from pathlib import Path

import numpy as np
import pandas as pd

from salt import predictions, provenance
from salt.atomic import atomic_path
from salt.jigsaw import Change, find_changes, repaint
from salt.mosaics import load_mosaics
from salt.program import run
from salt.records import Records, chunks, create_records, open_records
from salt.tiles import load_table, load_tiles
from schemas.config import Submission, read_settings


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
    table = load_table(args.tiles)
    changes = find(args.tiles, args.mosaics, set(probabilities["id"])) if settings.jigsaw else []
    constant = table.loc[table["constant"], "id"]
    pixels = write_masks(args.masks_out, probabilities, settings.threshold, set(constant), changes)
    write_changes(args.changes_out, changes, pixels)
    inputs = {"probabilities": args.probabilities, "tiles": args.tiles, "mosaics": args.mosaics}
    provenance.leave(args.masks_out, args.settings, inputs)
    logging.info(
        "%d masks; the jigsaw rule %s: %d tiles, %d pixels changed",
        len(probabilities),
        "applied" if settings.jigsaw else "is off",
        len(changes),
        sum(pixels.values()),
    )


def find(tiles: Path, mosaics: Path, targets: set[str]) -> list[Change]:
    """What the rule says about the targets, given all training masks."""
    train = load_tiles(tiles, "train")
    _, masks = train.arrays
    return find_changes(load_mosaics(mosaics), train.ids, masks, targets)


def write_masks(
    path: Path, probabilities: Records, threshold: float, constant: set[str], changes: list[Change]
) -> dict[str, int]:
    """Write a mask for each record of probabilities; return how many pixels the rule changed, by id."""
    ids = probabilities["id"].tolist()
    by_id = {change.id: change for change in changes}
    pixels: dict[str, int] = {}
    with create_records(path, ids, {"mask": np.uint8}, *probabilities["tta"].shape[1:]) as records:
        for rows in chunks(len(ids)):
            masks = predictions.salt(probabilities["tta"][rows], threshold).astype(np.uint8)
            masks[[name in constant for name in ids[rows]]] = 0
            pixels |= repaint(ids[rows], masks, by_id)
            records["mask"][rows] = masks
    return pixels


def write_changes(path: Path, changes: list[Change], pixels: dict[str, int]) -> None:
    """Write one line a tile that the rule covers, with the number of pixels that it changed."""
    columns = ["id", "mosaic", "row", "column", "reason", "source"]
    rows = [[*(getattr(change, name) for name in columns), pixels[change.id]] for change in changes]
    with atomic_path(path) as temporary:
        pd.DataFrame(rows, columns=[*columns, "pixels"]).to_csv(temporary, index=False)


if __name__ == "__main__":
    run(main)
