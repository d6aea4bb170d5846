"""Weights on disk, as safetensors: they hold numbers and no code."""

import json
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor, nn

from models.state_dicts import State as State  # of copy_state
from models.state_dicts import misfit, read_state
from salt.data.damage import how_to_mend, reading
from salt.runtime import provenance
from salt.runtime.atomic import atomic_path
from schemas.errors import UserError


def copy_state(network: nn.Module) -> dict[str, Tensor]:
    """A copy of the network's weights on the CPU; `state_dict()` itself would change with the training."""
    return {name: value.detach().cpu().clone() for name, value in network.state_dict().items()}


def save_weights(path: Path | str, state: State) -> None:
    """Write one set of weights."""
    with atomic_path(path) as temporary:
        save_file({name: value.contiguous() for name, value in state.items()}, temporary)


def load_weights(network: nn.Module, path: Path | str) -> None:
    """Load weights into a network of the same config. Raises UserError if the file is damaged or they do not fit."""
    with reading(Path(path)):
        state, fault = read_state(Path(path))
        if fault:
            raise ValueError(fault)
    if wrong := misfit(network.state_dict(), state):
        raise UserError(
            f"Expected {path} to hold the weights of this network, a {type(network).__name__}, found a file {wrong}."
            f"{_made_for(Path(path))} Give a file of the same `network` and `input.channels`. {how_to_mend(Path(path))}"
        )
    network.load_state_dict(state)


def _made_for(path: Path) -> str:
    """A sentence about the network that a file was made for, if its provenance or its folder's records one."""
    for output in (path, path.parent):
        if network := provenance.read(output).get("settings", {}).get("network"):
            return f" It was made for {json.dumps(network)}."
    return ""
