"""What the run took: the part of the report on time, memory and devices, by rule."""

import contextlib
from pathlib import Path
from typing import Any

import pandas as pd

from salt.runtime import provenance
from salt.runtime.paths import Run
from salt.runtime.timings import Timing
from schemas.config import Config

TIMED = ("pretrain", "train_fold")  # rules whose programs time themselves, over all parts of an interrupted job
GIGABYTE = 2**20 / 1e9  # of Snakemake's megabytes


def about(config: Config, run: Run) -> dict[str, Any]:
    """What report/costs.html shows; None without any measurement, as of runs of earlier versions.

    costs: for each rule in the order of the workflow, the number of jobs, their seconds together, those of the
    longest one, the most memory of a job in GB (NaN where no job lasted long enough), and the devices
    """
    table = measured(run)
    devices = devices_of(config, run)
    order = [*devices, *sorted(set(table["rule"]) - devices.keys())]
    by_rule = {rule: table[table["rule"] == rule] for rule in order}
    found = {
        rule: {
            "jobs": len(jobs),
            "seconds": jobs["seconds"].sum(),
            "longest": jobs["seconds"].max(),
            "memory": jobs["memory"].max(),
            "devices": devices.get(rule, []),
        }
        for rule, jobs in by_rule.items()
        if len(jobs)
    }
    return {"costs": found or None}


def measured(run: Run) -> pd.DataFrame:
    """A row for each job that Snakemake measured: rule, seconds, memory in GB (with its workers, shared pages once)."""
    rows = []
    for path in sorted(run.benchmarks.rglob("*.tsv")):
        rule = path.relative_to(run.benchmarks).with_suffix("").parts[0]
        with contextlib.suppress(OSError, ValueError, LookupError):  # a job that starts anew deletes it
            job = pd.read_csv(path, sep="\t", na_values="-").iloc[-1]
            seconds = max(float(job["s"]), own_seconds(run, path) if rule in TIMED else 0.0)
            rows.append({"rule": rule, "seconds": seconds, "memory": float(job["max_pss"]) * GIGABYTE})
    return pd.DataFrame(rows, columns=["rule", "seconds", "memory"])


def own_seconds(run: Run, benchmark: Path) -> float:
    """The seconds that a training counted itself; 0 if it left none."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        return Timing.read(run.timings / f"{benchmark.stem}.json").seconds
    return 0.0


def devices_of(config: Config, run: Run) -> dict[str, list[str]]:
    """The devices that the results of each rule were computed on, for all rules in the order of the workflow."""
    found = {}
    for rule, outputs in provenance.results(config, run).items():
        records = [provenance.read(output) for output in outputs]
        found[rule] = sorted({record["device"] for record in records if "device" in record})
    return found
