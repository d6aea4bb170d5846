"""The final masks of a run's test tiles: all steps of schemas/postprocess.py, a chunk of tiles at a time."""

from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from salt.data.records import Records, chunks, create_records
from salt.postprocess import steps
from salt.postprocess.jigsaw import apply_changes, find_changes
from schemas.postprocess import Postprocess


def write_masks(
    path: Path,
    probabilities: Records,
    constant: Collection[str],
    known: Mapping[str, npt.NDArray[np.uint8]],
    mosaics: pd.DataFrame,
    postprocess: Postprocess,
) -> pd.DataFrame:
    """Write records of (id, mask (H, W) uint8 in {0, 1}); return the jigsaw rule's changes, as `apply_changes` does.

    probabilities: records (id, plain, tta) of the test tiles; the masks keep their order
    constant: ids of tiles of one grey value
    known: the masks of training tiles that the jigsaw rule may use (salt.postprocess.jigsaw.usable_masks)
    mosaics: id, mosaic, row, column
    """
    ids = probabilities["id"].tolist()
    with create_records(path, ids, {"mask": np.uint8}, *probabilities["tta"].shape[1:]) as masks:
        empty = _write_tile_by_tile(masks, probabilities, constant, postprocess)
        changes = find_changes(postprocess.jigsaw, mosaics, known, set(ids), empty)
        return apply_changes(ids, masks["mask"], changes)


def _write_tile_by_tile(
    masks: Records, probabilities: Records, constant: Collection[str], postprocess: Postprocess
) -> set[str]:
    """Fill in the masks before the jigsaw rule; return the ids of the empty ones."""
    empty: set[str] = set()
    flat = np.isin(masks["id"], list(constant))
    for rows in chunks(len(masks)):
        ids = masks["id"][rows]
        found = steps.masks(probabilities["tta"][rows], flat[rows], postprocess)
        masks["mask"][rows] = found
        empty |= set(ids[~found.any(axis=(1, 2))])
    return empty
