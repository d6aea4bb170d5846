"""Predict with one fold's snapshots: its held-out tiles and all test tiles, with and without their mirror images."""

import argparse
from pathlib import Path

import numpy as np
import torch

from models.registry import create_network
from salt.data import folds
from salt.data.predictions import FIELDS
from salt.data.records import chunks, create_records
from salt.data.tiles import Tiles, load_tiles, rows_of
from salt.inference.geometry import Geometry
from salt.inference.predictor import Predictor
from salt.inference.weights import load_weights
from salt.runtime import device, program, provenance
from salt.runtime.paths import snapshot
from salt.runtime.progress import Ticker, say
from schemas.config import Compute
from schemas.reading import read_settings
from schemas.training import PredictSettings


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Options of the program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", required=True, help="JSON of schemas.training.PredictSettings")
    parser.add_argument("--compute", required=True, help="JSON of schemas.config.Compute")
    parser.add_argument("--tiles", type=Path, required=True, help="folder of prepare_tiles")
    parser.add_argument("--folds", type=Path, required=True, help="folds.csv")
    parser.add_argument("--fold", type=int, required=True, help="the fold that was held out")
    parser.add_argument("--snapshots", type=Path, required=True, help="folder of train_fold's weights")
    parser.add_argument("--held-out", type=Path, required=True, help="records to write: the held-out tiles")
    parser.add_argument("--test", type=Path, required=True, help="records to write: the test tiles")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Run the program."""
    args = parse_args(argv)
    settings = read_settings(PredictSettings, args.settings)
    compute = read_settings(Compute, args.compute)
    labelled, test = load_tiles(args.tiles, "train"), load_tiles(args.tiles, "test")
    _, held_out_ids = folds.split(labelled.table, folds.load_folds(args.folds), args.fold)
    held_out = labelled.select(rows_of(labelled.ids, held_out_ids))
    predictor = load_predictor(settings, compute, args.snapshots, Geometry.of(settings.input, held_out, test))
    with device.faults_of_the_machine():
        write(args.held_out, held_out, predictor, compute.predict_batch, "held-out tiles")
        write(args.test, test, predictor, compute.predict_batch, "test tiles")
    provenance.leave(
        args.held_out,
        args.settings,
        {"tiles": args.tiles, "folds": args.folds, "snapshots": args.snapshots},
        device=device.describe(predictor.device),
        threads=compute.threads,
    )
    say(f"predicted {len(held_out)} held-out and {len(test)} test tiles with {len(settings.members)} snapshots")


def load_predictor(settings: PredictSettings, compute: Compute, snapshots: Path, geometry: Geometry) -> Predictor:
    """The fold's snapshots, ready to predict."""
    where = device.set_up(compute)
    networks = []
    for name in settings.members:
        network = create_network(settings.network, settings.input.channel_count)
        load_weights(network, snapshot(snapshots, name))
        networks.append(network.eval().to(where).to(memory_format=torch.channels_last))
    return Predictor(networks, list(settings.members.values()), geometry, where)


def write(path: Path, tiles: Tiles, predictor: Predictor, batch: int, what: str) -> None:
    """Predict tiles batch by batch, straight into the file."""
    ticker = Ticker(what, len(tiles))
    height, width = tiles.images.shape[1:3]
    depths = tiles.depths
    with create_records(path, tiles.ids, {name: np.float16 for name in FIELDS}, height, width) as records:
        for rows in chunks(len(tiles), batch):
            prediction = predictor.predict(tiles.images[rows], depths[rows])
            records["plain"][rows], records["tta"][rows] = prediction.plain, prediction.tta
            ticker.tick(rows.stop)


if __name__ == "__main__":
    program.run(main)
