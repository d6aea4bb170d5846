"""Train a model on pseudo-labels alone: writes the weights that all of its folds, or one of them, start from."""

import argparse
from pathlib import Path

import torch

from models.registry import create_network
from salt.data.tiles import load_tiles
from salt.ensembles import pseudo_labels
from salt.inference.geometry import Geometry
from salt.inference.weights import copy_state, save_weights
from salt.runtime import device, program, provenance
from salt.runtime.atomic import atomic_path
from salt.runtime.progress import say
from salt.training.checkpoints import Checkpoints
from salt.training.loader import stable_seed
from salt.training.steps import Setting
from salt.training.trainer import Trainer
from schemas.config import Compute
from schemas.reading import read_settings
from schemas.training import PretrainSettings


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Options of the program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", required=True, help="JSON of schemas.training.PretrainSettings")
    parser.add_argument("--compute", required=True, help="JSON of schemas.config.Compute")
    parser.add_argument("--tiles", type=Path, required=True, help="folder of prepare_tiles")
    parser.add_argument("--encoder-weights", type=Path, nargs="?", help="weights of fetch_weights")
    parser.add_argument("--pseudo-labels", type=Path, nargs=2, required=True, help="masks.npy and pseudo_labels.csv")
    parser.add_argument("--checkpoints", type=Path, required=True, help="folder to go on from, gone when all is done")
    parser.add_argument("--weights", type=Path, required=True, help="safetensors to write")
    parser.add_argument("--history", type=Path, required=True, help="csv to write")
    parser.add_argument("--timing", type=Path, required=True, help="json to write: what the training took")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Run the program."""
    args = parse_args(argv)
    settings = read_settings(PretrainSettings, args.settings)
    compute = read_settings(Compute, args.compute)
    where = device.set_up(compute)
    masks, table = args.pseudo_labels
    tiles = pseudo_labels.load(masks, table, load_tiles(args.tiles, "test"))
    seed = stable_seed(settings.seed, *([] if settings.fold is None else [settings.fold]))
    torch.manual_seed(seed)
    network = create_network(settings.network, settings.input.channel_count, args.encoder_weights)
    say(f"{len(tiles)} pseudo-labelled tiles to train on, on {device.describe(where)}")
    geometry = Geometry.of(settings.input, tiles)
    setting = Setting(network, geometry, tiles, settings, compute, where, seed)
    with Checkpoints(args.checkpoints, setting.fingerprint(None)) as checkpoints:
        trainer = Trainer(setting, None, checkpoints)
        result = trainer.run()
        save_weights(args.weights, copy_state(network))
        with atomic_path(args.history) as path:
            result.table().to_csv(path, index=False, float_format="%.6g")
        trainer.timing().write(args.timing)
        provenance.leave(
            args.weights,
            args.settings,
            {"tiles": args.tiles, "encoder_weights": args.encoder_weights, "pseudo_labels": args.pseudo_labels},
            device=device.describe(where),
            threads=compute.threads,
            seed=seed,
        )
        checkpoints.remove()
    say(f"pretrained: loss {result.history[-1].loss:.4f}")


if __name__ == "__main__":
    program.run(main)
