"""The optimizers of the phases, and their state as named tensors."""

import torch
from torch import Tensor, nn

from schemas.phases import Optimizer


def create_optimizer(network: nn.Module, settings: Optimizer) -> torch.optim.Optimizer:
    """The optimizer of a phase; `set_learning_rate` changes its rate before each step."""
    parameters, decay = network.parameters(), settings.weight_decay
    match settings.name:
        case "sgd":
            return torch.optim.SGD(parameters, settings.lr, momentum=settings.momentum, weight_decay=decay)
        case "rmsprop":  # Keras' constants: the ResNeXt50 author's framework
            return torch.optim.RMSprop(parameters, settings.lr, alpha=0.9, eps=1e-7, weight_decay=decay)
        case "adamw":
            return torch.optim.AdamW(parameters, settings.lr, weight_decay=decay)


def set_learning_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Set the learning rate of all parameters."""
    for group in optimizer.param_groups:
        group["lr"] = lr


def state_of(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimizer's memory of the steps so far, by `<parameter>.<name>`."""
    return {
        f"{parameter}.{name}": value
        for parameter, state in optimizer.state_dict()["state"].items()
        for name, value in state.items()
        if value is not None  # SGD's momentum before its first step
    }


def load_state(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Restore what `state_of` returned."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        parameter, name = key.split(".")
        state.setdefault(int(parameter), {})[name] = value
    optimizer.load_state_dict(optimizer.state_dict() | {"state": state})
