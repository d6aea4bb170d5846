"""The device that networks run on, and its precision."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import cv2
import torch

from salt.runtime.program import MEMORY
from schemas.config import Compute
from schemas.errors import UserError


def set_up(compute: Compute) -> torch.device:
    """Set the CPU threads and choose the device. Raises UserError if the config requires a GPU and there is none."""
    torch.set_num_threads(compute.threads)
    cv2.setNumThreads(0)
    if compute.deterministic:
        os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"  # cuBLAS reads it when it starts
        torch.use_deterministic_algorithms(True)
        torch.backends.cudnn.benchmark = False
    available = torch.cuda.is_available()
    if compute.device == "cuda" and not available:
        raise UserError(
            "Expected a GPU, since compute.device is 'cuda', and torch found none. Check `nvidia-smi` and the driver, "
            "or set compute.device to 'auto' or 'cpu'."
        )
    return torch.device("cuda" if available and compute.device != "cpu" else "cpu")


def autocast(device: torch.device, dtype: torch.dtype | None = None) -> AbstractContextManager[None]:
    """Compute in bf16 or float32; none: in what trainings compute in."""
    dtype = dtype or training_dtype(device)
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=dtype == torch.bfloat16)


def training_dtype(device: torch.device) -> torch.dtype:
    """bf16 if the GPU supports it natively, else float32. Trainings on a CPU gain nothing by bf16."""
    return torch.bfloat16 if device.type == "cuda" and computes_in_bf16(device) else torch.float32


def prediction_dtype(device: torch.device, compute: Compute) -> torch.dtype:
    """bf16 if the device computes in it natively and the config allows it, else float32."""
    return torch.bfloat16 if compute.predict_dtype == "auto" and computes_in_bf16(device) else torch.float32


def computes_in_bf16(device: torch.device) -> bool:
    """Whether the device is faster in bf16 than in float32: recent GPUs, and CPUs with AMX.

    Older GPUs and CPUs emulate bf16, slowly (on AVX2, a ninth of the tiles a second). CPUs with avx512_bf16 alone
    gain nothing (salt/inference/predictor.py: 118 instead of 125 tiles a second).
    """
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.cpu._is_amx_tile_supported()  # get_capabilities, which is public, is missing in older versions


def describe(device: torch.device, dtype: torch.dtype | None = None) -> str:
    """The device and what it computes in, none: in trainings, as a phrase for the log."""
    computes_in = "bf16" if (dtype or training_dtype(device)) == torch.bfloat16 else "float32"
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, {computes_in}"
    return f"CPU, {torch.get_num_threads()} threads, {computes_in}"


@contextmanager
def faults_of_the_machine() -> Iterator[None]:
    """Turn errors that torch raises on a machine that is too small into UserErrors that say what to do."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise UserError(
            f"The GPU's memory is full ({str(error).splitlines()[0]}). Close other programs that use it, or set a "
            "`accumulate` in the phases of this model (which changes its result little) or a smaller "
            "compute.predict_batch (which does not), and type the same command again; what was done is kept."
        ) from error
    except RuntimeError as error:
        text = str(error).splitlines()[0] if str(error) else ""
        if "DataLoader worker" in text:
            raise UserError(
                f"A process that loads tiles for the training died ({text}). The usual cause is a lack of memory. "
                f"{MEMORY}"
            ) from error
        if "can't allocate memory" in text:
            raise UserError(f"This machine's memory is full ({text}). {MEMORY}") from error
        raise
