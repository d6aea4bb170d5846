"""Everything that needs a GPU, in at most 8 minutes: tests, rates, what `deterministic` costs, the tiny recipe.

    make gpu-check                                                    where the environment of requirements.lock is
    python3 -m benchmarks.gpu_check --json check.json --commit ID     elsewhere; see benchmarks/gpu_packages.py
    python -m benchmarks.gpu_check --device cpu                       what a CPU can show of it, with small sizes

Each stage is a program of its own with a time limit. One that fails or takes too long is reported, and the next one
begins. The JSON, which docs/records.md is made from, is written after each stage.
"""

import argparse
import csv
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml

from benchmarks import measure
from salt.runtime import device
from salt.runtime.paths import REPOSITORY, Run
from schemas.config import Compute

SECONDS = {"tests": 90, "training": 125, "deterministic": 45, "inference": 50, "tiny run": 170}  # at most, on a GPU
ON_CPU = 10  # times as long: a busy machine is no fault
TAIL = 40  # lines of a failed stage's output
MODULES = (
    "cv2",
    "albumentations",
    "segmentation_models_pytorch",
    "timm",
    "pandas",
    "snakemake",
    "pytest",
    "hypothesis",
)
TINY = REPOSITORY / "tests" / "workflow" / "tiny.yaml"


@dataclass(frozen=True)
class Stage:
    """A program of the check.

    words: after `python -m`; result: the file that it leaves, JSON or CSV
    """

    name: str
    words: list[str]
    result: Path | None = None

    def run(self, limit: float, log: Path) -> dict[str, Any]:
        """Run it to its end or its limit, s: status, seconds, what it left, and the end of its output if it failed."""
        start = time.monotonic()
        with log.open("w") as output:
            command = [sys.executable, "-m", *self.words]
            environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(REPOSITORY), *inherited_path()])}
            child = subprocess.Popen(  # noqa: S603 (of this module's words)
                command, cwd=REPOSITORY, env=environment, stdout=output, stderr=output, start_new_session=True
            )
            status = wait(child, limit)
        found = {"status": status, "seconds": round(time.monotonic() - start, 1), "result": self.left()}
        lines = log.read_text(errors="replace").splitlines()
        return found | ({"summary": lines[-1:]} if status == "passed" else {"output": lines[-TAIL:]})

    def left(self) -> Any:
        """What the file of results holds; None if there is none."""
        if self.result is None or not self.result.exists():
            return None
        with self.result.open(encoding="utf-8") as file:
            return json.load(file) if self.result.suffix == ".json" else list(csv.DictReader(file))


def inherited_path() -> list[str]:
    """The folders of PYTHONPATH."""
    return [folder for folder in os.environ.get("PYTHONPATH", "").split(os.pathsep) if folder]


def wait(child: subprocess.Popen[bytes], limit: float) -> str:
    """Wait for a program that leads a process group, and end the group at the limit: passed, failed, out of time."""
    try:
        return "failed" if child.wait(limit) else "passed"
    except subprocess.TimeoutExpired:
        return "out of time"
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()


def stages(where: str, folder: Path) -> Iterator[Stage]:
    """The stages on a kind of device; on a CPU with as little work as shows that they run."""
    small = where == "cpu"
    gpu = [] if small else ["-m", "gpu"]
    quiet = ["-q", "-p", "no:cacheprovider", "-W", "default"]  # other versions of packages have other warnings
    yield Stage("tests", ["pytest", *quiet, *gpu, "tests/workflow/test_gpu.py"])
    on = ["--device", where]
    trained = ["benchmarks.training", *on]
    sizes = ["--batch", "2", "--threads", "1", "--seconds", "0.5"]
    few = ["--models", "stage2_lite", "stage3_pad128", "--ways", "original", "ours", "limit", *sizes]
    limit = ["--seconds", "1.5", "--limit", str(SECONDS["training"] - 25)]
    for name, more in (
        ("training", few if small else limit),
        ("deterministic", ["--deterministic", "--ways", "ours", *(small_models(small))]),
    ):
        out = folder / f"{name}.json"
        yield Stage(name, [*trained, *more, "--json", str(out)], out)
    out = folder / "inference.json"
    few = ["--models", "stage3_pad128", "--tiles", "2", "--batch", "2", "--snapshots", "1", "--threads", "1"]
    yield Stage("inference", ["benchmarks.inference", *on, *(few if small else []), "--json", str(out)], out)
    yield tiny_run(where, folder)


def small_models(small: bool) -> list[str]:
    """The models whose slowdown is measured, and how."""
    if small:
        return ["--models", "stage2_lite", "--batch", "2", "--threads", "1", "--seconds", "0.5"]
    return ["--models", "stage3_pad128", "stage2_resnet34", "stage2_resnext50", "--seconds", "1.5"]


def tiny_run(where: str, folder: Path) -> Stage:
    """The tests' recipe up to submission and scores; the report needs packages that few machines with a GPU have."""
    results, overlay = folder / "tiny", folder / "tiny.yaml"
    shutil.rmtree(results, ignore_errors=True)
    compute = {"device": where} | ({"jobs_per_gpu": 4} if where == "cuda" else {})
    places = {"pathvars": {"results": str(results)}, "data": {"root": str(results / "survey")}}
    overlay.write_text(yaml.safe_dump(places | {"compute": compute}), encoding="utf-8")
    cores = ["--cores", str(os.cpu_count()), "--resources", f"gpu={4 if where == 'cuda' else 1}"]
    recipes = ["--configfile", str(TINY), str(overlay)]
    targets = [str(path) for path in (Run(results).submission, Run(results).scores)]
    words = ["snakemake", *cores, "--scheduler", "greedy", *recipes, "--", *targets]
    return Stage("tiny run", words, Run(results).scores)


def slowdown(found: dict[str, Any]) -> dict[str, float]:
    """How many times slower `deterministic` makes the training of each model."""
    rates = [
        {row["model"]: row["images/s"] for row in rows_of(found, name) if row["way"] == "ours" and "images/s" in row}
        for name in ("training", "deterministic")
    ]
    return {model: rates[0][model] / slow for model, slow in rates[1].items() if model in rates[0]}


def rows_of(found: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """The rows of a stage's result, if it left one."""
    return ((found.get(name) or {}).get("result") or {}).get("rows", [])


def main(argv: list[str] | None = None) -> int:
    """Run the program; returns 1 if a stage did not pass."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--stages", nargs="+", choices=SECONDS, default=list(SECONDS))
    parser.add_argument("--folder", type=Path, default=REPOSITORY / "build" / "gpu-check", help="for logs and results")
    parser.add_argument("--json", type=Path, help="file to write; default: check.json in the folder")
    parser.add_argument("--commit", help="of this code, where git cannot tell it")
    args = parser.parse_args(argv)
    args.folder.mkdir(parents=True, exist_ok=True)
    where = device.set_up(Compute(device=args.device))
    machine = measure.machine(where) | ({"commit": args.commit} if args.commit else {})
    missing = [name for name in MODULES if importlib.util.find_spec(name) is None]
    print(
        f"{machine['device']}, torch {machine['versions']['torch']}; missing packages: {', '.join(missing) or 'none'}"
    )
    found: dict[str, Any] = {}
    for stage in stages(args.device, args.folder.resolve()):
        if stage.name not in args.stages:
            continue
        limit = SECONDS[stage.name] * (ON_CPU if args.device == "cpu" else 1)
        found[stage.name] = stage.run(limit, args.folder / f"{stage.name}.log")
        print(f"{stage.name}: {found[stage.name]['status']} in {found[stage.name]['seconds']} s", flush=True)
        result = {"machine": machine, "missing": missing, "stages": found, "slowdown": slowdown(found)}
        measure.write(args.json or args.folder / "check.json", result)
    failed = {name: outcome for name, outcome in found.items() if outcome["status"] != "passed"}
    for name, outcome in failed.items():
        print(f"\n{name}: {outcome['status']}", *outcome["output"], sep="\n")
    return int(bool(failed))


if __name__ == "__main__":
    raise SystemExit(main())
