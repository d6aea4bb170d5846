"""Arrays of tiles with their ids: a .npy file of records (id, one or more (H, W) fields).

An array and a list of ids in two files can be mismatched; records cannot. The file is a plain NumPy structured
array, so it can be memory-mapped: a pass over 18,000 tiles needs the memory of one chunk.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from salt.data.damage import reading
from salt.runtime.atomic import atomic_path

Records = npt.NDArray[np.void]

CHUNK = 256  # tiles that a pass holds in memory at once: 256 x 101 x 101 float32 = 10 MB


def record_type(ids: Sequence[str], fields: Mapping[str, npt.DTypeLike], height: int, width: int) -> np.dtype:
    """The dtype of records with an `id` and the named (height, width) fields."""
    longest = max((len(name) for name in ids), default=1)
    return np.dtype([("id", f"U{longest}"), *((name, kind, (height, width)) for name, kind in fields.items())])


@contextmanager
def create_records(
    path: Path | str, ids: Sequence[str], fields: Mapping[str, npt.DTypeLike], height: int, width: int
) -> Iterator[Records]:
    """Yield a writable memory map with the ids set and the fields zero; the file appears on success."""
    if len(set(ids)) != len(ids):
        raise ValueError(f"ids of {path} are not unique")
    dtype = record_type(ids, fields, height, width)
    with atomic_path(path) as temporary:
        if len(ids) == 0:  # an empty file cannot be mapped
            empty = np.zeros(0, dtype)
            with temporary.open("wb") as file:
                np.save(file, empty)
            yield empty
            return
        records = np.lib.format.open_memmap(temporary, mode="w+", dtype=dtype, shape=(len(ids),))
        with temporary.open("r+b") as file:  # so a full disk is an error here, not a SIGBUS at a later write
            os.posix_fallocate(file.fileno(), 0, temporary.stat().st_size)
        records["id"] = ids
        yield records
        records.flush()


def open_records(path: Path | str) -> Records:
    """Open records as a read-only memory map, in the order in which they were written. Raises as `open_array`."""
    records = open_array(path)
    with reading(Path(path)):
        if "id" not in (records.dtype.names or ()):
            raise ValueError("an array without ids")
    return records


def open_array(path: Path | str, remedy: str | None = None) -> npt.NDArray:
    """Open an array of a run as a read-only memory map. Raises UserError if it is missing or damaged."""
    with reading(Path(path), remedy):
        return np.load(path, mmap_mode="r", allow_pickle=False)


class Joined:
    """Records in several files, in this order, read as if they were in one. They must have the same fields."""

    def __init__(self, parts: Sequence[Records]) -> None:
        self.parts, self.dtype = parts, parts[0].dtype

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    def __getitem__(self, name: str) -> Any:
        """All ids as an array, or a field of all records, of which slices become arrays."""
        return np.concatenate([part["id"] for part in self.parts]) if name == "id" else JoinedField(self.parts, name)


class JoinedField:
    """A field (n, H, W) of records in several files; only a slice of it is read."""

    def __init__(self, parts: Sequence[Records], name: str) -> None:
        self.fields = [part[name] for part in parts]
        self.shape = (sum(map(len, parts)), *self.fields[0].shape[1:])

    def __getitem__(self, rows: slice) -> npt.NDArray:
        """The field of consecutive records, (rows, H, W)."""
        firsts = np.cumsum([0, *map(len, self.fields[:-1])])
        own = [slice(*np.clip([rows.start - first, rows.stop - first], 0, None)) for first in firsts]
        return np.concatenate([field[part] for field, part in zip(self.fields, own, strict=True)])


def open_members(paths: Sequence[Path], count: int) -> list[Records | Joined]:
    """Open the records of `count` members, each in equally many files: first all files of the first member."""
    files = len(paths) // count
    parts = [[open_records(path) for path in paths[start : start + files]] for start in range(0, len(paths), files)]
    return [of[0] if len(of) == 1 else Joined(of) for of in parts]


def chunks(count: int, size: int = CHUNK) -> Iterator[slice]:
    """Consecutive slices that cover range(count), each `size` long except the last."""
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))
