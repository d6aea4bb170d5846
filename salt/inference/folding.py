"""Batch norm folded into the convolutions before it, for prediction: one pass over memory less per pair."""

import copy
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_weights

from models import Network

# Largest relative difference of logits. Rounding gives 1e-5 at most; a pair that must not be folded gives about 1.
TOLERANCE = 1e-3

Pairs = dict[str, tuple[nn.Conv2d, _BatchNorm]]  # by the batch norm's name; it takes the convolution's output


@torch.no_grad()
def folded(network: Network, channels: int) -> Network:
    """A copy of a network whose batch norms are folded into its convolutions; the network itself where that fails.

    network: in eval mode, on the CPU; channels: of its input

    The pairs are found while the network computes, so any encoder will do. That a convolution's output goes nowhere
    else does not show there; equal outputs show it.
    """
    probe = torch.randn(1, channels, 2 * network.stride, 2 * network.stride, generator=torch.Generator().manual_seed(0))
    copied = copy.deepcopy(network)
    with _pairs(copied) as pairs:
        expected = copied(probe)
    for name, pair in pairs.items():
        copied.set_submodule(name, _fold(*pair))
    found = copied(probe)
    return copied if all(_alike(found[name], logits) for name, logits in expected.items()) else network


@contextmanager
def _pairs(network: nn.Module) -> Iterator[Pairs]:
    """The pairs of convolution and batch norm through which the network passes inside the context."""
    made: dict[int, tuple[nn.Conv2d, Tensor]] = {}  # the tensors too: an id is unique only while its object lives
    pairs: Pairs = {}

    def note(convolution: nn.Module, _: object, output: Tensor) -> None:
        if isinstance(convolution, nn.Conv2d):
            made[id(output)] = convolution, output

    def pair(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if isinstance(norm, _BatchNorm) and id(inputs[0]) in made:
            pairs[names[norm]] = made[id(inputs[0])][0], norm

    names = {module: name for name, module in network.named_modules()}
    with ExitStack() as hooks:
        for module in names:
            hooks.callback(module.register_forward_hook(note).remove)
            hooks.callback(module.register_forward_pre_hook(pair).remove)
        yield pairs


def _fold(convolution: nn.Conv2d, norm: _BatchNorm) -> nn.Module:
    """Change the convolution's weights. Returns what the batch norm does besides: timm's hold an activation."""
    if norm.running_mean is None or norm.running_var is None:
        return norm  # normalises by the batch
    convolution.weight, bias = fuse_conv_bn_weights(
        convolution.weight, convolution.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
    )
    convolution.register_parameter("bias", bias)
    return getattr(norm, "act", nn.Identity())


def _alike(found: Tensor, expected: Tensor) -> bool:
    return bool((found - expected).abs().max() <= TOLERANCE * expected.abs().max().clamp(min=1))
