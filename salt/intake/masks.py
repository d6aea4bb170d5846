"""Masks of two values, whatever these are: which of them is salt is decided over all masks together.

A mask of a single value tells nothing about itself: all 255 is full where others hold 0 and 255.
"""

import logging
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from salt.data import image_files
from salt.intake.faults import Faults

log = logging.getLogger(__name__)


def read_mask(data: bytes, name: str) -> tuple[npt.NDArray[np.uint8], list[float]]:
    """Where a mask has the larger of its values, (H, W) in {0, 1}, and its values, one or two. Raises ValueError."""
    pixels = image_files.grey(image_files.read(data, name))
    values = np.unique(pixels)
    if len(values) > 2:
        more = " ..." if len(values) > 4 else ""
        hint = "; a JPEG keeps no values, save masks as PNG" if data.startswith(image_files.JPEG) else ""
        raise ValueError(f"{len(values)} values: {words(values[:4].tolist())}{more}{hint}")
    return (pixels == values[-1]).astype(np.uint8), values.tolist()


class MaskValues:
    """The values of all masks that were read."""

    def __init__(self) -> None:
        self.of: dict[str, list[float]] = {}  # by file

    def salt(self, wanted: float | None, faults: Faults) -> float | None:
        """Which value is salt: the one that is wanted (the config's data.salt), or else the larger of two.

        None, and a fault, where there are more values or fewer, or not that one.
        """
        first = {value: name for name, values in reversed(self.of.items()) for value in values}
        found = sorted(first)
        if len(found) > 2:
            examples = [f"{value:g} (such as in {first[value]})" for value in found]
            faults.add("values of the masks, expected two", examples, "Save all masks with the same two.")
        elif len(found) == 1:
            remedy = "Without both there is nothing to learn: look at the masks."
            faults.add("values of the masks, expected two: salt and the rest", [f"{words(found)} alone"], remedy)
        elif wanted is not None and np.float32(wanted) not in found:
            what = f"values of the masks, none of them the config's data.salt, {wanted:g}"
            faults.add(what, [words(found)], "Set it to one of these, or leave it out.")
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
