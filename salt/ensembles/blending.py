"""Weighted means of predictions (recipe 8). Tiles are matched by id."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from salt.data.predictions import FIELDS
from salt.data.records import Joined, Records, chunks, create_records
from schemas.results import Stretch

Member = Records | Joined
AS_IT_IS = Stretch()


def blend(members: Sequence[Member], weights: Sequence[float], out: Path | str, stretch: Stretch = AS_IT_IS) -> int:
    """Write the blend of several predictions, stretched and chunk by chunk; return its number of tiles.

    members: records (id, plain, tta) or (id, tta); the blend has the fields that all have. If all hold the same tiles
        in the same order (models of an ensemble, folds on the test tiles), the blend is their weighted mean. If no two
        share a tile (folds on their held-out tiles), it holds all tiles, sorted by id. Raises ValueError in any other
        case.
    """
    same = same_tiles(members)
    ids = members[0]["id"] if same else np.sort(np.concatenate([member["id"] for member in members]))
    if len(np.unique(ids)) != len(ids):
        raise ValueError("members of a blend must hold the same tiles in the same order, or share none")
    height, width = members[0]["tta"].shape[1:]
    fields = [name for name in FIELDS if all(name in _fields(member) for member in members)]
    with create_records(out, ids.tolist(), dict.fromkeys(fields, np.float16), height, width) as records:
        if same:
            _average(members, weights, records, stretch)
        else:
            _collect(members, records, stretch)
    return len(ids)


def extremes(members: Sequence[Member], weights: Sequence[float]) -> Stretch:
    """The least and the largest probability of a blend of the same tiles, with mirror images.

    Constant tiles, which have probabilities of 0 by definition, do not count; if there are no others, nothing is to be
    stretched.
    """
    low, high = 1.0, 0.0
    for rows in chunks(len(members[0])):
        tiles = mean(members, weights, "tta", rows)
        for tile in tiles[tiles.any(axis=(1, 2))]:
            low, high = min(low, float(tile.min())), max(high, float(tile.max()))
    return Stretch(low=low, high=min(high, 1)) if low < high else AS_IT_IS


def same_tiles(members: Sequence[Member]) -> bool:
    """Whether predictions hold the same tiles in the same order."""
    return all(np.array_equal(member["id"], members[0]["id"]) for member in members)


def mean(members: Sequence[Member], weights: Sequence[float], field: str, rows: slice) -> npt.NDArray[np.float32]:
    """Weighted mean of one field over predictions of the same tiles, for some rows: (rows, H, W) in 0..1."""
    total = np.zeros(members[0][field][rows].shape, np.float32)
    for member, share in zip(members, np.asarray(weights) / np.sum(weights), strict=True):
        total += np.float32(share) * member[field][rows].astype(np.float32)
    return total


def _average(members: Sequence[Member], weights: Sequence[float], records: Records, stretch: Stretch) -> None:
    for rows in chunks(len(records)):
        for name in _fields(records):
            records[name][rows] = _stretched(mean(members, weights, name, rows), stretch)


def _collect(members: Sequence[Member], records: Records, stretch: Stretch) -> None:
    for member in members:
        targets = np.searchsorted(records["id"], member["id"])
        for rows in chunks(len(member)):
            for name in _fields(records):
                records[name][targets[rows]] = _stretched(member[name][rows].astype(np.float32), stretch)


def _stretched(probabilities: npt.NDArray[np.float32], stretch: Stretch) -> npt.NDArray[np.float32]:
    return np.clip(stretch.of(probabilities), 0, 1)


def _fields(prediction: Member) -> list[str]:
    return [name for name in FIELDS if name in (prediction.dtype.names or ())]
