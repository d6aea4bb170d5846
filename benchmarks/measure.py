"""What the benchmarks share: rates, memory, the machine and what it can do at most, tables, JSON."""

import argparse
import copy
import ctypes
import gc
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from salt.runtime import device, provenance
from salt.runtime.paths import REPOSITORY

BLOCKS = 5  # timed parts of a measurement, whose spread is shown
MATRIX = {"cuda": 8192, "cpu": 1024}  # side of the matrices, which fills the device
PACKAGES = (
    *("torch", "torchvision", "numpy", "scipy", "timm", "segmentation-models-pytorch"),
    *("opencv-python-headless", "albumentations", "pandas", "pydantic", "snakemake"),
)
OWN = Path("/proc/self")
Row = Mapping[str, Any]


class Rate(NamedTuple):
    """Units of work per second: the median of the timed blocks, the slowest and the fastest one."""

    median: float
    low: float
    high: float
    blocks: int


def rate(work: Callable[[], object], units: float, seconds: float, where: torch.device, warm_up: int = 2) -> Rate:
    """Measure the calls of `work` for about `seconds`, after some that do not count.

    units: of work in a call, such as images. A block is at least one call, so slow work may take longer than `seconds`.
    The CPU runs ahead of a GPU within a block, as in a training; it waits between blocks.
    """
    for _ in range(warm_up):
        work()
    finish(where)
    start = time.perf_counter()
    taken = _seconds(work, 1, where)
    calls = max(1, round(seconds / BLOCKS / taken))
    blocks = [units / taken] if calls == 1 else []  # of several calls, only the last one is waited for
    while len(blocks) < BLOCKS and (not blocks or time.perf_counter() - start < seconds):
        blocks.append(calls * units / _seconds(work, calls, where))
    return Rate(statistics.median(blocks), min(blocks), max(blocks), len(blocks))


def _seconds(work: Callable[[], object], calls: int, where: torch.device) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        work()
    finish(where)
    return time.perf_counter() - start


def finish(where: torch.device) -> None:
    """Wait until the device has done what it was given."""
    if where.type == "cuda":
        torch.cuda.synchronize(where)


# Memory -----------------------------------------------------------------------------------------------------------


def forget_peak(where: torch.device) -> None:
    """Begin a new peak of memory, of the GPU or of this process, without what nobody uses any more."""
    gc.collect()
    if where.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(where)
    with suppress(OSError, AttributeError):  # other C libraries than glibc
        ctypes.CDLL(None).malloc_trim(0)
    with suppress(OSError):  # some sandboxes have no such file; the peak is then that of the whole process so far
        (OWN / "clear_refs").write_text("5")


def peak(where: torch.device) -> float:
    """The peak of the memory since `forget_peak`, MB: what torch took on the GPU, or resident on a CPU."""
    if where.type == "cuda":
        return torch.cuda.max_memory_allocated(where) / 1e6
    lines = (OWN / "status").read_text().splitlines()
    return next((int(line.split()[1]) / 1e3 for line in lines if line.startswith("VmHWM")), float("nan"))


# The machine ------------------------------------------------------------------------------------------------------


def matrix_rates(where: torch.device, seconds: float = 0.5) -> dict[str, float]:
    """FLOP/s of products of large square matrices of random numbers: the practical limit of the device.

    tf32: float32 rounded to 10 bits, on GPUs only. A CPU without instructions for bfloat16 is slow in it.
    """
    kinds = {"float32": (torch.float32, "highest"), "bfloat16": (torch.bfloat16, "highest")}
    if where.type == "cuda":
        kinds["tf32"] = (torch.float32, "high")
    before, rates = torch.get_float32_matmul_precision(), {}
    for name, (dtype, precision) in kinds.items():
        torch.set_float32_matmul_precision(precision)
        rates[name] = _matrix_rate(dtype, where, seconds)
    torch.set_float32_matmul_precision(before)
    return rates


def _matrix_rate(dtype: torch.dtype, where: torch.device, seconds: float) -> float:
    side = MATRIX[where.type]
    first, second = (torch.randn(side, side, device=where).to(dtype) for _ in range(2))
    product = torch.empty_like(first)
    return rate(lambda: torch.mm(first, second, out=product), 2 * side**3, seconds, where).median


def machine(where: torch.device) -> dict[str, Any]:
    """What a measurement was made on: device, versions, commit, time."""
    commit, changed = provenance.code(REPOSITORY)
    facts: dict[str, Any] = {"device": device.describe(where), "cores": os.cpu_count(), "versions": versions()}
    if where.type == "cuda":
        memory = torch.cuda.get_device_properties(where).total_memory / 1e9
        facts |= {"cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version(), "memory_gb": round(memory, 1)}
    return facts | {"commit": commit, "changed": changed, "time": provenance.now()}


def versions() -> dict[str, str]:
    """Versions of Python and of those of PACKAGES that are installed."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def flops(network: nn.Module, channels: int, shape: tuple[int, int]) -> float:
    """Floating-point operations of a forward pass per image of shape (channels, *shape); a multiply-add counts two."""
    twin = copy.deepcopy(network).to("meta").eval()  # computes nothing, so this costs no time
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        twin(torch.zeros(1, channels, *shape, device="meta"))
    return float(counter.get_total_flops())


# Results ----------------------------------------------------------------------------------------------------------


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that the programs share."""
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--threads", type=int, help="of torch")
    parser.add_argument("--workers", type=int, help="processes that load tiles")
    parser.add_argument("--deterministic", action="store_true", help="compute.deterministic")
    parser.add_argument("--json", type=Path, help="file to write")


def fault(error: Exception) -> str:
    """An error as one line."""
    return f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}"


def table(rows: Sequence[Row], columns: Iterable[str]) -> str:
    """Rows as a table in Markdown, as docs/records.md has them."""
    names = list(columns)
    lines = [names, ["---"] * len(names), *([_shown(row.get(name)) for name in names] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, float):
        return str(value)
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def write(path: Path | None, result: Row) -> None:
    """Write the result as JSON, if a path is given."""
    if path:
        path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
