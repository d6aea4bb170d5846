"""Atomic writes: files appear whole or not at all. They are written beside their target, synced, then renamed.

They get the permissions of the user's umask, whatever wrote them: safetensors makes files that only their owner reads.

The temporary name is fixed, so that a program overwrites what it left when it was killed. The workflow ensures that
only one program at a time writes a file.
"""

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

UMASK = os.umask(0)  # can only be read by setting it: here, before there are threads
os.umask(UMASK)
MODE = 0o666 & ~UMASK


@contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path in the same folder; rename it to `path` on success, delete it on an error.

    A missing folder is created. Readers of `path` see the old content or all of the new.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.partial{path.suffix}")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) != MODE:  # some network drives refuse any change
                os.fchmod(file.fileno(), MODE)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def atomic_folder(path: Path | str) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; it replaces `path` on success and is deleted on an error."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.partial")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        if path.exists():
            shutil.rmtree(path)
        temporary.replace(path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
