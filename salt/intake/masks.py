"""Masks of any two values. Which of the two means salt is decided over all masks together.

A mask of a single value is ambiguous by itself: all 255 is full only because other masks hold 0 and 255.
"""

import logging
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from salt.data import image_files
from salt.intake.faults import Faults

log = logging.getLogger(__name__)


def read_mask(data: bytes, name: str) -> tuple[npt.NDArray[np.uint8], list[float]]:
    """A mask, (H, W) in {0, 1}, 1 for the larger of its values; and its one or two values. Raises ValueError."""
    pixels = image_files.grey(image_files.read(data, name))
    values = np.unique(pixels)
    if len(values) > 2:
        more = " ..." if len(values) > 4 else ""
        hint = "; JPEG does not preserve values, save masks as PNG" if data.startswith(image_files.JPEG) else ""
        raise ValueError(f"{len(values)} values: {format_values(values[:4].tolist())}{more}{hint}")
    return (pixels == values[-1]).astype(np.uint8), values.tolist()


class MaskValues:
    """The values of all masks."""

    def __init__(self) -> None:
        self.of: dict[str, list[float]] = {}  # by file

    def choose(self, wanted: float | None, faults: Faults) -> float | None:
        """The value that means salt: `wanted` (the config's data.mask_value), else the larger of the two.

        None, and a fault, unless there are exactly two values, `wanted` among them.
        """
        first = {value: name for name, values in reversed(self.of.items()) for value in values}
        found = sorted(first)
        if len(found) > 2:
            examples = [f"{value:g} (such as in {first[value]})" for value in found]
            faults.add("mask values, expected two", examples, "Save all masks with the same two values.")
        elif len(found) == 1:
            remedy = "Check the masks: without both there is nothing to learn."
            faults.add("mask values, expected two: salt and background", [f"only {format_values(found)}"], remedy)
        elif wanted is not None and np.float32(wanted) not in found:
            kind = f"mask values, none of them the config's data.mask_value, {wanted:g}"
            faults.add(kind, [format_values(found)], "Set it to one of these, or leave it out.")
        elif found:
            value = found[-1] if wanted is None else float(np.float32(wanted))
            log.info("masks hold %s; %g is salt (the config's data.mask_value)", format_values(found), value)
            return value
        return None

    def binarize(self, name: str, masks: npt.NDArray[np.uint8], value: float) -> None:
        """Set the masks cut from a file to 1 where the file has `value` and 0 elsewhere, in place.

        masks: cut from the mask that `read_mask` returned for the file
        """
        values = self.of[name]
        if len(values) == 1:
            masks[:] = values[0] == value
        elif values[0] == value:
            masks ^= 1


def format_values(values: Iterable[float]) -> str:
    """Values in a row: `0, 255`."""
    return ", ".join(f"{value:g}" for value in values)
