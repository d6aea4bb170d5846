"""Write the masks of the test tiles as the competition's submission."""

import argparse
import logging
from pathlib import Path

from salt.data.records import open_records
from salt.data.tiles import load_table
from salt.postprocess.submission import write_submission
from salt.runtime import provenance
from salt.runtime.paths import TileFiles
from salt.runtime.program import run

log = logging.getLogger(__name__)


def main(argv: list[str] | None = None) -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--masks", type=Path, required=True, help="records of (id, mask), one per test tile")
    parser.add_argument("--tiles", type=Path, required=True, help="folder of prepare_tiles")
    parser.add_argument("--out", type=Path, required=True, help="csv to write: the submission")
    args = parser.parse_args(argv)

    tiles = load_table(args.tiles)
    ids = tiles.loc[tiles["split"] == "test", "id"].tolist()
    empty = write_submission(args.out, ids, open_records(args.masks))
    provenance.write(args.out, None, {"masks": args.masks, "tiles": TileFiles(args.tiles).table})

    log.info("%s: %d tiles, %d of them empty, %d bytes", args.out, len(ids), empty, args.out.stat().st_size)


if __name__ == "__main__":
    run(main)
