"""Checks of data and machine before a run's first job: all problems within seconds, reported together.

Errors stop the run, warnings do not. `schemas` checks the config on its own.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import yaml

from salt.data.damage import reading
from salt.runtime.makespan import Limits
from salt.runtime.paths import REPOSITORY, Run
from salt.workflow import machine
from salt.workflow.cost import PREDICTIONS, TRAININGS, Cost, TileCount
from salt.workflow.dag import Plan
from salt.workflow.problems import Problem, report
from salt.workflow.snakemake_adapter import Job
from schemas.base import Shape
from schemas.config import Config
from schemas.errors import UserError
from schemas.networks import PretrainedEncoder
from schemas.training import Model

ON_DEVICE = (*TRAININGS, *PREDICTIONS, "predict_images")  # rules that use `compute`
COMMON_WEIGHTS = "imagenet"  # exist for every encoder of segmentation_models_pytorch


def must_have_inputs(plan: Plan) -> None:
    """End the program if input files are missing, with all that would stop the run.

    Called while the Snakefile is read: without these files, Snakemake cannot plan, and would name only the first.
    """
    missing = [] if plan.config.predict else [*_data(plan), *_fold_file(plan), *_weights_files(plan)]
    if missing:
        report([*missing, *machine.results_folder(plan.config), *machine.device(plan.config)])


def problems(
    config: Config, cost: Cost, jobs: Sequence[Job], limits: Limits, runs_here: bool = True
) -> Iterator[Problem]:
    """All problems of a run of these jobs except for disk space.

    limits: of what runs side by side; runs_here: the jobs run on this machine
    """
    yield from machine.results_folder(config)
    yield from _shards(config, jobs)
    names = dict.fromkeys(job.wildcards["model"] for job in jobs if job.rule in TRAININGS)
    trained = {name: config.models[name] for name in names}
    if cost.tiles and any(job.rule == "assemble_mosaics" for job in jobs):
        yield from _mosaics(config, cost.tiles)
    if trained and cost.tiles:
        yield from _tiles(config, trained, cost.tiles)
    yield from _networks(trained, config.data.shape)
    yield from _sources(trained, jobs)
    if runs_here and (computing := [job for job in jobs if job.rule in ON_DEVICE]):
        yield from machine.problems(config, cost, jobs, computing, limits)


# Data ---------------------------------------------------------------------------------------------------------------


def _data(plan: Plan) -> Iterator[Problem]:
    """Missing images."""
    try:
        plan.data_files()
    except UserError as error:
        yield Problem(str(error))


def _fold_file(plan: Plan) -> Iterator[Problem]:
    """A missing file of folds."""
    for path in plan.fold_file():
        if not path.is_file():
            yield Problem(
                f"folds.file: expected a CSV with the columns id and fold, found none at {path}; put it there, or set "
                "another folds.by"
            )


def _tiles(config: Config, models: Mapping[str, Model], tiles: TileCount) -> Iterator[Problem]:
    """Settings that require more tiles than there are."""
    count = config.folds.count
    if count > tiles.train:
        yield Problem(f"folds.count: expected at most {tiles.train}, the labelled tiles, found {count}; lower it")
        return
    for name, model in models.items():
        for number, phase in enumerate(model.phases):
            if phase.batch >= tiles.train and not model.add_pseudo_labels:
                yield Problem(
                    f"models.{name}.phases.{number}.batch: expected less than the {tiles.train} labelled tiles, since "
                    f"each fold trains on a part of them, found {phase.batch}; lower it"
                )
    for name, labels in config.pseudo_labels.items():
        asked = sum(size.asked(range(count)) for size in labels.per_fold or ())
        if asked > tiles.test:
            yield Problem(
                f"pseudo_labels.{name}.per_fold: expected at most {tiles.test} tiles, the size of the test split, "
                f"found {asked} for {count} folds together; folds will get fewer of some sizes",
                stops=False,
            )


def _mosaics(config: Config, tiles: TileCount) -> Iterator[Problem]:
    """More tiles than are searched for neighbours."""
    if fault := config.mosaics.too_many(tiles.train + tiles.test):
        yield Problem(fault)


def _shards(config: Config, jobs: Sequence[Job]) -> Iterator[Problem]:
    """Another number of shards than that of the predictions so far: Snakemake would see other inputs of all blends."""
    run = Run.of(config)
    predicted = any(
        run.fold(name, fold).members.exists() for name in config.models for fold in range(config.folds.count)
    )
    if not predicted or not run.config.exists():
        return
    try:
        with reading(run.config, "Delete it, and the run writes it anew."):
            before = dict(yaml.safe_load(run.config.read_text(encoding="utf-8")))["compute"].get("shards", 1)
    except UserError as error:
        yield Problem(str(error))
        return
    if before != config.compute.shards and any(job.rule in (*PREDICTIONS, "blend") for job in jobs):
        yield Problem(
            f"compute.shards: expected {before}, as in {run.config} and for the predictions so far, found "
            f"{config.compute.shards}: all predictions would be made again, and whatever learned from them; set it "
            "back, or delete that file if this is intended"
        )


# Networks and weights -----------------------------------------------------------------------------------------------


def _weights_files(plan: Plan) -> Iterator[Problem]:
    """Missing local files of weights, unless an earlier run has read them."""
    for slug, encoder in plan.encoders.items():
        file, read = encoder.file, plan.run.encoder(slug)
        if file and not Path(file).is_file() and not read.exists():
            keys = _keys(plan.config.models, encoder)
            yield Problem(
                f"{keys}: expected a file of weights, found none at {file}; put it there, or set `weights: imagenet` "
                "to download them"
            )


def _keys(models: Mapping[str, Model], encoder: PretrainedEncoder) -> str:
    """The config's keys of an encoder's weights."""
    return ", ".join(
        f"models.{name}.network.weights" for name, model in models.items() if model.network.pretrained == encoder
    )


def _networks(models: Mapping[str, Model], tile: Shape | None) -> Iterator[Problem]:
    """Networks that cannot be created. A trial takes seconds, so networks that the tests create are skipped."""
    trials = {
        name: {
            "network": model.network.model_dump(mode="json"),
            "channels": model.input.channel_count,
            "sides": model.input.known_shape(tile) or (),
        }
        for name, model in models.items()
        if not _is_tested(model)
    }
    if not trials:
        return
    command = [sys.executable, "-m", "models.check", json.dumps(trials)]
    # The texts of the config are an argument of this project's own program, and pass through no shell.
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        yield Problem(f"the networks of {', '.join(trials)} could not be tried before the run: {last[0]}", stops=False)
        return
    for name, fault in json.loads(done.stdout.splitlines()[-1]).items():
        yield Problem(f"models.{name}.network: {fault}")


def _is_tested(model: Model) -> bool:
    encoder, weights = model.network.encoder, model.network.pretrained
    usual = weights is None or weights.file or weights.package or weights.weights == COMMON_WEIGHTS
    return encoder is None or (bool(usual) and encoder in model.network.tried_encoders)


def _sources(models: Mapping[str, Model], jobs: Sequence[Job]) -> Iterator[Problem]:
    """Weights to be fetched whose package is missing, or that are not in the cache of earlier downloads."""
    slugs = {job.wildcards["encoder"] for job in jobs if job.rule == "fetch_weights"}
    encoders = dict.fromkeys(model.network.pretrained for model in models.values())
    fetched = [one for one in encoders if one and one.slug in slugs and not one.file]
    for one in fetched:
        try:
            if one.package:
                one.package.locate()
        except UserError as error:
            yield Problem(f"{_keys(models, one)}: {error}")
    missing = [one for one in fetched if not one.package and not _is_cached(one)]
    if missing:
        names = ", ".join(sorted(f"{one.weights} of {one.encoder}" for one in missing))
        yield Problem(
            f"weights that are not on this machine will be downloaded first, which needs an internet connection: "
            f"{names}; without one, set `weights: path/to/file.safetensors` for these networks",
            stops=False,
        )


def _is_cached(encoder: PretrainedEncoder) -> bool:
    """Whether huggingface_hub's cache has a folder for these weights."""
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "huggingface")
    cache = Path(os.environ.get("HF_HUB_CACHE") or Path(home, "hub"))
    timm = encoder.encoder.removeprefix("tu-")
    name = (
        f"models--smp-hub--{encoder.encoder}.{encoder.weights}" if timm == encoder.encoder else f"models--timm--{timm}*"
    )
    return any(cache.glob(name))
