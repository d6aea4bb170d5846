"""Where the network runs, and in which precision."""

from contextlib import AbstractContextManager

import cv2
import torch

from salt.program import UserError
from schemas.config import Compute


def set_up(compute: Compute) -> torch.device:
    """Set the CPU threads and choose the device. Raises UserError where a GPU is asked for and there is none."""
    torch.set_num_threads(compute.threads)
    cv2.setNumThreads(0)
    available = torch.cuda.is_available()
    if compute.device == "cuda" and not available:
        raise UserError(
            "compute.device is 'cuda', but torch finds no usable GPU. Check `nvidia-smi` and the driver, "
            "or set compute.device to 'auto' or 'cpu'."
        )
    return torch.device("cuda" if available and compute.device != "cpu" else "cpu")


def autocast(device: torch.device) -> AbstractContextManager[None]:
    """bf16 where the GPU computes in it, else float32."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=computes_in_bf16(device))


def computes_in_bf16(device: torch.device) -> bool:
    """Whether the device has bf16 of its own; older GPUs only emulate it, slowly."""
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def describe(device: torch.device) -> str:
    """One phrase for the log."""
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, {'bf16' if computes_in_bf16(device) else 'float32'}"
    return f"CPU, {torch.get_num_threads()} threads, float32"
