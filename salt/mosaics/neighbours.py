"""Find the tiles that were cut side by side, from their borders alone.

Each tile was stretched to 0..255 by itself, so borders are compared by correlation, which is invariant to gain and
offset. The compared lines are those on the seam, half a pixel outside both tiles, extrapolated from each side. The
outermost pixels are too different: seismic waves are only a few pixels long (by them, 84 % of the true pairs of real
tiles are mutual best matches; by the seam, 99 %).
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
MIN_CONTRAST = 2.0  # standard deviation, grey levels; flatter seam lines are rounding noise
# Rounding to grey levels has a standard deviation of 0.29, on the seam 2.3 times that. It lowers the correlation of two
# lines of contrast 20 by 0.001, so two matches this good are equivalent; single strong reflectors cause such matches.
PERFECT = 0.999
BLOCK_BYTES = 2**27  # similarities held at once: 1,500 seams x 22,000 others, or 330 x 100,000

SIDES = ("left", "right", "top", "bottom")
COLUMNS = ["first", "second", "down", "right", "similarity", "next_best", "loops"]


def find_neighbours(seams: dict[str, Floats], groups: Integers, settings: Mosaics) -> pd.DataFrame:
    """Pairs of tiles that lie side by side, the most certain first.

    Two tiles are a pair if each is the other's best match with a correlation of at least `settings.min_similarity`,
    and if they are one side of a square of four tiles (a loop), which chance hardly ever produces, or if the next best
    match of both is much worse (`settings.max_ambiguity`). For the other three sides of a square it suffices that one
    tile is the other's best match. Candidates beyond the best match would confirm hardly any true pair and many false
    ones (docs/records.md).

    seams: lines (n, length) by side, from `seam_lines`; the first of equally similar tiles wins
    groups: (n,) group numbers; tiles of one group are rotated or mirrored copies, never neighbours
    Returns first, second (row numbers), down, right (0 or 1: the step from the first to the second), similarity
    (correlation, 0..1), next_best (the highest similarity of either with a third tile; -1 without one), loops
    (0 to 2: squares that confirm the pair). Time grows as n squared, memory as n.
    """
    excluded = _pairs_within(groups)
    rightward = _Matches(seams["right"], seams["left"], excluded, settings.min_similarity)
    downward = _Matches(seams["bottom"], seams["top"], excluded, settings.min_similarity)
    pairs = pd.concat(
        [
            rightward.accepted(downward.candidates, settings.max_ambiguity).assign(down=0, right=1),
            downward.accepted(rightward.candidates, settings.max_ambiguity).assign(down=1, right=0),
        ]
    )
    surest = pairs.sort_values(["loops", "similarity", "down", "first"], ascending=[False, False, True, True])
    return surest[COLUMNS].reset_index(drop=True)


def seam_lines(images: Bytes, side: str) -> Floats:
    """The line half a pixel outside one side of each tile: zero mean, unit norm; all zero if flat.

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

    def __init__(
        self, ahead: Floats, behind: Floats, excluded: tuple[Integers, Integers], min_similarity: float
    ) -> None:
        self.best, self.similarity, self.next_best = _best_two(ahead, behind, excluded)
        self.back, similarity_back, self.next_best_back = _best_two(behind, ahead, excluded)
        tile = np.arange(len(ahead))
        self.mutual = (self.back[self.best] == tile) & (self.similarity >= min_similarity)
        there, here = self.similarity >= min_similarity, similarity_back >= min_similarity
        first, second = np.r_[tile[there], self.back[here]], np.r_[self.best[there], tile[here]]
        self.candidates = sparse.csr_array((np.ones(len(first), bool), (first, second)), shape=(len(tile), len(tile)))

    def accepted(self, across: sparse.csr_array, max_ambiguity: float) -> pd.DataFrame:
        """The mutual best matches that a square confirms or that are unambiguous.

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
        """Number of squares (0 to 2) that each pair forms with candidates on either side."""
        squares = np.zeros(len(first), np.int64)
        for step in (across, across.T.tocsr()):
            opposite = step @ self.candidates  # from a tile, one step across and one along
            squares += opposite[first].multiply(step[second]).sum(axis=1) > 0
        return squares


def _best_two(lines: Floats, others: Floats, excluded: tuple[Integers, Integers]) -> tuple[Integers, Floats, Floats]:
    """For each line, the row and similarity of the most similar other line, and the second highest similarity.

    excluded: pairs of rows, of `lines` and of `others`, that are not compared, sorted by the former
    A similarity is -1 if nothing is left to compare with.
    """
    best = np.zeros(len(lines), np.int64)
    similarity, next_best = np.zeros((2, len(lines)), np.float32)
    size = max(1, BLOCK_BYTES // (4 * max(1, len(others))))
    memory = np.empty((min(size, len(lines)), len(others)), np.float32)  # reused: fresh pages cost more than the sums
    for rows in chunks(len(lines), size):
        block = np.matmul(lines[rows], others.T, out=memory[: rows.stop - rows.start])
        line = np.arange(len(block))
        own = slice(*np.searchsorted(excluded[0], [rows.start, rows.stop]))
        block[excluded[0][own] - rows.start, excluded[1][own]] = -1
        best[rows] = block.argmax(axis=1)
        similarity[rows] = block[line, best[rows]]
        block[line, best[rows]] = -1
        next_best[rows] = block.max(axis=1)
    return best, similarity, next_best


def _pairs_within(groups: Integers) -> tuple[Integers, Integers]:
    """All pairs of tiles within a group, each tile with itself too: two columns, sorted."""
    tiles = pd.DataFrame({"group": groups, "tile": np.arange(len(groups))})
    pairs = tiles.merge(tiles, on="group").sort_values(["tile_x", "tile_y"])
    return pairs["tile_x"].to_numpy(), pairs["tile_y"].to_numpy()
