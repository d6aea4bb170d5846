"""What a pack holds of a finished run: the weights that predict, how they came about, and how good they are."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import yaml

from salt.data.records import open_array
from salt.inference.finished_run import FinishedRun
from salt.runtime import provenance
from salt.runtime.paths import FoldFiles, Run
from schemas.config import Config
from schemas.errors import UserError
from schemas.reading import check_config

UPDATE = "type the command of the run"
ORIGINS = "provenance"  # folder of the records of where weights and tiles come from


def finished(folder: Path, purpose: str) -> FinishedRun:
    """The run in a folder, by the config that it was started with.

    purpose: how messages begin, "To pack results/demo"
    Raises UserError if there is no such run, or one of another version of the workflow.
    """
    return FinishedRun(config_of(folder, purpose), purpose, UPDATE)


def config_of(folder: Path, purpose: str) -> Config:
    """The config of a run, wherever its folder lies now. Raises UserError as above."""
    file = Run(folder).config
    if not file.is_file():
        raise UserError(
            f"{purpose}, expected the folder of a run, found no {file}. RUN is the name of a folder in results/; type "
            "the command of that run first if there is none."
        )
    try:
        return check_config(yaml.safe_load(file.read_text(encoding="utf-8")) | {"pathvars": {"results": str(folder)}})
    except (UserError, yaml.YAMLError, TypeError) as error:
        first = str(error).splitlines()[0]
        raise UserError(
            f"{purpose}, expected the config of this version of the workflow in {file}, found another ({first}). Check "
            "out the commit that the run was made with, which is in the *.provenance.json beside its results."
        ) from None


def files(run: FinishedRun) -> dict[str, Path]:
    """The files of the run that its pack holds, by their names there.

    Raises UserError if the run has not finished, or if weights are not those that it predicted with.
    """
    of_the_run = run.files
    folds = [fold for of_model in run.folds.values() for fold in of_model]
    results = [of_the_run.config, of_the_run.scores, of_the_run.differences]
    read = [*results, of_the_run.tile_scores, of_the_run.tiles.table]  # the last two for the card alone
    if missing := [str(path) for path in read if not path.is_file()]:
        raise UserError(
            f"{run.purpose}, expected a run that has finished, found no {', '.join(missing)}. To finish it, {UPDATE}; "
            "then repeat this command."
        )
    _must_be_unchanged(run, folds)
    stretched = [of_the_run.ensemble(name).stretch for name in run.weights if run.config.models[name].stretch]
    origins = [provenance.path_of(path) for path in (of_the_run.tiles.folder, *(fold.snapshots for fold in folds))]
    members = [fold.members for fold in folds]
    read = [*results, *stretched, *members, *run.snapshots()]
    named = {path.relative_to(of_the_run.folder).as_posix(): path for path in read}
    # Not beside the files: a pack has digests of its own, and weights of half precision differ from those recorded.
    return named | {f"{ORIGINS}/{path.relative_to(of_the_run.folder)}": path for path in origins if path.is_file()}


def _must_be_unchanged(run: FinishedRun, folds: Iterable[FoldFiles]) -> None:
    """Compare weights with the digests that the fold's prediction recorded: a pack would vouch for damaged ones."""
    for fold in folds:
        recorded = provenance.read(fold.held_out).get("inputs", {}).get("snapshots", {}).values()
        if recorded and provenance.sha256(fold.snapshots) not in recorded:
            raise UserError(
                f"{run.purpose}, expected in {fold.snapshots} the weights that the run was scored with, found others: "
                f"they are damaged, or a newer training has not predicted yet. Delete that folder and {UPDATE}; then "
                "repeat this command."
            )


def sample_of_tiles(run: FinishedRun, most: int) -> npt.NDArray[np.uint8]:
    """At most so many of the run's test tiles, evenly spaced, (n, H, W) or (n, H, W, 3); none is constant.

    Raises UserError if there are none.
    """
    file = run.files.tiles.images("test")
    images = open_array(file) if file.is_file() else ()
    varied = [row for row, image in enumerate(images) if np.ptp(image)]
    if not varied:
        raise UserError(
            f"{run.purpose}, expected test tiles of the run to compare outputs on, found none in {file}. Run this "
            "where the run's tiles are."
        )
    chosen = np.linspace(0, len(varied) - 1, min(most, len(varied))).astype(int)
    return np.stack([images[varied[number]] for number in chosen])
