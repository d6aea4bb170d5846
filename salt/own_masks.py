"""Masks of two values, whatever these are: which of them is salt is decided over all masks together.

A mask of a single value tells nothing about itself: all 255 is full where others hold 0 and 255.
"""

import logging
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from salt import pictures
from salt.faults import Faults

log = logging.getLogger(__name__)


def read_mask(data: bytes, name: str) -> tuple[npt.NDArray[np.uint8], list[float]]:
    """Where a mask has the larger of its values, (H, W) in {0, 1}, and its values, one or two. Raises ValueError."""
    pixels = pictures.grey(pictures.read(data, name))
    values = np.unique(pixels)
    if len(values) > 2:
        raise ValueError(f"{len(values)} values: {words(values[:4].tolist())}{' ...' if len(values) > 4 else ''}")
    return (pixels == values[-1]).astype(np.uint8), values.tolist()


class MaskValues:
    """The values of all masks that were read."""

    def __init__(self) -> None:
        self.of: dict[str, list[float]] = {}  # by file

    def salt(self, wanted: float | None, faults: Faults) -> float | None:
        """Which value is salt: the one that is wanted (the config's data.salt), or else the larger of two.

        None, and a fault, where there are more values or fewer, or not that one.
        """
        sets = {tuple(values): name for name, values in reversed(self.of.items())}
        found = sorted({value for values in sets for value in values})
        if len(found) > 2:
            examples = [f"{words(values)} (such as {name})" for values, name in sorted(sets.items())]
            faults.add("values of the masks that are not the same two in all of them", examples)
        elif len(found) == 1:
            faults.add("values of all masks; expected two, salt and the rest", [f"{words(found)} alone"])
        elif wanted is not None and np.float32(wanted) not in found:
            faults.add(
                f"values of the masks without the one for salt, {wanted:g} (the config's data.salt)", [words(found)]
            )
        elif found:
            salt = found[-1] if wanted is None else float(np.float32(wanted))
            log.info("masks hold %s; %g is salt (the config's data.salt)", words(found), salt)
            return salt
        return None

    def settle(self, name: str, masks: npt.NDArray[np.uint8], salt: float) -> None:
        """Make the masks that were cut from a file those of salt, in place."""
        values = self.of[name]
        if len(values) == 1:
            masks[:] = values[0] == salt
        elif values[0] == salt:
            masks ^= 1


def words(values: Iterable[float]) -> str:
    """Values as they are shown: 0, 255."""
    return ", ".join(f"{value:g}" for value in values)
