"""Blend predictions: of folds into a model's, or of models into an ensemble's."""

import argparse
import json
from pathlib import Path

from salt.data.records import open_members, open_records
from salt.ensembles.blending import blend
from salt.runtime import program, provenance
from salt.runtime.progress import say


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Options of the program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--settings", required=True, help="JSON: the weight of each member by name, in the order of the files"
    )
    parser.add_argument("--labelled", type=Path, nargs="+", required=True, help="members: records of training tiles")
    parser.add_argument(
        "--test",
        type=Path,
        nargs="+",
        required=True,
        help="members: records of the test tiles, one file each or equally many",
    )
    parser.add_argument("--out-of-fold-out", type=Path, required=True, help="records to write: training tiles")
    parser.add_argument("--test-out", type=Path, required=True, help="records to write: test tiles")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Run the program."""
    args = parse_args(argv)
    weights = list(json.loads(args.settings).values())
    labelled = blend([open_records(path) for path in args.labelled], weights, args.out_of_fold_out)
    test = blend(open_members(args.test, len(weights)), weights, args.test_out)
    provenance.write(args.out_of_fold_out, args.settings, {"labelled": args.labelled, "test": args.test})
    say(f"blended {len(weights)} members: {labelled} training tiles out of fold, {test} test tiles")


if __name__ == "__main__":
    program.run(main)
