"""Make a synthetic survey: the competition's files, and beside them the true mosaics and test masks."""

import argparse
import logging
from pathlib import Path

import numpy as np

from salt.runtime import provenance
from salt.runtime.program import run
from salt.survey.survey import make_tiles, write_survey
from schemas.data import SurveySettings
from schemas.reading import read_settings

log = logging.getLogger(__name__)


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", required=True, help="the config's section `survey`, as JSON")
    parser.add_argument("--out", type=Path, required=True, help="folder that becomes data.root")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Draw the tiles, write them, log how many there are and how much of them is salt."""
    args = parse_args(argv)
    settings = read_settings(SurveySettings, args.settings)
    tiles = make_tiles(settings, settings.tile)
    write_survey(args.out, tiles)
    provenance.leave(args.out, args.settings, {})
    train = sum(each.split == "train" for each in tiles)
    empty = np.mean([not each.mask.any() for each in tiles])
    log.info("%d train and %d test tiles, %.0f %% empty, in %s", train, len(tiles) - train, 100 * empty, args.out)


if __name__ == "__main__":
    run(main)
