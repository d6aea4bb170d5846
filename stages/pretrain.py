"""Train a model on pseudo-labels only: writes the weights that all of its folds, or one of them, start from.

A control is trained on a fold's labelled tiles instead, for as many steps.
"""

from salt.runtime import gpu_lease, program

if __name__ == "__main__":
    gpu_lease.start_program()  # before torch is imported, which then sees one GPU

import argparse
from pathlib import Path

from salt.data import folds
from salt.data.tiles import Tiles, load_tiles, rows_of
from salt.ensembles import pseudo_labels
from salt.inference.weight_files import save_weights
from salt.runtime import provenance
from salt.runtime.paths import curves
from salt.runtime.progress import say
from salt.training.fit import fit
from salt.training.task import Task
from schemas.config import Compute
from schemas.reading import read_settings
from schemas.training import PretrainSettings

INPUT_OPTIONS = ("tiles", "encoder_weights", "folds", "pseudo_labels")


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Options of the program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", required=True, help="JSON of schemas.training.PretrainSettings")
    parser.add_argument("--compute", required=True, help="JSON of schemas.config.Compute")
    parser.add_argument("--tiles", type=Path, required=True, help="folder of prepare_tiles")
    parser.add_argument("--encoder-weights", type=Path, nargs="?", help="weights of fetch_weights")
    parser.add_argument("--folds", type=Path, nargs="?", help="folds.csv, for a control")
    parser.add_argument(
        "--pseudo-labels",
        type=Path,
        nargs="+",
        required=True,
        help="masks.npy and pseudo_labels.csv; for a control the table alone",
    )
    parser.add_argument("--checkpoints", type=Path, required=True, help="folder to resume from, deleted at the end")
    parser.add_argument("--weights", type=Path, required=True, help="safetensors to write")
    parser.add_argument("--history", type=Path, required=True, help="csv to write")
    parser.add_argument("--timing", type=Path, required=True, help="json to write: what the training took")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Run the program."""
    args = parse_args(argv)
    settings = read_settings(PretrainSettings, args.settings)
    compute = read_settings(Compute, args.compute)
    tiles, draws = read_tiles(args, settings)
    weights = args.encoder_weights
    task = Task.create(settings, compute, tiles, fold=settings.fold, encoder_weights=weights, draws=draws)
    with fit(task, args.checkpoints, curves(args.timing)) as fitted:
        save_weights(args.weights, fitted.best)
        fitted.write_history(args.history)
        fitted.timing.write(args.timing)
        outputs = [args.weights, args.history]
        provenance.write(outputs, args.settings, {name: getattr(args, name) for name in INPUT_OPTIONS}, **task.facts)
    say(f"pretrained: loss {fitted.history['loss'].iloc[-1]:.4f}")


def read_tiles(args: argparse.Namespace, settings: PretrainSettings) -> tuple[Tiles, int]:
    """Read the tiles to train on: pseudo-labels, or the fold's labelled tiles; count the draws of a pass."""
    if not settings.control or settings.fold is None:
        masks, table = args.pseudo_labels
        tiles = pseudo_labels.load(masks, table, load_tiles(args.tiles, "test"))
        return tiles, len(tiles)
    (table,) = args.pseudo_labels
    labelled = load_tiles(args.tiles, "train")
    train_ids, _ = folds.split(labelled.table, folds.load_folds(args.folds), settings.fold)
    return labelled.select(rows_of(labelled.ids, train_ids)), len(pseudo_labels.selected(table))


if __name__ == "__main__":
    program.finish(main)
