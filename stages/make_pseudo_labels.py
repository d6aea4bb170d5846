"""Turn an ensemble's confident predictions of test tiles into masks to train on."""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from salt import program, pseudo_labels
from salt.atomic import atomic_path
from salt.progress import say
from salt.records import chunks, create_records, open_records
from salt.tiles import load_table
from schemas.config import PseudoLabelSettings, read_settings


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Options of the program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", required=True, help="JSON of schemas.config.PseudoLabelSettings")
    parser.add_argument("--tiles", type=Path, required=True, help="folder of prepare_tiles")
    parser.add_argument("--probabilities", type=Path, required=True, help="records of the ensemble's test tiles")
    parser.add_argument("--masks", type=Path, required=True, help="records to write")
    parser.add_argument("--table", type=Path, required=True, help="csv to write")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Run the program."""
    args = parse_args(argv)
    settings = read_settings(PseudoLabelSettings, args.settings)
    predicted = open_records(args.probabilities)
    height, width = predicted["tta"].shape[1:]
    confidence, salt = np.zeros(len(predicted)), np.zeros(len(predicted), np.int64)
    with create_records(args.masks, predicted["id"].tolist(), {"mask": np.uint8}, height, width) as records:
        for rows in chunks(len(predicted)):
            probabilities = predicted["tta"][rows]
            records["mask"][rows] = probabilities > 0.5
            confidence[rows] = pseudo_labels.confidence(probabilities, settings.low, settings.high)
            salt[rows] = records["mask"][rows].sum(axis=(1, 2), dtype=np.int64)
    constant = load_table(args.tiles).set_index("id")["constant"].loc[predicted["id"]].to_numpy()
    table = pd.DataFrame({"id": predicted["id"], "confidence": confidence, "salt": salt, "constant": constant})
    table = pseudo_labels.select(table, settings, settings.folds)
    table["coverage"] = table["salt"] / (height * width)
    with atomic_path(args.table) as path:
        columns = ["id", "confidence", "coverage", "selected", "fold"]
        table[columns].to_csv(path, index=False, float_format="%.6f")
    say(f"selected {table['selected'].sum()} of {len(table)} tiles, mean confidence {confidence.mean():.3f}")


if __name__ == "__main__":
    program.run(main)
