"""Make a synthetic survey: the competition's files, plus the true mosaics and test masks."""

import argparse
import logging
from pathlib import Path

import numpy as np

from salt.runtime import provenance
from salt.runtime.paths import SurveyFiles
from salt.runtime.program import run
from salt.survey.survey import make_tiles, write_survey
from schemas.data import SurveySettings
from schemas.reading import read_settings

log = logging.getLogger(__name__)


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Options of the program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", required=True, help="JSON of schemas.data.SurveySettings")
    parser.add_argument("--out", type=Path, required=True, help="folder that becomes data.root")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Run the program."""
    args = parse_args(argv)
    settings = read_settings(SurveySettings, args.settings)
    tiles = make_tiles(settings, settings.tile)
    write_survey(args.out, tiles)
    files = SurveyFiles(args.out)
    provenance.write([*files.data, files.true_masks, files.true_mosaics], args.settings, {}, name=args.out)
    train = sum(tile.split == "train" for tile in tiles)
    empty = np.mean([not tile.mask.any() for tile in tiles])
    log.info("%d train and %d test tiles, %.0f %% empty, in %s", train, len(tiles) - train, 100 * empty, args.out)


if __name__ == "__main__":
    run(main)
