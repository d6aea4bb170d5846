"""A trained run that is applied to other images: what of it they depend on, checked while the Snakefile is read.

Its weights are no inputs of the job, which Snakemake could make anew: for a prediction nothing is to be trained. They
count by a digest among its settings.
"""

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from salt.inference.snapshots import read_members
from salt.intake import sources
from salt.runtime import provenance
from salt.runtime.paths import FoldFiles, PredictionFiles, Run
from schemas.config import Config
from schemas.differences import differences
from schemas.errors import UserError
from schemas.section import Shape
from schemas.words import first_of

SHOWN = 3
OF_TILES = {"tile", "range", "colour"}  # what of the data's settings a prediction depends on
OF_MODELS = {"network", "input"}


def folder_name(images: str) -> str:
    """That of the folder of predictions: the images', without what Snakemake or a shell could misunderstand."""
    path = Path(os.path.abspath(images))
    return re.sub(r"[^\w.-]", "_", path.name if path.is_dir() else path.stem)


def files(config: Config) -> PredictionFiles:
    """What a prediction leaves."""
    return Run.of(config).prediction(folder_name(config.predict or ""))


def closing_words(config: Config) -> str:
    """What the terminal shows at the end: how many images there are, and where."""
    left = files(config)
    if not left.table.exists():  # something else was asked for
        return ""
    images = len(left.table.read_text(encoding="utf-8").splitlines()) - 1
    return (
        f"{images} images are predicted\n"
        f"masks          {left.masks} (PNG, 255 is salt), and as run lengths in {left.table}\n"
        f"probabilities  {left.probabilities} (16-bit PNG, 65535 is 1)"
    )


def settings(config: Config) -> dict[str, Any]:
    """Those of predict_images.

    Raises UserError where there are no images, where the run is not trained, was with other settings or needs depths,
    and where predictions of other images are in the way.
    """
    from salt.inference.images import find_images  # here: a run that predicts nothing need not wait for image libraries

    images = Path(config.predict or "")
    found = find_images(images)
    _must_not_replace_others(files(config).masks, images)
    ensemble = config.submission.ensemble
    weights = config.members(ensemble)
    _must_need_no_depths(config, list(weights))
    folds = {name: [Run.of(config).fold(name, fold) for fold in range(config.folds.count)] for name in weights}
    snapshots = _must_be_trained(config, [fold for of_model in folds.values() for fold in of_model])
    own_range = "tile" if config.data.layout == "competition" else config.data.range
    data = config.data.model_copy(update={"tile": _tile(config)}).model_dump(mode="json", include=OF_TILES)
    _must_be_trained_so(config, data, folds)
    models = {name: config.models[name].model_dump(mode="json", include=OF_MODELS) for name in weights}
    return {
        "images": str(images),
        "pictures": sources.fingerprint(found),
        **data,
        "windows": {"overlap": config.windows.overlap, "range": config.windows.range or own_range},
        "models": {name: models[name] | {"weight": weight} for name, weight in weights.items()},
        "folds": config.folds.count,
        "weights": _digest(snapshots),
        "postprocess": config.submission.postprocess.tilewise.model_dump(mode="json"),
    }


def _tile(config: Config) -> Shape:
    """Height and width of the run's tiles, px: by its config or, where that leaves it to the images, of its own."""
    import numpy as np  # here, as above

    packed = Run.of(config).tiles.masks
    if config.data.shape:
        return config.data.shape
    if not packed.is_file():
        raise UserError(
            f"To predict {config.predict}, expected the size of the run's tiles, in `data.tile` of the config or in "
            f"{packed}, and found neither. Set `data.tile` to the size that the run was trained with."
        )
    _, height, width = np.load(packed, mmap_mode="r", allow_pickle=False).shape
    return height, width


def _must_need_no_depths(config: Config, models: list[str]) -> None:
    if deep := [name for name in models if config.models[name].input.channels == "depth"]:
        raise UserError(
            f"To predict {config.predict}, expected models that see nothing but the image, and found `channels: depth` "
            f"in {', '.join(deep)}: images other than the run's tiles have no depth. Name an ensemble of other models "
            "in `submission.ensemble`."
        )


def _must_be_trained(config: Config, folds: Sequence[FoldFiles]) -> dict[Path, float]:
    """Files of weights that the folds' predictions are made of, and the weight of each in its fold's mean."""
    missing = [fold.members for fold in folds if not fold.members.is_file()]
    weights = {
        fold.snapshots / member.file: member.weight
        for fold in folds
        if fold.members.is_file()
        for member in read_members(fold.members)
    }
    if missing := missing + [path for path in weights if not path.is_file()]:
        raise UserError(
            f"To predict {config.predict}, expected the weights of the trained run {config.pathvars.results}, "
            f"{len(folds)} folds of the ensemble {config.submission.ensemble}, and found {len(missing)} of its files "
            f"missing: {first_of(missing, SHOWN)}. First train: type the same command without `predict`; then type it "
            "as it was."
        )
    return weights


def _digest(weights: Mapping[Path, float]) -> str:
    """Of the files of weights, as those of images, and of how they weigh."""
    text = f"{sources.fingerprint(list(weights))} {list(weights.values())}"
    return hashlib.sha256(text.encode()).hexdigest()


def _must_be_trained_so(config: Config, data: Mapping[str, Any], folds: Mapping[str, Sequence[FoldFiles]]) -> None:
    """Compare the config with the settings that the run was made with, where their provenance is there."""
    run = Run.of(config)
    changed = [f"data.{change}" for change in _changes(run.tiles.folder, data, OF_TILES)]
    for name, of_model in folds.items():
        model = config.models[name].model_dump(mode="json")
        for fold in of_model:
            found = [*_changes(fold.snapshots, model, OF_MODELS), *_changes(fold.held_out, model, {"members"})]
            changed += [f"models.{name}.{change}" for change in found]
    if changed := list(dict.fromkeys(changed)):
        raise UserError(
            f"To predict {config.predict}, expected the settings that the run {run.folder} was made with, and found "
            f"others: {first_of(changed, SHOWN, '; ')}. Undo the change, or bring the run up to date: type the same "
            "command without `predict`; then type it as it was."
        )


def _changes(output: Path, now: Mapping[str, Any], keys: set[str]) -> list[str]:
    """What changed of some settings since a program left its output, where it was told them.

    Where the weights of a network started makes no difference.
    """
    then = provenance.read(output).get("settings", {})
    both = {key for key in keys if then.get(key) is not None}
    changes = differences({key: then[key] for key in sorted(both)}, {key: now[key] for key in sorted(both)})
    return [change for change in changes if not change.startswith("network.weights:")]


def _must_not_replace_others(masks: Path, images: Path) -> None:
    """Images of another place may have the same name."""
    others = provenance.read(masks).get("settings", {}).get("images")
    if others and os.path.abspath(others) != os.path.abspath(images):
        raise UserError(
            f"{masks.parent} is where the predictions of {images} go, and holds those of {others}, which has the same "
            "name. Move them to another place, or rename the images' folder, then type the same command again."
        )
