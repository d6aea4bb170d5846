"""Test tiles whose true masks are known. The masks serve for scores alone: no other program reads them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from salt.data import rle
from salt.data.damage import reading
from salt.data.records import open_records
from salt.data.tables import read_table
from schemas.base import Shape


@dataclass(frozen=True)
class KnownMasks:
    """Known masks of test tiles.

    labels: the kind of masks: "true_test" or "hidden"
    ids: (n,); masks: (n, H, W) uint8 in {0, 1}, may be a memory map
    """

    labels: str
    ids: npt.NDArray[np.str_]
    masks: npt.NDArray[np.uint8]


def load(true_test_masks: Path | None, hidden_masks: Path | None, shape: Shape) -> Iterator[KnownMasks]:
    """Load each kind of known masks.

    true_test_masks: csv (id, rle_mask) of a survey, if there is one
    hidden_masks: records (id, mask) of tiles whose labels are hidden, if there are any
    shape: height and width of a tile, px
    """
    if true_test_masks:
        table = read_table(true_test_masks, {"id": str, "rle_mask": str}, keep_default_na=False)
        with reading(true_test_masks):
            masks = np.stack([rle.decode(text, *shape) for text in table["rle_mask"]])
        yield KnownMasks("true_test", table["id"].to_numpy(str), masks)
    if hidden_masks:
        records = open_records(hidden_masks)
        yield KnownMasks("hidden", records["id"], records["mask"])
