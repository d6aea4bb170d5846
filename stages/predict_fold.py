"""Predict with one fold's snapshots: its held-out tiles and, unless shards do, all test tiles, with mirror images.

It chooses the snapshots, once, and records them for all later predictions.
"""

from salt.runtime import gpu_lease, program

if __name__ == "__main__":
    gpu_lease.start_program()  # before torch is imported, which then sees one GPU

import argparse
from pathlib import Path

from salt.data import folds
from salt.data.network_input import Geometry
from salt.data.predictions import FIELDS, UNSCORED
from salt.data.tiles import load_tiles, rows_of
from salt.inference import fold_prediction, snapshots
from salt.runtime import device, provenance
from salt.runtime.progress import say
from schemas.config import Compute
from schemas.reading import read_settings
from schemas.training import PredictSettings

INPUT_OPTIONS = ("tiles", "folds", "snapshots", "table")


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Options of the program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", required=True, help="JSON of schemas.training.PredictSettings")
    parser.add_argument("--compute", required=True, help="JSON of schemas.config.Compute")
    parser.add_argument("--tiles", type=Path, required=True, help="folder of prepare_tiles")
    parser.add_argument("--folds", type=Path, required=True, help="folds.csv")
    parser.add_argument("--fold", type=int, required=True, help="the fold that was held out")
    parser.add_argument("--snapshots", type=Path, required=True, help="folder of train_fold's weights")
    parser.add_argument("--table", type=Path, required=True, help="csv of train_fold: snapshots and their scores")
    parser.add_argument("--members", type=Path, required=True, help="json to write: snapshots and their weights")
    parser.add_argument("--held-out", type=Path, required=True, help="records to write: the held-out tiles")
    parser.add_argument("--test", type=Path, nargs="?", help="records to write: the test tiles, unless shards do")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Run the program."""
    args = parse_args(argv)
    settings = read_settings(PredictSettings, args.settings)
    compute = read_settings(Compute, args.compute)
    labelled, test = load_tiles(args.tiles, "train"), load_tiles(args.tiles, "test")
    _, held_out_ids = folds.split(labelled.table, folds.load_folds(args.folds), args.fold)
    held_out = labelled.select(rows_of(labelled.ids, held_out_ids))
    members = snapshots.resolve(settings.members, snapshots.read_table(args.table))
    geometry, where = Geometry.of(settings.input, held_out, test), device.set_up(compute)
    dtype = device.prediction_dtype(where, compute)
    with device.faults_of_the_machine():
        predictor = fold_prediction.load_predictor(settings, args.snapshots, members, geometry, where, dtype)
        fold_prediction.predict(args.held_out, held_out, predictor, compute.predict_batch, FIELDS, "held-out tiles")
        if args.test:
            fields = FIELDS if settings.scores_test else UNSCORED
            fold_prediction.predict(args.test, test, predictor, compute.predict_batch, fields, "test tiles")
    snapshots.write_members(args.members, members)
    inputs = {name: getattr(args, name) for name in INPUT_OPTIONS}
    outputs = [args.held_out, args.test, args.members]
    provenance.write(outputs, args.settings, inputs, device=device.describe(where, dtype), threads=compute.threads)
    tests = len(test) if args.test else "no"
    say(f"predicted {len(held_out)} held-out and {tests} test tiles with {len(members)} snapshots")


if __name__ == "__main__":
    program.finish(main)
