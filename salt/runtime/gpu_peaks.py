"""Peak rates of common GPUs, to guess the time of trainings on one from the time on another.

bf16 on tensor cores with float32 sums, dense, in TFLOP/s, as their maker states them. Networks reach a share of them
that differs between GPUs, so a guess may be wrong by a factor of two.
"""

# By a part of what torch calls the GPU. Sources: NVIDIA's data sheets of H200, H100, A100 and L40S (rates with sparsity
# halved), and its whitepapers "Ada GPU Architecture" and "Ampere GA102 GPU Architecture", appendices A.
PEAKS = {"H200": 989, "H100": 989, "A100": 312, "L40S": 362, "RTX 4090": 165, "RTX 3090": 71}


def known(device: str) -> str | None:
    """The GPU of the table that a device is, by its description; None for CPUs and other GPUs."""
    return next((name for name in PEAKS if name in device and "bf16" in device), None)


def elsewhere(seconds: float, device: str) -> dict[str, float]:
    """Guessed seconds on the other GPUs of the table, of trainings that take `seconds` on a device; {} if unknown."""
    here = known(device)
    if here is None:
        return {}
    return {name: seconds * PEAKS[here] / peak for name, peak in PEAKS.items() if peak != PEAKS[here]}
