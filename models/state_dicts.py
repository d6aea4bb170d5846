"""Read weights from safetensors files, which hold numbers and no code, and compare them with a network's."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

State = Mapping[str, Tensor]


def read_state(path: Path) -> tuple[State, str | None]:
    """The content of a file and None; or nothing and the reason why it cannot be read."""
    try:
        return load_file(path), None
    except (OSError, SafetensorError) as error:
        return {}, f"{type(error).__name__}: {error}".splitlines()[0]


def misfit(own: State, found: State) -> str | None:
    """How the weights `found` differ from a network's `own`, by the first names and shapes; None if they fit."""
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
