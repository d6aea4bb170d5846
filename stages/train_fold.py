"""Train one model on one fold: writes its snapshots, a table of them, and one row of history per epoch."""

from salt.runtime import gpu_lease, program

if __name__ == "__main__":
    gpu_lease.start_program()  # before torch is imported, which then sees one GPU

import argparse
from pathlib import Path

import numpy as np

from salt.data import folds
from salt.data.tiles import Tiles, concatenate, load_tiles, rows_of
from salt.ensembles import pseudo_labels
from salt.runtime import provenance
from salt.runtime.paths import curves
from salt.runtime.progress import say
from salt.training.fit import fit
from salt.training.task import Task
from schemas.config import Compute
from schemas.reading import read_settings
from schemas.training import TrainSettings

INPUT_OPTIONS = ("tiles", "encoder_weights", "folds", "start_from", "pseudo_labels")


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Options of the program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", required=True, help="JSON of schemas.training.TrainSettings")
    parser.add_argument("--compute", required=True, help="JSON of schemas.config.Compute")
    parser.add_argument("--tiles", type=Path, required=True, help="folder of prepare_tiles")
    parser.add_argument("--encoder-weights", type=Path, nargs="?", help="weights of fetch_weights")
    parser.add_argument("--folds", type=Path, required=True, help="folds.csv")
    parser.add_argument("--fold", type=int, required=True, help="the fold to hold out")
    parser.add_argument("--start-from", type=Path, nargs="?", help="weights of pretrain")
    parser.add_argument(
        "--pseudo-labels",
        type=Path,
        nargs="*",
        help="masks.npy and pseudo_labels.csv to add; only the table for a control, to count",
    )
    parser.add_argument("--checkpoints", type=Path, required=True, help="folder to resume from, deleted at the end")
    parser.add_argument("--snapshots", type=Path, required=True, help="folder of weights to write")
    parser.add_argument("--table", type=Path, required=True, help="csv to write: snapshots and their scores")
    parser.add_argument("--history", type=Path, required=True, help="csv to write")
    parser.add_argument("--timing", type=Path, required=True, help="json to write: what the training took")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Run the program."""
    args = parse_args(argv)
    settings = read_settings(TrainSettings, args.settings)
    compute = read_settings(Compute, args.compute)
    tiles, held_out, draws = read_tiles(args, settings)
    unlabelled = read_unlabelled(args.tiles) if settings.learns_from_unlabelled else None
    weights = args.encoder_weights, args.start_from
    task = Task.create(settings, compute, tiles, held_out, args.fold, *weights, unlabelled, draws)
    with fit(task, args.checkpoints, curves(args.timing)) as fitted:
        fitted.write_history(args.history)
        fitted.write_snapshots(args.snapshots, args.table)
        fitted.timing.write(args.timing)
        outputs = [args.snapshots, args.table, args.history]
        provenance.write(outputs, args.settings, {name: getattr(args, name) for name in INPUT_OPTIONS}, **task.facts)
    say(f"trained fold {args.fold}: best score {fitted.history['score'].max():.4f}")


def read_tiles(args: argparse.Namespace, settings: TrainSettings) -> tuple[Tiles, Tiles, int]:
    """Read the tiles to train on, with pseudo-labels, and those to hold out; count the draws of a pass.

    A control trains on the labelled tiles alone, in as many draws as with the pseudo-labels.
    """
    labelled = load_tiles(args.tiles, "train")
    constant = settings.constant_tiles == "train"
    train_ids, held_out_ids = folds.split(labelled.table, folds.load_folds(args.folds), args.fold, constant)
    tiles, held_out = (labelled.select(rows_of(labelled.ids, ids)) for ids in (train_ids, held_out_ids))
    if not args.pseudo_labels:
        return tiles, held_out, len(tiles)
    if settings.control:
        (table,) = args.pseudo_labels
        return tiles, held_out, len(tiles) + len(pseudo_labels.selected(table, args.fold))
    masks, table = args.pseudo_labels
    tiles = concatenate(tiles, pseudo_labels.load(masks, table, load_tiles(args.tiles, "test"), args.fold))
    return tiles, held_out, len(tiles)


def read_unlabelled(folder: Path) -> Tiles:
    """Read the unlabelled tiles that are not constant: a network learns nothing from those."""
    test = load_tiles(folder, "test")
    return test.select(np.flatnonzero(~test.table["constant"]))


if __name__ == "__main__":
    program.finish(main)
