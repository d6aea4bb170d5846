"""What a finished run predicts other images with: checked against what it was trained with.

Imports stay light: the Snakefile reads these settings.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from salt.data.damage import reading
from salt.inference.snapshots import read_members
from salt.runtime import provenance
from salt.runtime.paths import FoldFiles, Run
from schemas.base import Shape
from schemas.config import Config
from schemas.differences import differences
from schemas.errors import UserError
from schemas.results import Stretch
from schemas.words import first_of

SHOWN = 3
DATA_KEYS = {"tile", "range", "colour"}  # the keys of `data` that a prediction depends on
MODEL_KEYS = {"network", "input"}


@dataclass(frozen=True)
class FinishedRun:
    """A finished run, as far as predictions need it: the models of the submitted ensemble.

    purpose: how messages begin, "To predict data/lines"
    update: the command that trains the run, for messages, "type the same command without `predict`"
    """

    config: Config
    purpose: str
    update: str

    @property
    def files(self) -> Run:
        """The files of the run."""
        return Run.of(self.config)

    @property
    def weights(self) -> dict[str, float]:
        """The models of the submitted ensemble, and their weights."""
        return self.config.members(self.config.submission.ensemble)

    @cached_property
    def folds(self) -> dict[str, list[FoldFiles]]:
        """The files of each model's folds."""
        count = self.config.folds.count
        return {name: [self.files.fold(name, fold) for fold in range(count)] for name in self.weights}

    def settings(self) -> dict[str, Any]:
        """The settings of a prediction, a schemas.results.TrainedEnsemble as JSON.

        Raises UserError if the run is not trained, was trained with other settings or needs depths.
        """
        self._must_not_need_depths()
        self.snapshots()
        config = self.config
        own_range = "tile" if config.data.layout == "competition" else config.data.range
        data = config.data.model_copy(update={"tile": self._tile()}).model_dump(mode="json", include=DATA_KEYS)
        self._must_match_training(data)
        models = {
            name: config.models[name].model_dump(mode="json", include=MODEL_KEYS)
            | {"stretch": self._stretch(name), "weight": weight}
            for name, weight in self.weights.items()
        }
        return {
            **data,
            "windows": {"overlap": config.windows.overlap, "range": config.windows.range or own_range},
            "models": models,
            "folds": config.folds.count,
            "postprocess": config.submission.postprocess.tilewise.model_dump(mode="json"),
        }

    def snapshots(self) -> dict[Path, float]:
        """The files of weights, and the weight of each in its fold's mean. Raises UserError if one is missing."""
        folds = [fold for of_model in self.folds.values() for fold in of_model]
        missing = [fold.members for fold in folds if not fold.members.is_file()]
        weights = {
            fold.snapshots / member.file: member.weight
            for fold in folds
            if fold.members.is_file()
            for member in read_members(fold.members)
        }
        if missing := missing + [path for path in weights if not path.is_file()]:
            raise UserError(
                f"{self.purpose}, expected the weights of the trained run {self.config.pathvars.results}, {len(folds)} "
                f"folds of the ensemble {self.config.submission.ensemble}, found {len(missing)} of its files missing: "
                f"{first_of(missing, SHOWN)}. Train first: {self.update}; then repeat this command."
            )
        return weights

    def _tile(self) -> Shape:
        """Height and width of the run's tiles, px: from its config or, if it does not set them, from its tiles."""
        from salt.data.records import open_array  # here: a run without predictions needs no NumPy

        if self.config.data.shape:
            return self.config.data.shape
        packed = self.files.tiles.masks
        if not packed.is_file():
            raise UserError(
                f"{self.purpose}, expected the size of the run's tiles in `data.tile` of the config or in {packed}, "
                "found neither. Set `data.tile` to the size that the run was trained with."
            )
        _, height, width = open_array(packed).shape
        return height, width

    def _must_not_need_depths(self) -> None:
        if deep := [name for name in self.weights if self.config.models[name].input.channels == "depth"]:
            raise UserError(
                f"{self.purpose}, expected models whose only input is the image, found `channels: depth` in "
                f"{', '.join(deep)}: images other than the run's tiles have no depth. Name an ensemble of other "
                "models in `submission.ensemble`."
            )

    def _stretch(self, name: str) -> dict[str, float]:
        """How the run stretched a model: not measured anew, so that an image gets what a test tile gets."""
        file = self.files.ensemble(name).stretch
        if not self.config.models[name].stretch:
            return Stretch().model_dump()
        if not file.is_file():
            raise UserError(
                f"{self.purpose}, expected {file}, which tells how the run stretched the prediction of {name} "
                f"(`stretch`), found no such file. Copy it beside the run's models, or {self.update}; then repeat "
                "this command."
            )
        with reading(file):
            return Stretch.model_validate_json(file.read_bytes()).model_dump()

    def _must_match_training(self, data: Mapping[str, Any]) -> None:
        """Compare the config with the settings that the run was made with, as far as provenance records them."""
        changed = [f"data.{change}" for change in _changes(self.files.tiles.folder, data, DATA_KEYS)]
        for name, of_model in self.folds.items():
            model = self.config.models[name].model_dump(mode="json")
            for fold in of_model:
                found = [*_changes(fold.snapshots, model, MODEL_KEYS), *_changes(fold.held_out, model, {"members"})]
                changed += [f"models.{name}.{change}" for change in found]
            blended = self.files.ensemble(name).out_of_fold
            changed += [f"models.{name}.{change}" for change in _changes(blended, model, {"stretch"})]
        if changed := list(dict.fromkeys(changed)):
            raise UserError(
                f"{self.purpose}, expected the settings that the run {self.files.folder} was made with, found others: "
                f"{first_of(changed, SHOWN, '; ')}. Undo the change, or update the run: {self.update}; then repeat "
                "this command."
            )


def _changes(output: Path, now: Mapping[str, Any], keys: set[str]) -> list[str]:
    """Changes of some settings since a program wrote its output, if it had them.

    The initial weights of a network are ignored: trained weights replace them.
    """
    then = provenance.read(output).get("settings", {})
    both = {key for key in keys if then.get(key) is not None}
    changes = differences({key: then[key] for key in sorted(both)}, {key: now[key] for key in sorted(both)})
    return [change for change in changes if not change.startswith("network.weights:")]
