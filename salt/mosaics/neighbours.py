"""Which tiles were cut side by side, found from their borders alone.

Every tile was stretched to 0..255 on its own, so borders are compared by correlation, which no gain and no
offset changes. What is compared is the line on the seam itself, half a pixel outside both tiles, as each side
extrapolates it. The outermost lines will not do: seismic waves are a few pixels long, so those of neighbours
differ (of the true pairs of real tiles 84 % are mutual best matches by them, 99 % by the seam).
"""

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from salt.data.records import chunks
from schemas.data import Mosaics

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]

# The parabola through the outermost three pixel centres (0, 1, 2 px inside), half a pixel outside the first.
TO_SEAM = (1.875, -1.25, 0.375)
MIN_CONTRAST = 2.0  # grey levels of standard deviation; a flatter seam line is rounding noise
# Rounding to grey levels, 0.29 of standard deviation, is 2.3 times that on the seam: it lowers the correlation of two
# lines of contrast 20 by 0.001. Of two matches that good, neither is better; single strong reflectors make such ones.
PERFECT = 0.999
BLOCK_BYTES = 2**27  # similarities held at once: 1,500 seams x 22,000 others, or 330 x 100,000

SIDES = ("left", "right", "top", "bottom")
COLUMNS = ["first", "second", "down", "right", "similarity", "next_best", "loops"]


def find_neighbours(seams: dict[str, Floats], groups: Integers, settings: Mosaics) -> pd.DataFrame:
    """Pairs of tiles that lie side by side, the surest first.

    Two tiles are a pair if each is the other's best match and their correlation is at least
    `settings.min_similarity`; and if they are a side of a square of four (a loop), which chance hardly ever makes,
    or if the next best match of both is worse by far (`settings.max_ambiguity`). For the other three sides of a
    square it is enough that one tile of each is the other's best match. More candidates than the best one would
    confirm hardly any true pair and many by chance (docs/records.md).

    seams: lines (n, length) by side, from `seam_lines`; of equally similar tiles the first one counts
    groups: (n,) numbers of groups of tiles that show the same, turned or mirrored: they are never neighbours
    Returns first, second (row numbers), down, right (0 or 1: where the second lies from the first), similarity
    (correlation, 0..1), next_best (the highest similarity that either has with a third tile; -1 without one),
    loops (0 to 2: squares that confirm the pair). Time grows as n squared, memory as n.
    """
    kin = _pairs_within(groups)
    rightward = _Matches(seams["right"], seams["left"], kin, settings.min_similarity)
    downward = _Matches(seams["bottom"], seams["top"], kin, settings.min_similarity)
    pairs = pd.concat(
        [
            rightward.accepted(downward.candidates, settings.max_ambiguity).assign(down=0, right=1),
            downward.accepted(rightward.candidates, settings.max_ambiguity).assign(down=1, right=0),
        ]
    )
    surest = pairs.sort_values(["loops", "similarity", "down", "first"], ascending=[False, False, True, True])
    return surest[COLUMNS].reset_index(drop=True)


def seam_lines(images: Bytes, side: str) -> Floats:
    """The line half a pixel outside one side of each tile: mean zero, unit length; all zero where it is flat.

    images: (n, H, W) uint8, H and W at least 3; side: one of SIDES
    Returns (n, H) for left and right, (n, W) for top and bottom; the dot product of two is their correlation.
    """
    upright = images if side in ("top", "bottom") else images.transpose(0, 2, 1)
    outermost = upright[:, :3] if side in ("top", "left") else upright[:, :-4:-1]
    lines = np.zeros((len(images), upright.shape[2]), np.float32)
    for depth, weight in enumerate(TO_SEAM):
        lines += np.float32(weight) * outermost[:, depth]
    lines -= lines.mean(axis=1, keepdims=True)
    contrast = lines.std(axis=1, keepdims=True)
    lines /= np.maximum(contrast, MIN_CONTRAST) * np.sqrt(lines.shape[1])
    return np.where(contrast >= MIN_CONTRAST, lines, 0)


class _Matches:
    """Best matches in one direction, from the left or upper tile to the right or lower one and back.

    candidates: (n, n) sparse bool, whether either tile is the other's best match
    """

    def __init__(self, ahead: Floats, behind: Floats, kin: tuple[Integers, Integers], min_similarity: float) -> None:
        self.best, self.similarity, self.next_best = _best_two(ahead, behind, kin)
        self.back, similarity_back, self.next_best_back = _best_two(behind, ahead, kin)
        tile = np.arange(len(ahead))
        self.mutual = (self.back[self.best] == tile) & (self.similarity >= min_similarity)
        there, here = self.similarity >= min_similarity, similarity_back >= min_similarity
        first, second = np.r_[tile[there], self.back[here]], np.r_[self.best[there], tile[here]]
        self.candidates = sparse.csr_array((np.ones(len(first), bool), (first, second)), shape=(len(tile), len(tile)))

    def accepted(self, across: sparse.csr_array, max_ambiguity: float) -> pd.DataFrame:
        """The mutual best matches that a square confirms, and the unambiguous others.

        across: the candidates of the other direction
        """
        first = np.flatnonzero(self.mutual)
        second, similarity = self.best[first], self.similarity[first]
        next_best = np.maximum(self.next_best[first], self.next_best_back[second])
        loops = self._loops(first, second, across)
        columns = {"first": first, "second": second, "similarity": similarity, "next_best": next_best, "loops": loops}
        clear = (1 - similarity <= max_ambiguity * (1 - next_best)) & (next_best < PERFECT)
        return pd.DataFrame(columns)[(loops > 0) | clear]

    def _loops(self, first: Integers, second: Integers, across: sparse.csr_array) -> Integers:
        """On how many of its two sides each pair has another pair of candidates, with which it makes a square."""
        squares = np.zeros(len(first), np.int64)
        for step in (across, across.T.tocsr()):
            opposite = step @ self.candidates  # from a tile, one step across and one along
            squares += opposite[first].multiply(step[second]).sum(axis=1) > 0
        return squares


def _best_two(lines: Floats, others: Floats, kin: tuple[Integers, Integers]) -> tuple[Integers, Floats, Floats]:
    """For each line the number and similarity of the most similar other, and the similarity of the next.

    kin: pairs of rows of lines and of others that are not compared, sorted by the former. Where nothing is left to
    compare with, a similarity is -1.
    """
    best = np.zeros(len(lines), np.int64)
    similarity, next_best = np.zeros((2, len(lines)), np.float32)
    size = max(1, BLOCK_BYTES // (4 * max(1, len(others))))
    memory = np.empty((min(size, len(lines)), len(others)), np.float32)  # used again: fresh pages cost more than sums
    for rows in chunks(len(lines), size):
        block = np.matmul(lines[rows], others.T, out=memory[: rows.stop - rows.start])
        line = np.arange(len(block))
        own = slice(*np.searchsorted(kin[0], [rows.start, rows.stop]))
        block[kin[0][own] - rows.start, kin[1][own]] = -1
        best[rows] = block.argmax(axis=1)
        similarity[rows] = block[line, best[rows]]
        block[line, best[rows]] = -1
        next_best[rows] = block.max(axis=1)
    return best, similarity, next_best


def _pairs_within(groups: Integers) -> tuple[Integers, Integers]:
    """All pairs of tiles of the same group, each tile with itself too: two columns, sorted."""
    tiles = pd.DataFrame({"group": groups, "tile": np.arange(len(groups))})
    pairs = tiles.merge(tiles, on="group").sort_values(["tile_x", "tile_y"])
    return pairs["tile_x"].to_numpy(), pairs["tile_y"].to_numpy()
