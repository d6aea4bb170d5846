"""Score every model and ensemble: out of fold, and on the test tiles whose masks are known.

They are known for all test tiles of a survey, and for labelled tiles whose masks were hidden from all other programs.
"""

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from salt.data import rle
from salt.data.folds import load_folds
from salt.data.records import open_records
from salt.data.tiles import load_table, load_tiles
from salt.mosaics.layout import load_mosaics
from salt.runtime import program, provenance
from salt.runtime.atomic import atomic_path
from salt.runtime.progress import say
from salt.scores import scoring
from schemas.reading import read_settings
from schemas.results import ScoreSettings

INPUT_OPTIONS = ("out_of_fold", "test", "tiles", "folds", "mosaics", "true_test_masks", "hidden_masks")


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Options of the program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", required=True, help="JSON of schemas.results.ScoreSettings")
    parser.add_argument("--names", nargs="+", required=True, help="models and ensembles, in the order of the rows")
    parser.add_argument("--out-of-fold", type=Path, nargs="+", required=True, help="their records of training tiles")
    parser.add_argument("--test", type=Path, nargs="+", required=True, help="their records of the test tiles")
    parser.add_argument("--tiles", type=Path, required=True, help="folder of prepare_tiles")
    parser.add_argument("--folds", type=Path, required=True, help="folds.csv")
    parser.add_argument("--mosaics", type=Path, required=True, help="mosaics.csv")
    parser.add_argument("--true-test-masks", type=Path, nargs="?", help="csv (id, rle_mask) of a survey")
    parser.add_argument("--hidden-masks", type=Path, nargs="?", help="records of (id, mask), if labels are hidden")
    parser.add_argument("--scores", type=Path, required=True, help="csv to write")
    parser.add_argument("--threshold-curve", type=Path, required=True, help="csv to write")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Run the program."""
    args = parse_args(argv)
    settings = read_settings(ScoreSettings, args.settings)
    predictions = {"out_of_fold": args.out_of_fold, "true_test": args.test, "hidden": args.test}
    scores, curves = [], []
    for truth in load_truths(args):
        for name, path in zip(args.names, predictions[truth.labels], strict=True):
            predicted = open_records(path)
            rows = pd.DataFrame(scoring.score(predicted, truth, settings.postprocess, settings.jigsaw))
            rows.insert(0, "name", name)
            scores.append(rows)
            curve = scoring.threshold_curve(predicted, truth)
            curves.append(
                pd.DataFrame({"name": name, "labels": truth.labels, "threshold": scoring.THRESHOLDS, "score": curve})
            )
            say(f"{name}: {truth.labels} {rows.loc[rows['tta'], 'score'].iloc[0]:.4f}")
    for tables, out in ((scores, args.scores), (curves, args.threshold_curve)):
        with atomic_path(out) as path:
            pd.concat(tables).to_csv(path, index=False, float_format="%.6f")
    provenance.write(args.scores, args.settings, {name: getattr(args, name) for name in INPUT_OPTIONS})


def load_truths(args: argparse.Namespace) -> list[scoring.Truth]:
    """Load the masks to score against."""
    labelled, mosaics = load_tiles(args.tiles, "train"), load_mosaics(args.mosaics)
    _, masks = labelled.arrays
    ids, constant = np.array(labelled.ids), load_table(args.tiles).set_index("id")["constant"]
    known: dict[str, tuple[npt.NDArray[np.str_], scoring.Masks]] = {}
    if args.true_test_masks:
        table = pd.read_csv(args.true_test_masks, dtype=str, keep_default_na=False)
        true = np.stack([rle.decode(text, *masks.shape[1:]) for text in table["rle_mask"]])
        known["true_test"] = table["id"].to_numpy(str), true
    if args.hidden_masks:
        hidden = open_records(args.hidden_masks)
        known["hidden"] = hidden["id"], hidden["mask"]
    return [
        scoring.out_of_fold_truth(ids, masks, constant[ids].to_numpy(), load_folds(args.folds), mosaics),
        *(
            scoring.test_truth(labels, test, true, constant[test.tolist()].to_numpy(), ids, masks, mosaics)
            for labels, (test, true) in known.items()
        ),
    ]


if __name__ == "__main__":
    program.run(main)
