"""Weights in files: safetensors, which hold numbers and nothing that runs. Whether they are those of a network."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

State = Mapping[str, Tensor]


def read_state(path: Path) -> tuple[State, str | None]:
    """What a file holds, and why it cannot be read where it cannot."""
    try:
        return load_file(path), None
    except (OSError, SafetensorError) as error:
        return {}, f"{type(error).__name__}: {error}".splitlines()[0]


def misfit(own: State, found: State) -> str | None:
    """In what weights differ from those of a network, its own: the first names and shapes. None where they fit."""
    absent = [name for name in own if name not in found]
    unknown = sorted(found.keys() - own.keys())
    misshaped = [
        f"{name} {tuple(found[name].shape)} in place of {tuple(value.shape)}"
        for name, value in own.items()
        if name in found and found[name].shape != value.shape
    ]
    parts = (("without", absent), ("with", misshaped), ("with the unknown", unknown))
    return " and ".join(f"{word} {_few(names)}" for word, names in parts if names) or None


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
