"""Files below a folder or inside a zip, read alike. Nothing is extracted, so that no zip writes anywhere."""

import io
import os
import zipfile
import zlib
from pathlib import Path
from typing import Protocol


class Unreadable(Exception):
    """A file or zip that is damaged; the text says where and how."""


class Files(Protocol):
    """Files of one place. `where` names the place in messages; `names` are relative paths, with `/`."""

    where: str
    names: list[str]

    def read(self, name: str) -> bytes:
        """The content of one of `names`. Raises Unreadable."""

    def zip(self, name: str) -> "Archive":
        """One of `names` as a zip of its own. Raises Unreadable."""


class Folder:
    """The files below a folder."""

    def __init__(self, path: Path):
        self.path, self.where = path, str(path)
        self.names = sorted(
            (Path(parent) / name).relative_to(path).as_posix()
            for parent, _, names in os.walk(path, followlinks=True)
            for name in names
        )

    def read(self, name: str) -> bytes:
        """The content of the file `name`. Raises Unreadable."""
        try:
            return (self.path / name).read_bytes()
        except OSError as error:
            raise Unreadable(f"{self.where}/{name} ({error.strerror})") from error

    def zip(self, name: str) -> "Archive":
        """The file `name` as a zip. Raises Unreadable."""
        return Archive(self.path / name, f"{self.where}/{name}")


class Archive:
    """The files inside a zip; a zip inside it is held in memory while it is read."""

    def __init__(self, source: Path | io.BytesIO, where: str):
        self.where = where
        try:
            self._zip = zipfile.ZipFile(source)
        except (zipfile.BadZipFile, OSError, RuntimeError, ValueError) as error:
            raise Unreadable(f"{where} ({error})") from error
        self.names = [name for name in self._zip.namelist() if not name.endswith("/")]

    def read(self, name: str) -> bytes:
        """The content of the member `name`. Raises Unreadable."""
        try:
            return self._zip.read(name)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, KeyError, RuntimeError) as error:
            raise Unreadable(f"{self.where}/{name} ({error})") from error

    def zip(self, name: str) -> "Archive":
        """The member `name` as a zip of its own. Raises Unreadable."""
        return Archive(io.BytesIO(self.read(name)), f"{self.where}/{name}")
