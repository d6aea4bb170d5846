"""Checks of the machine before a run's first job: its disk, its GPUs, its cores, and the time that they need."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from salt.runtime import gpu_count, gpu_lease
from salt.runtime.makespan import Limits
from salt.runtime.program import CAUSES
from salt.workflow.cost import TRAININGS, Cost
from salt.workflow.problems import Problem
from salt.workflow.snakemake_adapter import Job
from schemas.config import Config

LONG = 24 * 3600  # seconds; a longer training on the CPU causes a warning


def problems(
    config: Config, cost: Cost, jobs: Sequence[Job], computing: Sequence[Job], limits: Limits
) -> Iterator[Problem]:
    """Problems of computing jobs that run on this machine, within limits of what runs side by side."""
    yield from _long_trainings(cost, jobs)
    yield from device(config)
    yield from _gpus(config, computing, limits)
    yield from _cores(config, computing, limits)


def results_folder(config: Config) -> Iterator[Problem]:
    """A folder of results (or its nearest existing parent) in which no file can be created."""
    folder = nearest_existing(config.pathvars.results)
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        yield Problem(
            f"expected to write the results to {config.pathvars.results}, but {folder} cannot be written: "
            f"{CAUSES.get(error.errno or 0, error)}, or put `pathvars.results` elsewhere"
        )


def nearest_existing(results: str) -> Path:
    """The folder of the results, or its nearest existing parent."""
    folder = Path(results).absolute()
    return next(parent for parent in (folder, *folder.parents) if parent.is_dir())


def device(config: Config) -> Iterator[Problem]:
    """A GPU that is required and missing."""
    if config.compute.device == "cuda" and not gpu_count.count():
        yield Problem(
            "compute.device: expected a GPU for cuda, found none that the CUDA driver lists; check `nvidia-smi` and "
            "CUDA_VISIBLE_DEVICES, or set compute.device to auto or cpu"
        )


def _long_trainings(cost: Cost, jobs: Sequence[Job]) -> Iterator[Problem]:
    """Long trainings that would run on the CPU because there is no GPU."""
    seconds = sum(cost.seconds_on_cpu(job) for job in jobs if job.rule in TRAININGS)
    if cost.config.compute.device == "auto" and seconds > LONG and not gpu_count.count():
        yield Problem(
            "compute.device: expected a GPU for auto, found none; on the CPU, the trainings of this run take about "
            f"{seconds / 86400:.0f} days; use a machine with a GPU, or set compute.device: cpu if this is intended",
            stops=False,
        )


def _gpus(config: Config, jobs: Sequence[Job], limits: Limits) -> Iterator[Problem]:
    """More jobs on GPUs than have room there, or too few cores to give each GPU a job."""
    asked = min(limits.gpus, sum(job.gpus for job in jobs))
    if config.compute.device == "cpu" or not asked or not (gpus := len(gpu_lease.visible())):
        return
    if asked > (places := gpus * config.compute.jobs_per_gpu):
        yield Problem(
            f"--resources gpu: expected at most {places}, for {gpus} GPUs and compute.jobs_per_gpu "
            f"{config.compute.jobs_per_gpu}, found {asked}; lower it: the other jobs would wait for a GPU",
            stops=False,
        )
    if limits.cores < min(asked, places):
        yield Problem(
            f"--cores: expected at least {min(asked, places)}, one for each job on a GPU, found {limits.cores}; raise "
            "it: GPUs would idle",
            stops=False,
        )


def _cores(config: Config, jobs: Sequence[Job], limits: Limits) -> Iterator[Problem]:
    """More threads or processes than cores, over all jobs that run side by side."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    on_gpus = bool(jobs[0].gpus)
    here = limits if on_gpus else limits._replace(cores=min(limits.cores, cores))
    jobs_at_once = here.at_once([(job.cores, job.gpus) for job in jobs])
    each = f", for each of {jobs_at_once} jobs side by side" if jobs_at_once > 1 else ""
    waiting = "the GPUs would wait for tiles" if each and on_gpus else "more would wait for each other"
    for key in ("threads", "loader_workers"):
        if (found := getattr(config.compute, key)) * jobs_at_once > cores:
            yield Problem(
                f"compute.{key}: expected at most {max(1, cores // jobs_at_once)}, the cores of this machine{each}, "
                f"found {found}; lower it: {waiting}",
                stops=False,
            )
