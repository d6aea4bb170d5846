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


def autocast(device: torch.device) -> AbstractContextManager[None]:
    """bf16 if the GPU supports it natively, else float32."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=computes_in_bf16(device))


def computes_in_bf16(device: torch.device) -> bool:
    """Whether the device supports bf16 natively; older GPUs only emulate it, slowly."""
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def describe(device: torch.device) -> str:
    """The device as a phrase for the log."""
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, {'bf16' if computes_in_bf16(device) else 'float32'}"
    return f"CPU, {torch.get_num_threads()} threads, float32"


@contextmanager
def faults_of_the_machine() -> Iterator[None]:
    """Turn errors that torch raises on a machine that is too small into UserErrors that say what to do."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise UserError(
            f"The GPU's memory is full ({str(error).splitlines()[0]}). Close other programs that use it, or set a "
            "smaller batch for this model (which changes its result) or a smaller compute.predict_batch (which does "
            "not), and type the same command again; what was done is kept."
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
