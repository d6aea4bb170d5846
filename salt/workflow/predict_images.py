"""Apply a trained run to other images: the settings of the prediction, checked while the Snakefile is read.

The weights are not inputs of the job, or Snakemake could retrain them; a prediction must train nothing. A digest of
them is part of the job's settings.
"""

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from salt.data.damage import reading
from salt.inference.snapshots import read_members
from salt.intake import sources
from salt.runtime import provenance
from salt.runtime.paths import FoldFiles, PredictionFiles, Run
from schemas.base import Shape
from schemas.config import Config
from schemas.differences import differences
from schemas.errors import UserError
from schemas.results import Stretch
from schemas.words import first_of

SHOWN = 3
DATA_KEYS = {"tile", "range", "colour"}  # the keys of `data` that a prediction depends on
MODEL_KEYS = {"network", "input"}


def folder_name(images: str) -> str:
    """The name of the folder of predictions: that of the images, without characters special to Snakemake or a shell."""
    path = Path(os.path.abspath(images))
    return re.sub(r"[^\w.-]", "_", path.name if path.is_dir() else path.stem)


def files(config: Config) -> PredictionFiles:
    """The files of a prediction."""
    return Run.of(config).prediction(folder_name(config.predict or ""))


def summary(config: Config) -> str:
    """The text shown at the end: the number of images, and where their predictions are."""
    outputs = files(config)
    if not outputs.table.exists():  # something else was requested
        return ""
    images = len(outputs.table.read_text(encoding="utf-8").splitlines()) - 1
    return (
        f"{images} images are predicted\n"
        f"masks          {outputs.masks} (PNG, 255 is salt), and as run lengths in {outputs.table}\n"
        f"probabilities  {outputs.probabilities} (16-bit PNG, 65535 is 1)"
    )


def settings(config: Config) -> dict[str, Any]:
    """The settings of predict_images.

    Raises UserError if there are no images; if the run is not trained, was trained with other settings or needs
    depths; or if predictions of other images would be replaced.
    """
    from salt.inference.input_images import find_images  # here: a run without predictions needs no image libraries

    images = Path(config.predict or "")
    found = find_images(images)
    _must_not_replace_others(files(config).masks, images)
    ensemble = config.submission.ensemble
    weights = config.members(ensemble)
    _must_not_need_depths(config, list(weights))
    folds = {name: [Run.of(config).fold(name, fold) for fold in range(config.folds.count)] for name in weights}
    snapshots = _must_be_trained(config, [fold for of_model in folds.values() for fold in of_model])
    own_range = "tile" if config.data.layout == "competition" else config.data.range
    data = config.data.model_copy(update={"tile": _tile(config)}).model_dump(mode="json", include=DATA_KEYS)
    _must_match_training(config, data, folds)
    models = {
        name: config.models[name].model_dump(mode="json", include=MODEL_KEYS) | {"stretch": _stretch(config, name)}
        for name in weights
    }
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
    """Height and width of the run's tiles, px: from its config or, if the config does not set them, from its tiles."""
    from salt.data.records import open_array  # here, as above

    packed = Run.of(config).tiles.masks
    if config.data.shape:
        return config.data.shape
    if not packed.is_file():
        raise UserError(
            f"To predict {config.predict}, expected the size of the run's tiles in `data.tile` of the config or in "
            f"{packed}, found neither. Set `data.tile` to the size that the run was trained with."
        )
    _, height, width = open_array(packed).shape
    return height, width


def _must_not_need_depths(config: Config, models: list[str]) -> None:
    if deep := [name for name in models if config.models[name].input.channels == "depth"]:
        raise UserError(
            f"To predict {config.predict}, expected models whose only input is the image, found `channels: depth` in "
            f"{', '.join(deep)}: images other than the run's tiles have no depth. Name an ensemble of other models in "
            "`submission.ensemble`."
        )


def _must_be_trained(config: Config, folds: Sequence[FoldFiles]) -> dict[Path, float]:
    """The files of weights that the folds predict with, and the weight of each in its fold's mean."""
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
            f"{len(folds)} folds of the ensemble {config.submission.ensemble}, found {len(missing)} of its files "
            f"missing: {first_of(missing, SHOWN)}. Train first: type the same command without `predict`; then repeat "
            "this command."
        )
    return weights


def _stretch(config: Config, name: str) -> dict[str, float]:
    """How the run stretched a model's prediction: not measured anew, so that an image gets what a test tile gets."""
    file = Run.of(config).ensemble(name).stretch
    if not config.models[name].stretch:
        return Stretch().model_dump()
    if not file.is_file():
        raise UserError(
            f"To predict {config.predict}, expected {file}, which tells how the run stretched the prediction of {name} "
            "(`stretch`), found no such file. Copy it beside the run's models, or type the same command without "
            "`predict`; then repeat this command."
        )
    with reading(file):
        return Stretch.model_validate_json(file.read_bytes()).model_dump()


def _digest(weights: Mapping[Path, float]) -> str:
    """Digest of the files of weights, with the method used for images, and of their weights in the means."""
    text = f"{sources.fingerprint(list(weights))} {list(weights.values())}"
    return hashlib.sha256(text.encode()).hexdigest()


def _must_match_training(config: Config, data: Mapping[str, Any], folds: Mapping[str, Sequence[FoldFiles]]) -> None:
    """Compare the config with the settings that the run was made with, as far as provenance records them."""
    run = Run.of(config)
    changed = [f"data.{change}" for change in _changes(run.tiles.folder, data, DATA_KEYS)]
    for name, of_model in folds.items():
        model = config.models[name].model_dump(mode="json")
        for fold in of_model:
            found = [*_changes(fold.snapshots, model, MODEL_KEYS), *_changes(fold.held_out, model, {"members"})]
            changed += [f"models.{name}.{change}" for change in found]
        blended = run.ensemble(name).out_of_fold
        changed += [f"models.{name}.{change}" for change in _changes(blended, model, {"stretch"})]
    if changed := list(dict.fromkeys(changed)):
        raise UserError(
            f"To predict {config.predict}, expected the settings that the run {run.folder} was made with, found "
            f"others: {first_of(changed, SHOWN, '; ')}. Undo the change, or update the run: type the same command "
            "without `predict`; then repeat this command."
        )


def _changes(output: Path, now: Mapping[str, Any], keys: set[str]) -> list[str]:
    """Changes of some settings since a program wrote its output, if it had them.

    The initial weights of a network are ignored: trained weights replace them.
    """
    then = provenance.read(output).get("settings", {})
    both = {key for key in keys if then.get(key) is not None}
    changes = differences({key: then[key] for key in sorted(both)}, {key: now[key] for key in sorted(both)})
    return [change for change in changes if not change.startswith("network.weights:")]


def _must_not_replace_others(masks: Path, images: Path) -> None:
    """Images from different places may have the same name."""
    others = provenance.read(masks).get("settings", {}).get("images")
    if others and os.path.abspath(others) != os.path.abspath(images):
        raise UserError(
            f"Expected to write the predictions of {images} to {masks.parent}, found there those of {others}, which "
            "has the same name. Move them elsewhere, or rename the images' folder; then type the same command again."
        )
