"""Networks, their blocks, and losses.

The contract of every network: `forward(x)` takes (B, C, S, S) float and returns a dict of logits,
    mask: (B, 1, S, S), a pixel is salt if > 0; always present,
    pixel: (B, 1, S, S), a second mask that is trained on non-empty tiles only (deep supervision),
    empty: (B, 1), a tile has no salt if > 0 (deep supervision).
C is the number of channels that the network was created for; S is a multiple of its `stride`.
"""

from torch import Tensor, nn

Outputs = dict[str, Tensor]


class Network(nn.Module):
    """A module that fulfils the contract.

    stride: the input's sides must be multiples of this, px
    """

    stride: int
