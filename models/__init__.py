"""Networks, their blocks, and losses.

The contract of every network: `forward(x)` takes (B, 3, S, S) float and gives a dict of logits,
    mask: (B, 1, S, S), salt where > 0; always there,
    pixel: (B, 1, S, S), a second mask that is trained on non-empty tiles only (deep supervision),
    empty: (B, 1), this tile has no salt where > 0 (deep supervision).
"""

from torch import Tensor

Outputs = dict[str, Tensor]
