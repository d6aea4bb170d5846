"""Networks, their blocks, and losses.

The contract of every network: `forward(x)` takes (B, C, S, S) float and gives a dict of logits,
    mask: (B, 1, S, S), salt where > 0; always there,
    pixel: (B, 1, S, S), a second mask that is trained on non-empty tiles only (deep supervision),
    empty: (B, 1), this tile has no salt where > 0 (deep supervision).
C is what the network was created for; S divides by its `stride`.
"""

from torch import Tensor, nn

Outputs = dict[str, Tensor]


class Network(nn.Module):
    """A module that keeps the contract.

    stride: the input's side must divide by this, px
    """

    stride: int
