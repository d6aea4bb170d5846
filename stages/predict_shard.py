"""Predict one part of the test tiles with one fold's snapshots, those that predict_fold has chosen."""

from salt.runtime import gpu_lease, program

if __name__ == "__main__":
    gpu_lease.start_program()  # before torch is imported, which then sees one GPU

import argparse
from pathlib import Path

from salt.data.network_input import Geometry
from salt.data.predictions import FIELDS, UNSCORED
from salt.data.tiles import load_tiles
from salt.inference import fold_prediction, snapshots
from salt.runtime import device, provenance
from salt.runtime.progress import say
from schemas.config import Compute
from schemas.reading import read_settings
from schemas.training import ShardSettings

INPUT_OPTIONS = ("tiles", "snapshots", "members")


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Options of the program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", required=True, help="JSON of schemas.training.ShardSettings")
    parser.add_argument("--compute", required=True, help="JSON of schemas.config.Compute")
    parser.add_argument("--tiles", type=Path, required=True, help="folder of prepare_tiles")
    parser.add_argument("--snapshots", type=Path, required=True, help="folder of train_fold's weights")
    parser.add_argument("--members", type=Path, required=True, help="json of predict_fold: snapshots and their weights")
    parser.add_argument("--shard", type=int, required=True, help="the part: 1 to the number of shards in --compute")
    parser.add_argument("--out", type=Path, required=True, help="records to write")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Run the program."""
    args = parse_args(argv)
    settings = read_settings(ShardSettings, args.settings)
    compute = read_settings(Compute, args.compute)
    test, members = load_tiles(args.tiles, "test"), snapshots.read_members(args.members)
    rows = fold_prediction.shard(len(test), compute.predict_batch, args.shard, compute.shards)
    part = test.part(rows)
    geometry, where = Geometry.of(settings.input, test), device.set_up(compute)
    dtype = device.prediction_dtype(where, compute)
    fields = FIELDS if settings.scores_test else UNSCORED
    with device.faults_of_the_machine():
        predictor = fold_prediction.load_predictor(settings, args.snapshots, members, geometry, where, dtype)
        fold_prediction.predict(args.out, part, predictor, compute.predict_batch, fields, f"test tiles, {args.shard}")
    inputs = {name: getattr(args, name) for name in INPUT_OPTIONS}
    provenance.write(args.out, args.settings, inputs, device=device.describe(where, dtype), threads=compute.threads)
    say(f"predicted test tiles {rows.start} to {rows.stop - 1} of {len(test)} with {len(members)} snapshots")


if __name__ == "__main__":
    program.finish(main)
