"""Blend predictions: of folds into a model's, or of models into an ensemble's."""

import argparse
from pathlib import Path

from salt.data.records import open_members, open_records
from salt.ensembles.blending import blend, extremes
from salt.runtime import program, provenance
from salt.runtime.atomic import atomic_path
from salt.runtime.progress import say
from schemas.reading import read_settings
from schemas.results import BlendSettings, Stretch


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Options of the program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", required=True, help="JSON of schemas.results.BlendSettings")
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
    parser.add_argument("--stretch-out", type=Path, required=True, help="JSON to write: what became 0 and 1")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Run the program."""
    args = parse_args(argv)
    settings = read_settings(BlendSettings, args.settings)
    weights = list(settings.weights.values())
    on_labelled, on_test = [open_records(path) for path in args.labelled], open_members(args.test, len(weights))
    stretch = extremes(on_test, weights) if settings.stretch else Stretch()
    labelled = blend(on_labelled, weights, args.out_of_fold_out, stretch)
    test = blend(on_test, weights, args.test_out, stretch)
    with atomic_path(args.stretch_out) as temporary:
        temporary.write_text(stretch.model_dump_json() + "\n", encoding="utf-8")
    outputs = [args.out_of_fold_out, args.test_out, args.stretch_out]
    provenance.write(outputs, args.settings, {"labelled": args.labelled, "test": args.test})
    say(f"blended {len(weights)} members: {labelled} training tiles out of fold, {test} test tiles")


if __name__ == "__main__":
    program.run(main)
