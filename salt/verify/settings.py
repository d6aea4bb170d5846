"""Results that were made with other settings than those of the run's config now."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from salt.runtime import provenance
from salt.verify.records import Record
from salt.workflow.dag import Plan
from schemas import rounds
from schemas.differences import differences

DERIVED = {"images_digest"}  # settings that follow from data, not from the config


def changed(plan: Plan, records: Iterable[Record]) -> Iterator[tuple[Record, list[str]]]:
    """Records of results with other settings than the config's, and the changes: "phases.0.batch: 8 -> 4"."""
    now = {provenance.path_of(output): settings for output, settings in of_results(plan).items()}
    for record in records:
        then, settings = record.content.get("settings"), now.get(record.path)
        if then and settings and (found := list(differences(_own(then), _own(json.loads(settings))))):
            yield record, found


def of_results(plan: Plan) -> dict[Path, str]:
    """The settings, as JSON, of the jobs of a run, by the outputs that name their records."""
    run, data, by = plan.run, plan.config.data, SimpleNamespace
    folds = [(run.fold(name, fold), by(model=name, fold=str(fold))) for name in plan.models for fold in plan.folds]
    scopes = [(name, scope) for name in plan.models for scope in rounds.pretrainings(plan.config, name)]
    sets = [of.split("/") for of in plan.pseudo_label_sets]
    return {
        plan.survey.folder: plan.survey_settings(),
        run.tiles.folder: data.model_dump_json(),
        run.mosaics: plan.settings("mosaics"),
        run.folds: plan.settings("folds"),
        **{run.encoder(slug): encoder.model_dump_json() for slug, encoder in plan.encoders.items()},
        **{fold.snapshots: plan.train_settings(wildcards) for fold, wildcards in folds},
        **{fold.held_out: plan.predict_settings(wildcards) for fold, wildcards in folds},
        **{path: plan.shard_settings(of) for fold, of in folds if plan.shards > 1 for path in fold.tests(plan.shards)},
        **{
            run.pretraining(name, scope).weights: plan.pretrain_settings(by(model=name, scope=scope))
            for name, scope in scopes
        },
        **{run.pseudo_labels(*of).masks: plan.pseudo_label_settings(by(labels=of[0], scope=of[1])) for of in sets},
        **{run.ensemble(name).out_of_fold: plan.blend_settings(by(name=name)) for name in plan.names},
        run.scores: plan.score_settings(),
        run.masks: plan.settings("submission", "postprocess"),
        run.report: plan.report_settings(),
    }


def _own(settings: Any) -> Any:
    """Settings without those that no config holds."""
    return (
        {key: value for key, value in settings.items() if key not in DERIVED}
        if isinstance(settings, dict)
        else settings
    )
