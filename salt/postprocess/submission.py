"""The submission: one line of run lengths per test tile, in the order of the competition's sample."""

import csv
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from salt.data import rle
from salt.data.records import Records, chunks
from salt.runtime.atomic import atomic_path
from schemas.errors import UserError


def write_submission(path: Path | str, ids: Sequence[str], masks: Records) -> int:
    """Write `id,rle_mask`, one row for each of `ids` in that order; return the number of empty masks.

    masks: records of (id, mask (H, W) uint8 in {0, 1}), one for each of `ids` in any order; may be a memory
        map, since one chunk is in memory at a time
    Decodes each text again before writing it. Raises UserError if ids are missing, unknown or repeated, or if a mask
    does not consist of zeros and ones.
    """
    rows = _matching_rows(ids, masks["id"].tolist())
    empty = 0
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["id", "rle_mask"])
        for chunk in chunks(len(ids)):
            names, read = ids[chunk], masks["mask"][rows[chunk]]
            texts = [_checked_text(name, mask) for name, mask in zip(names, read, strict=True)]
            writer.writerows(zip(names, texts, strict=True))
            empty += texts.count("")
    return empty


def _matching_rows(ids: Sequence[str], found: Sequence[str]) -> npt.NDArray[np.intp]:
    """Row in `found` of each of `ids`, (n,). Raises UserError unless both have the same ids, once each."""
    faults = {
        "without a mask": sorted(set(ids) - set(found)),
        "that are not test tiles": sorted(set(found) - set(ids)),
        "more than once": sorted(name for name, count in (Counter(ids) | Counter(found)).items() if count > 1),
    }
    problems = [f"{len(wrong)} {what} ({', '.join(wrong[:5])})" for what, wrong in faults.items() if wrong]
    if problems:
        raise UserError(
            f"A submission needs one mask for each of the {len(ids)} test tiles; found ids "
            f"{'; '.join(problems)}. The masks and the tiles are not from the same run: make both again."
        )
    position = {name: row for row, name in enumerate(found)}
    return np.array([position[name] for name in ids], np.intp)


def _checked_text(name: str, mask: npt.NDArray[np.uint8]) -> str:
    text = rle.encode(mask)
    if not np.array_equal(rle.decode(text, *mask.shape), mask):
        values = ", ".join(map(str, np.unique(mask)[:4]))
        raise UserError(f"The mask of {name} cannot be encoded: expected zeros and ones, found {values}.")
    return text
