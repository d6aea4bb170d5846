"""Which tiles were cut side by side, found from their borders alone.

Every tile was stretched to 0..255 on its own, so borders are compared by correlation, which no gain and no
offset changes. What is compared is the line on the seam itself, half a pixel outside both tiles, as each side
extrapolates it. The outermost lines will not do: seismic waves are a few pixels long, so those of neighbours
differ (of the true pairs of real tiles 84 % are mutual best matches by them, 99 % by the seam).
"""

import numpy as np
import numpy.typing as npt
import pandas as pd

from salt.records import chunks
from schemas.config import Mosaics

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]

# The parabola through the outermost three pixel centres (0, 1, 2 px inside), half a pixel outside the first.
TO_SEAM = np.array([1.875, -1.25, 0.375], np.float32)
MIN_CONTRAST = 2.0  # grey levels of standard deviation; a flatter seam line is rounding noise
BLOCK = 1024  # seams compared with all others at once: 1024 x 22,000 float32 = 90 MB

COLUMNS = ["first", "second", "down", "right", "similarity"]


def find_neighbours(images: npt.NDArray[np.uint8], settings: Mosaics) -> pd.DataFrame:
    """Pairs of tiles that lie side by side, the surest first.

    Two tiles are a candidate if each is the other's best match and their correlation is at least
    `settings.min_similarity`. A candidate is accepted if it is a side of a square of four, which chance
    hardly ever makes, or if the next best match of both is worse by far (`settings.max_ambiguity`).

    images: (n, H, W) uint8, H and W at least 3; constant tiles never have neighbours
    Returns first, second (row numbers in images), down, right (0 or 1: where the second lies from the first),
    similarity (correlation, 0..1). Time grows as n squared, memory as n.
    """
    rightward = _Matches(seam_lines(images, "right"), seam_lines(images, "left"), settings.min_similarity)
    downward = _Matches(seam_lines(images, "bottom"), seam_lines(images, "top"), settings.min_similarity)
    square_right, square_down = _in_squares(rightward.partner, downward.partner)
    pairs = pd.concat(
        [
            rightward.accepted(square_right, settings.max_ambiguity).assign(down=0, right=1),
            downward.accepted(square_down, settings.max_ambiguity).assign(down=1, right=0),
        ]
    )
    surest = pairs.sort_values(["square", "similarity", "down", "first"], ascending=[False, False, True, True])
    return surest[COLUMNS].reset_index(drop=True)


def seam_lines(images: npt.NDArray[np.uint8], side: str) -> Floats:
    """The line half a pixel outside one side of each tile: mean zero, unit length; all zero where it is flat.

    images: (n, H, W) uint8; side: "left", "right", "top" or "bottom"
    Returns (n, H) for left and right, (n, W) for top and bottom; the dot product of two is their correlation.
    """
    upright = images if side in ("top", "bottom") else images.transpose(0, 2, 1)
    outermost = upright[:, :3] if side in ("top", "left") else upright[:, :-4:-1]
    lines = np.tensordot(TO_SEAM, outermost.astype(np.float32), axes=(0, 1))
    lines -= lines.mean(axis=1, keepdims=True)
    contrast = lines.std(axis=1, keepdims=True)
    lines /= np.maximum(contrast, MIN_CONTRAST) * np.sqrt(lines.shape[1])
    return np.where(contrast >= MIN_CONTRAST, lines, 0)


class _Matches:
    """Mutual best matches in one direction, indexed by the left or upper tile.

    partner: (n,) the right or lower tile, -1 where there is none
    similarity: (n,) of the best match; second: (n,) of the best that either of the two has besides the other
    """

    def __init__(self, ahead: Floats, behind: Floats, min_similarity: float) -> None:
        partner, self.similarity, second_ahead = _best_two(ahead, behind)
        partner_back, _, second_back = _best_two(behind, ahead)
        mutual = partner_back[partner] == np.arange(len(partner))
        self.partner = np.where(mutual & (self.similarity >= min_similarity), partner, -1)
        self.second = np.maximum(second_ahead, second_back[partner])

    def accepted(self, in_square: npt.NDArray[np.bool_], max_ambiguity: float) -> pd.DataFrame:
        """The pairs in a square, and the unambiguous others."""
        unambiguous = 1 - self.similarity <= max_ambiguity * (1 - self.second)
        first = np.flatnonzero((self.partner >= 0) & (in_square | unambiguous))
        columns = {"first": first, "second": self.partner[first]}
        return pd.DataFrame({**columns, "similarity": self.similarity[first], "square": in_square[first]})


def _best_two(lines: Floats, others: Floats) -> tuple[Integers, Floats, Floats]:
    """For each line the number and similarity of the most similar other, and the similarity of the next.

    A tile is not compared with itself: row i of both belongs to tile i.
    """
    best = np.zeros(len(lines), np.int64)
    similarity, second = np.zeros((2, len(lines)), np.float32)
    for rows in chunks(len(lines), BLOCK):
        block = lines[rows] @ others.T
        line = np.arange(len(block))
        block[line, line + rows.start] = -1
        best[rows] = block.argmax(axis=1)
        similarity[rows] = block[line, best[rows]]
        block[line, best[rows]] = -1
        second[rows] = block.max(axis=1)
    return best, similarity, second


def _in_squares(right: Integers, below: Integers) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Which pairs (tile, right) and (tile, below) are sides of a square of tiles that agrees all round.

    right, below: (n,) partner of each tile, -1 where there is none
    """
    corner = np.flatnonzero((right >= 0) & (below >= 0))
    opposite = below[right[corner]]
    corner = corner[(opposite >= 0) & (opposite == right[below[corner]])]
    square_right, square_down = np.zeros((2, len(right)), bool)
    square_right[corner] = square_right[below[corner]] = True
    square_down[corner] = square_down[right[corner]] = True
    return square_right, square_down
