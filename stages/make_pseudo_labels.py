"""Turn confident predictions of test tiles, by an ensemble or by one fold's models, into masks to train on."""

import argparse
from pathlib import Path

from salt.data.records import open_members
from salt.data.tiles import load_table
from salt.ensembles import pseudo_labels
from salt.runtime import program, provenance
from salt.runtime.atomic import atomic_path
from salt.runtime.paths import TileFiles
from salt.runtime.progress import say
from schemas.reading import read_settings
from schemas.results import PseudoLabelSettings


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Options of the program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", required=True, help="JSON of schemas.results.PseudoLabelSettings")
    parser.add_argument("--tiles", type=Path, required=True, help="folder of prepare_tiles")
    parser.add_argument(
        "--probabilities",
        type=Path,
        nargs="+",
        required=True,
        help="records of the test tiles to average, for each weight one file or equally many",
    )
    parser.add_argument("--masks", type=Path, required=True, help="records to write")
    parser.add_argument("--table", type=Path, required=True, help="csv to write")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Run the program."""
    args = parse_args(argv)
    settings = read_settings(PseudoLabelSettings, args.settings)
    predictions = open_members(args.probabilities, len(settings.weights))
    table = pseudo_labels.write_masks(predictions, settings, args.masks)
    table["constant"] = load_table(args.tiles).set_index("id")["constant"].loc[table["id"]].to_numpy()
    table = pseudo_labels.select(table, settings, settings.folds, settings.fold)
    table = pseudo_labels.weigh(table, settings)
    with atomic_path(args.table) as path:
        table.drop(columns=["pixels", "constant"]).to_csv(path, index=False, float_format="%.6f")
    inputs = {"tiles": TileFiles(args.tiles).table, "probabilities": args.probabilities}
    provenance.write([args.masks, args.table], args.settings, inputs)
    say(f"selected {table['selected'].sum()} of {len(table)} tiles, mean confidence {table['confidence'].mean():.3f}")


if __name__ == "__main__":
    program.run(main)
