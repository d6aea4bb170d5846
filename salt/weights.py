"""Weights on disk: safetensors, which hold numbers and nothing that runs."""

from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from salt.atomic import atomic_path

State = Mapping[str, Tensor]


def copy_state(network: nn.Module) -> dict[str, Tensor]:
    """A copy of the network's weights on the CPU; `state_dict()` alone would follow the training."""
    return {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}


def save_weights(path: Path | str, state: State) -> None:
    """Write one set of weights."""
    with atomic_path(path) as temporary:
        save_file({name: value.contiguous() for name, value in state.items()}, temporary)


def load_weights(network: nn.Module, path: Path | str) -> None:
    """Put weights into a network of the same config; raises RuntimeError where names or shapes differ."""
    network.load_state_dict(load_file(path))
