"""What the Snakefile asks for: the inputs and the settings of jobs.

Snakemake compares a rule's parameters between runs. Each rule has at most one: the JSON of just the settings that its
program uses, so that an edit reruns the jobs that it affects and no others.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from salt.intake import sources
from salt.report import comparison
from salt.runtime.paths import Run, SurveyFiles
from salt.workflow import predict_images
from salt.workflow.recipes import Recipes
from schemas import rounds
from schemas.config import Config
from schemas.errors import UserError
from schemas.reading import check_config
from schemas.results import ScoreSettings
from schemas.training import Model

INVALID = (
    "Error: the config has mistakes. Correct these in the recipe or in workflow_config.yaml and type the same command "
    "again; docs/configuration.md explains every key."
)


class Plan:
    """A checked config, and what follows from it.

    A mistake ends the program with a message (SystemExit): Snakemake adds a traceback to all other exceptions.
    """

    def __init__(self, raw: Mapping[str, Any], recipes: Recipes | None = None) -> None:
        """Recipes: the files and options that the config was merged from, to report the lines of its faults."""
        self.config = _checked(raw, recipes or Recipes([]))
        self.run = Run.of(self.config)
        self.survey = SurveyFiles(Path(self.config.data.root))
        self.models = list(self.config.models)
        self.names = [*self.config.models, *self.config.ensembles]  # everything that is blended and scored
        self.pseudo_labels = list(self.config.pseudo_labels)
        encoders = [model.network.pretrained for model in self.config.models.values()]
        self.encoders = {encoder.slug: encoder for encoder in encoders if encoder}
        self.folds = range(self.config.folds.count)
        self.pseudo_label_sets = [  # each for each of its scopes: `stage1_confident/all_folds`
            f"{name}/{scope}"
            for name, labels in self.config.pseudo_labels.items()
            for scope in labels.folders(len(self.folds))
        ]
        # The folds' predictions of test tiles are kept if pseudo-labels are made from them. Otherwise, an edit of such
        # a set would repeat the predictions, and then everything that reads them.
        self.keeps_fold_predictions = self.config.keeps_fold_predictions
        self.prediction_name = predict_images.folder_name(self.config.predict or "")
        self.compute = self.config.compute.model_dump_json()
        self.shards = self.config.compute.shards
        self.on_cpu = self.config.compute.device == "cpu"
        # A job on a GPU claims one core, even if it uses more: otherwise, the GPU would wait for idle cores.
        self.threads = self.config.compute.threads if self.on_cpu else 1
        self.gpus = 0 if self.on_cpu else 1

    # Settings -------------------------------------------------------------------------------------------------

    def settings(self, *keys: str) -> str:
        """The part of the config at these keys, as JSON."""
        value: Any = self.config.model_dump(mode="json")
        for key in keys:
            value = value[key]
        return _json(value)

    def survey_settings(self) -> str:
        """Settings of make_survey."""
        survey = self.config.survey.model_dump(mode="json") if self.config.survey else {}
        side, _ = self.config.data.shape or (0, 0)
        return _json({"tile": side} | survey)

    def data_settings(self) -> str:
        """Settings of prepare_tiles, with a digest of its folders: the mtime of a folder misses edited files."""
        digest = sources.fingerprint(sources.image_paths(self.config.data, self.data_folders()))
        return _json(self.config.data.model_dump(mode="json") | {"images_digest": digest})

    def encoder_settings(self, wildcards: Any) -> str:
        """Settings of fetch_weights."""
        return _json(self.encoders[wildcards.encoder].model_dump())

    def train_settings(self, wildcards: Any) -> str:
        """Settings of train_fold."""
        tiles = self._model(wildcards).model_dump(mode="json", include={"constant_tiles", "labelled_share"})
        return self._train_settings(wildcards.model, "phases", **tiles)

    def pretrain_settings(self, wildcards: Any) -> str:
        """Settings of pretrain."""
        return self._train_settings(wildcards.model, "pretrain", fold=_fold(wildcards.scope))

    def _train_settings(self, name: str, part: str, **more: Any) -> str:
        model = self.config.models[name]
        dumped = model.model_dump(mode="json", include={"network", "input", "augment", "mix", "control", part})
        phases = dumped.pop(part)
        dumped["phases"] = phases["phases"] if part == "pretrain" else phases
        return _json({"seed": rounds.seed(self.config, name)} | dumped | more)

    def predict_settings(self, wildcards: Any) -> str:
        """Settings of predict_fold."""
        return self._predict_settings(wildcards, "members")

    def shard_settings(self, wildcards: Any) -> str:
        """Settings of predict_shard."""
        return self._predict_settings(wildcards)

    def _predict_settings(self, wildcards: Any, *more: str) -> str:
        dumped = self._model(wildcards).model_dump(mode="json", include={"network", "input", *more})
        return _json(dumped | {"scores_test": self.config.knows_test_masks})

    def blend_settings(self, wildcards: Any) -> str:
        """Settings of blend: the weight of each member, and whether to stretch; folds have equal weights."""
        model = self.config.models.get(wildcards.name)
        return _json({"weights": self._weights(wildcards.name), "stretch": model is not None and model.stretch})

    def _weights(self, name: str) -> dict[str, float]:
        """Weights of a blend's members by name, sorted as in the JSON, so that weights and files match."""
        return dict(sorted(self.config.ensembles.get(name, {f"fold{fold}": 1.0 for fold in self.folds}).items()))

    def pseudo_label_settings(self, wildcards: Any) -> str:
        """Settings of make_pseudo_labels."""
        settings = self.config.pseudo_labels[wildcards.labels].model_dump(mode="json")
        weights = list(self._predictors(wildcards).values())
        return _json({"folds": len(self.folds), "fold": _fold(wildcards.scope), "weights": weights} | settings)

    def score_settings(self) -> str:
        """Settings of score."""
        postprocess = self.config.submission.postprocess.tilewise
        settings = ScoreSettings(postprocess=postprocess, comparisons=rounds.comparisons(self.config))
        return _json(settings.model_dump(mode="json"))

    def report_settings(self) -> str:
        """Settings of write_report: everything that its methods describe."""
        return _json(self.config.model_dump(mode="json", exclude=comparison.IRRELEVANT_TO_RESULTS))

    def image_settings(self, _: Any) -> str:
        """Settings of predict_images, a function so that Snakemake expands no wildcards in them.

        Ends the program if the images cannot be predicted.
        """
        try:
            return _json(predict_images.settings(self.config))
        except UserError as error:
            raise SystemExit(f"Error: {error}") from None

    def _model(self, wildcards: Any) -> Model:
        return self.config.models[wildcards.model]

    # Targets --------------------------------------------------------------------------------------------------

    def targets(self) -> list[Path]:
        """The outputs of the plain command: the run's results, or only a prediction of other images."""
        if self.config.predict:
            return predict_images.files(self.config).all
        return [self.run.submission, self.run.scores, self.run.report]

    # Inputs ---------------------------------------------------------------------------------------------------

    def data_files(self) -> list[Path]:
        """Tables and zips that prepare_tiles reads. Raises UserError if there are no data."""
        if self.config.survey:
            return self.survey.data
        return [path for path in self._sources() if not path.is_dir()]

    def data_folders(self) -> list[Path]:
        """Folders of images that prepare_tiles reads. `data_settings` tracks their content, instead of their mtime."""
        return [] if self.config.survey else [path for path in self._sources() if path.is_dir()]

    def _sources(self) -> list[Path]:
        try:
            return sources.sources(self.config.data)
        except UserError:
            if self.config.predict:  # needs only the weights, which may have been moved to another machine
                return []
            raise

    def hidden_masks(self) -> list[Path]:
        """The hidden masks of labelled tiles, if there are any: an input of rules that score, and of no others."""
        return [self.run.hidden_masks] if self.config.data.hide_labels else []

    def true_test_masks(self) -> list[Path]:
        """The true masks of the test tiles, if the data are a synthetic survey."""
        return [self.survey.true_masks] if self.config.survey else []

    def fold_inputs(self) -> list[Path]:
        """Mosaics and duplicates, if the folds keep mosaics together."""
        return [self.run.mosaics, self.run.duplicates] if self.config.folds.by == "mosaic" else []

    def fold_file(self) -> list[Path]:
        """The file that lists the folds, if one does: an edit deals them anew."""
        return [Path(self.config.folds.file)] if self.config.folds.file else []

    def pretrain_pseudo_labels(self, wildcards: Any) -> list[Path]:
        """The pseudo-labels that a model is pretrained on, if any."""
        model = self._model(wildcards)
        name = model.pretrain.pseudo_labels if model.pretrain else None
        return self._pseudo_labels(model, name, _fold(wildcards.scope))

    def pretrain_folds(self, wildcards: Any) -> list[Path]:
        """The folds, if a model is pretrained on labelled tiles, as controls are."""
        return [self.run.folds] if self._model(wildcards).control else []

    def pseudo_label_sources(self, wildcards: Any) -> list[Path]:
        """The predictions of test tiles that a set of pseudo-labels is made from, in the order of their weights."""
        fold, names = _fold(wildcards.scope), self._predictors(wildcards)
        if fold is None:
            return [self.run.ensemble(name).test for name in names]
        return [path for name in names for path in self.run.fold(name, fold).tests(self.shards)]

    def _predictors(self, wildcards: Any) -> dict[str, float]:
        """Who predicts what a set is made from, with weights: the ensemble, or its models in a fold."""
        if _fold(wildcards.scope) is None:
            return {self.config.pseudo_labels[wildcards.labels].ensemble: 1.0}
        return dict(rounds.predictors(self.config, wildcards.labels))

    def added_pseudo_labels(self, wildcards: Any) -> list[Path]:
        """The pseudo-labels that are added to a model's training tiles in a fold, if any."""
        model = self._model(wildcards)
        return self._pseudo_labels(model, model.add_pseudo_labels, int(wildcards.fold))

    def _pseudo_labels(self, model: Model, name: str | None, fold: int | None) -> list[Path]:
        """The files of a set that a training reads: masks and table; for a control, which counts tiles, the table."""
        if name is None:
            return []
        files = self.run.pseudo_labels(name, self.config.pseudo_labels[name].folder(fold))
        return [files.table] if model.control else files.all

    def pseudo_label_masks(self) -> list[Path]:
        """The masks of all sets of pseudo-labels."""
        return [self.run.pseudo_labels(*of.split("/")).masks for of in self.pseudo_label_sets]

    def pseudo_label_tables(self) -> list[Path]:
        """The tables of all sets of pseudo-labels."""
        return [self.run.pseudo_labels(*of.split("/")).table for of in self.pseudo_label_sets]

    def pseudo_label_scores(self) -> list[Path]:
        """The scores of pseudo-labels, if any of their true masks are known."""
        return [self.run.pseudo_label_scores] if self.config.scores_pseudo_labels else []

    def encoder_files(self, wildcards: Any) -> list[Path]:
        """The local file that an encoder's weights are read from, if they are not fetched."""
        file = self.encoders[wildcards.encoder].file
        return [Path(file)] if file else []

    def encoder_weights(self, wildcards: Any) -> list[Path]:
        """The weights that a model's encoder starts from, if they are not random."""
        encoder = self._model(wildcards).network.pretrained
        return [self.run.encoder(encoder.slug)] if encoder else []

    def fold_encoder_weights(self, wildcards: Any) -> list[Path]:
        """The weights that a fold's encoder starts from; none if the model is pretrained."""
        return [] if self._model(wildcards).pretrain else self.encoder_weights(wildcards)

    def pretrained_weights(self, wildcards: Any) -> list[Path]:
        """The weights that a fold starts from, if its model is pretrained."""
        scope = rounds.pretraining(self.config, wildcards.model, int(wildcards.fold))
        return [self.run.pretraining(wildcards.model, scope).weights] if scope else []

    def labelled_members(self, wildcards: Any) -> list[Path]:
        """The predictions of training tiles that are blended."""
        if wildcards.name in self.config.models:
            return [self.run.fold(wildcards.name, fold).held_out for fold in self.folds]
        return [self.run.ensemble(member).out_of_fold for member in self._weights(wildcards.name)]

    def test_members(self, wildcards: Any) -> list[Path]:
        """The predictions of test tiles that are blended."""
        if wildcards.name in self.config.models:
            return [path for fold in self.folds for path in self.run.fold(wildcards.name, fold).tests(self.shards)]
        return [self.run.ensemble(member).test for member in self._weights(wildcards.name)]

    def histories(self) -> list[Path]:
        """The history of every training."""
        files = [
            self.run.pretraining(name, scope).history
            for name in self.models
            for scope in rounds.pretrainings(self.config, name)
        ]
        return files + [self.run.fold(name, fold).history for name in self.models for fold in self.folds]

    def compared_runs(self) -> list[Path]:
        """Files of other runs that the report reads. Ends the program if one of these runs has not finished."""
        if self.config.predict:
            return []
        try:
            return comparison.inputs(self.config.report.compare)
        except UserError as error:
            raise SystemExit(f"Error: {error}") from None


def _checked(raw: Mapping[str, Any], recipes: Recipes) -> Config:
    """The config. Ends the program with a list of all mistakes in it and in its files."""
    faults = list(recipes.repeated())
    try:
        config = check_config(raw)
    except UserError as error:
        faults += recipes.located(str(error).splitlines())
    if faults:
        raise SystemExit("\n".join([INVALID, *faults])) from None
    return config


def _fold(scope: str) -> int | None:
    """The one fold that learns from a set or a pretraining; None: all folds."""
    return None if scope == "all_folds" else int(scope.removeprefix("fold"))


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
