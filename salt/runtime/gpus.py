"""How many GPUs there are, without torch, whose import takes seconds. `python -m salt.runtime.gpus` prints it."""

import ctypes
import subprocess
import sys
from pathlib import Path

from salt.runtime.paths import REPOSITORY


def count() -> int:
    """GPUs that CUDA's driver shows this user, or 0. CUDA_VISIBLE_DEVICES counts. 1 where AMD's driver is there.

    A program of its own asks: the driver stays loaded where it was called.
    """
    if Path("/dev/kfd").exists():  # torch for AMD calls its GPUs `cuda` as well
        return 1
    command = [sys.executable, "-m", "salt.runtime.gpus"]
    asked = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)  # noqa: S603 (fixed words)
    return int(asked.stdout) if asked.returncode == 0 else 0


def ask_driver(library: str = "libcuda.so.1") -> int:
    """What CUDA's driver counts (cuInit, cuDeviceGetCount); 0 where there is none or it fails."""
    try:
        driver = ctypes.CDLL(library)
    except OSError:
        return 0
    found = ctypes.c_int()
    fails = driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(found))
    return 0 if fails else found.value


if __name__ == "__main__":
    print(ask_driver())
