"""What would stop a run, or make it another than was meant, found within seconds: before its first job, all at once.

Errors stop it, warnings do not. What is wrong with the config alone, `schemas` says; here speak data and machine.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from salt.runtime import gpus
from salt.runtime.paths import REPOSITORY
from salt.runtime.program import CAUSES
from salt.workflow.cost import TRAININGS, Cost, TileCount
from salt.workflow.dag import Plan
from salt.workflow.snakemake_adapter import Job
from schemas.config import Config
from schemas.errors import UserError
from schemas.networks import PretrainedEncoder
from schemas.section import Shape
from schemas.training import Model

LONG = 24 * 3600  # seconds of training on a CPU that are worth a warning
ON_DEVICE = (*TRAININGS, "predict_fold", "predict_images")  # rules that `compute` is for
COMMON_WEIGHTS = "imagenet"  # that every encoder of segmentation_models_pytorch has


class Problem(NamedTuple):
    """One line: what was expected, what was found and where, what to do."""

    text: str
    stops: bool = True

    def __str__(self) -> str:
        return f"{'Error' if self.stops else 'Warning'}: {self.text}"


def tell(found: Iterable[Problem]) -> None:
    """Print all problems, errors first. Ends the program where there are any."""
    ordered = in_order(found)
    text = "\n".join(map(str, ordered))
    if ordered and ordered[0].stops:
        raise SystemExit(text)
    if text:
        print(text, file=sys.stderr)


def in_order(found: Iterable[Problem]) -> list[Problem]:
    """Errors first."""
    return sorted(found, key=lambda problem: not problem.stops)


def must_have_inputs(plan: Plan) -> None:
    """Called while the Snakefile is read: without these files Snakemake makes no plan, and names the first alone.

    Ends the program where some are missing, and names what else would stop it.
    """
    missing = [] if plan.config.predict else [*_data(plan), *_weights_files(plan)]
    if missing:
        tell([*missing, *_results(plan.config), *_device(plan.config)])


def problems(config: Config, cost: Cost, jobs: Sequence[Job], here: bool = True) -> Iterator[Problem]:
    """All problems of a run of these jobs but for the room on its disk. here: the jobs run on this machine."""
    yield from _results(config)
    names = dict.fromkeys(job.wildcards["model"] for job in jobs if job.rule in TRAININGS)
    trained = {name: config.models[name] for name in names}
    if trained and cost.tiles:
        yield from _tiles(config, trained, cost.tiles)
    yield from _networks(trained, config.data.shape)
    yield from _fetched(trained, jobs)
    if here and any(job.rule in ON_DEVICE for job in jobs):
        yield from _hours(cost, jobs)
        yield from _device(config)
        yield from _cores(config)


# Data ---------------------------------------------------------------------------------------------------------------


def _data(plan: Plan) -> Iterator[Problem]:
    """Images that are missing."""
    try:
        plan.data_files()
    except UserError as error:
        yield Problem(str(error))


def _tiles(config: Config, models: Mapping[str, Model], tiles: TileCount) -> Iterator[Problem]:
    """Settings that ask for more tiles than there are."""
    count = config.folds.count
    if count > tiles.train:
        yield Problem(f"folds.count: expected at most {tiles.train}, the labelled tiles, found {count}; lower it")
        return
    for name, model in models.items():
        for number, phase in enumerate(model.phases):
            if phase.batch >= tiles.train and not model.add_pseudo_labels:
                yield Problem(
                    f"models.{name}.phases.{number}.batch: expected less than the {tiles.train} labelled tiles, a part "
                    f"of which each fold trains on, found {phase.batch}; lower it"
                )
    for name, labels in config.pseudo_labels.items():
        asked = count * sum(size.count for size in labels.per_fold or ())
        if asked > tiles.test:
            yield Problem(
                f"pseudo_labels.{name}.per_fold: expected at most {tiles.test} tiles, those of the test split, found "
                f"{asked} for {count} folds together; each fold gets fewer of some sizes",
                stops=False,
            )


# Networks and weights -----------------------------------------------------------------------------------------------


def _weights_files(plan: Plan) -> Iterator[Problem]:
    """Local files of weights that are missing, and were not read by an earlier run."""
    for slug, encoder in plan.encoders.items():
        file, read = encoder.file, plan.run.encoder(slug)
        if file and not Path(file).is_file() and not read.exists():
            keys = [
                f"models.{name}.network.weights"
                for name, model in plan.config.models.items()
                if model.network.pretrained == encoder
            ]
            yield Problem(
                f"{', '.join(keys)}: expected a file of weights, found none at {file}; put it there, or set `weights: "
                f"imagenet` to have them fetched"
            )


def _networks(models: Mapping[str, Model], tile: Shape | None) -> Iterator[Problem]:
    """Networks that cannot be made. Asking takes seconds, so those that tests make are not asked about."""
    trials = {
        name: {
            "network": model.network.model_dump(mode="json"),
            "channels": model.input.channel_count,
            "sides": model.input.known_shape(tile) or (),
        }
        for name, model in models.items()
        if not _is_tried(model)
    }
    if not trials:
        return
    command = [sys.executable, "-m", "models.trial", json.dumps(trials)]
    # The config's texts are an argument of a program of ours, and go through no shell.
    asked = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)  # noqa: S603
    if asked.returncode:
        last = asked.stderr.strip().splitlines()[-1:] or [f"exit code {asked.returncode}"]
        yield Problem(f"the networks of {', '.join(trials)} could not be tried before the run: {last[0]}", stops=False)
        return
    for name, fault in json.loads(asked.stdout.splitlines()[-1]).items():
        yield Problem(f"models.{name}.network: {fault}")


def _is_tried(model: Model) -> bool:
    encoder, weights = model.network.encoder, model.network.pretrained
    usual = weights is None or weights.file or weights.weights == COMMON_WEIGHTS
    return encoder is None or (bool(usual) and encoder in model.network.tried_encoders)


def _fetched(models: Mapping[str, Model], jobs: Sequence[Job]) -> Iterator[Problem]:
    """Weights that are neither here nor in the cache of earlier downloads."""
    slugs = {job.wildcards["encoder"] for job in jobs if job.rule == "fetch_weights"}
    encoders = {encoder for model in models.values() if (encoder := model.network.pretrained)}
    missing = [one for one in encoders if one.slug in slugs and not one.file and not _is_cached(one)]
    if missing:
        names = ", ".join(sorted(f"{one.weights} of {one.encoder}" for one in missing))
        yield Problem(
            f"weights that are not on this machine are fetched before anything else, which needs a network: {names}; "
            "without one, set `weights: path/to/file.safetensors` for these networks",
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


# The machine --------------------------------------------------------------------------------------------------------


def _results(config: Config) -> Iterator[Problem]:
    """A folder of results in which, or in the nearest that exists above it, no file can be made."""
    folder = nearest(config.pathvars.results)
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        yield Problem(
            f"expected to write the results to {config.pathvars.results}, and cannot in {folder}: "
            f"{CAUSES.get(error.errno or 0, error)}, or put `pathvars.results` elsewhere"
        )


def nearest(results: str) -> Path:
    """The folder of the results, or of its parents the nearest that exists."""
    folder = Path(results).absolute()
    return next(parent for parent in (folder, *folder.parents) if parent.is_dir())


def _device(config: Config) -> Iterator[Problem]:
    """A GPU that is asked for and is not there."""
    if config.compute.device == "cuda" and not gpus.count():
        yield Problem(
            "compute.device: expected a GPU for cuda, found none that the driver of CUDA shows; check `nvidia-smi` and "
            "CUDA_VISIBLE_DEVICES, or set compute.device to auto or cpu"
        )


def _hours(cost: Cost, jobs: Sequence[Job]) -> Iterator[Problem]:
    """Long trainings that a CPU would do since there is no GPU."""
    seconds = sum(cost.seconds_on_cpu(job) for job in jobs if job.rule in TRAININGS)
    if cost.config.compute.device == "auto" and seconds > LONG and not gpus.count():
        yield Problem(
            "compute.device: auto finds no GPU, and on the CPU the trainings of this run take about "
            f"{seconds / 86400:.0f} days; start it on a machine with a GPU, or set compute.device: cpu to have it so",
            stops=False,
        )


def _cores(config: Config) -> Iterator[Problem]:
    """More threads or processes than cores, which wait for each other."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for key in ("threads", "loader_workers"):
        if (found := getattr(config.compute, key)) > cores:
            yield Problem(
                f"compute.{key}: expected at most {cores}, the cores of this machine, found {found}; lower it, since "
                "more than these wait for each other",
                stops=False,
            )
