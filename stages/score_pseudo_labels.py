"""Score pseudo-labels whose true masks are known, by confidence, and beside them all tiles."""

import argparse
from pathlib import Path

import pandas as pd

from salt.data.records import open_records
from salt.data.tiles import load_tiles
from salt.ensembles.pseudo_labels import load_table
from salt.runtime import program, provenance
from salt.runtime.atomic import atomic_path
from salt.runtime.progress import say
from salt.scores import known_masks, pseudo_label_scores

INPUT_OPTIONS = ("tiles", "masks", "tables", "true_test_masks", "hidden_masks")


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Options of the program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", nargs="+", required=True, help="set/scope of each set, in the order of the rows")
    parser.add_argument("--masks", type=Path, nargs="+", required=True, help="their records of masks of test tiles")
    parser.add_argument(
        "--tables", type=Path, nargs="+", required=True, help="their csv (id, confidence, selected ...)"
    )
    parser.add_argument("--tiles", type=Path, required=True, help="folder of prepare_tiles")
    parser.add_argument("--true-test-masks", type=Path, nargs="?", help="csv (id, rle_mask) of a survey")
    parser.add_argument("--hidden-masks", type=Path, nargs="?", help="records of (id, mask), if labels are hidden")
    parser.add_argument("--out", type=Path, required=True, help="csv to write")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Run the program."""
    args = parse_args(argv)
    shape, tables = load_tiles(args.tiles, "test").images.shape[1:3], []
    for known in known_masks.load(args.true_test_masks, args.hidden_masks, shape):
        for of, masks, path in zip(args.sets, args.masks, args.tables, strict=True):
            labels = load_table(path)
            rows = pseudo_label_scores.table(open_records(masks), labels, known)
            name, scope = of.split("/")
            tables.append(rows.assign(set=name, scope=scope))
            selected = rows[rows["predicted"] == "all"]["selected"].sum()
            say(f"{of}: {selected} of {len(known.ids)} tiles of {known.labels} are selected")
    with atomic_path(args.out) as path:
        columns = ["set", "scope", *pseudo_label_scores.COLUMNS]
        pd.concat(tables)[columns].to_csv(path, index=False, float_format="%.6f")
    provenance.write(args.out, None, {name: getattr(args, name) for name in INPUT_OPTIONS})


if __name__ == "__main__":
    program.run(main)
