"""Train one model on one fold: writes its snapshots and one line of history an epoch."""

import argparse
from pathlib import Path

import torch

from models.registry import create_network
from salt.data import folds
from salt.data.tiles import concatenate, load_tiles, rows_of
from salt.ensembles import pseudo_labels
from salt.inference.geometry import Geometry
from salt.inference.weights import load_weights, save_weights
from salt.runtime import device, program, provenance
from salt.runtime.atomic import atomic_folder, atomic_path
from salt.runtime.paths import snapshot
from salt.runtime.progress import say
from salt.training.checkpoints import Checkpoints
from salt.training.loader import stable_seed
from salt.training.steps import Setting
from salt.training.trainer import Trainer
from schemas.config import Compute
from schemas.reading import read_settings
from schemas.training import TrainSettings

READ = ("tiles", "encoder_weights", "folds", "start_from", "pseudo_labels")  # options that name inputs


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
    parser.add_argument("--pseudo-labels", type=Path, nargs="*", help="masks.npy and pseudo_labels.csv to add")
    parser.add_argument("--checkpoints", type=Path, required=True, help="folder to go on from, gone when all is done")
    parser.add_argument("--snapshots", type=Path, required=True, help="folder to write weights to")
    parser.add_argument("--history", type=Path, required=True, help="csv to write")
    parser.add_argument("--timing", type=Path, required=True, help="json to write: what the training took")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Run the program."""
    args = parse_args(argv)
    settings = read_settings(TrainSettings, args.settings)
    compute = read_settings(Compute, args.compute)
    where = device.set_up(compute)
    labelled = load_tiles(args.tiles, "train")
    train_ids, held_out_ids = folds.split(labelled.table, folds.load_folds(args.folds), args.fold)
    held_out = labelled.select(rows_of(labelled.ids, held_out_ids))
    tiles = labelled.select(rows_of(labelled.ids, train_ids))
    if args.pseudo_labels:
        masks, table = args.pseudo_labels
        extra = pseudo_labels.load(masks, table, load_tiles(args.tiles, "test"), args.fold)
        tiles = concatenate(tiles, extra)
    seed = stable_seed(settings.seed, args.fold)
    torch.manual_seed(seed)
    network = create_network(settings.network, settings.input.channel_count, args.encoder_weights)
    if args.start_from:
        load_weights(network, args.start_from)
    say(f"{len(tiles)} tiles to train on, {len(held_out)} held out, on {device.describe(where)}")
    geometry = Geometry.of(settings.input, tiles, held_out)
    setting = Setting(network, geometry, tiles, settings, compute, where, seed)
    with Checkpoints(args.checkpoints, setting.fingerprint(held_out)) as checkpoints:
        trainer = Trainer(setting, held_out, checkpoints)
        result = trainer.run()
        with atomic_path(args.history) as path:
            result.table().to_csv(path, index=False, float_format="%.6g")
        with atomic_folder(args.snapshots) as folder:
            for name, state in result.snapshots.items():
                save_weights(snapshot(folder, name), state)
        trainer.timing().write(args.timing)
        provenance.leave(
            args.snapshots,
            args.settings,
            {name: getattr(args, name) for name in READ},
            device=device.describe(where),
            threads=compute.threads,
            seed=seed,
        )
        checkpoints.remove()
    say(f"trained fold {args.fold}: best score {max(epoch.score for epoch in result.history):.4f}")


if __name__ == "__main__":
    program.run(main)
