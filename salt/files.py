"""Files below a folder or inside a zip, read alike.

Nothing is extracted, so that no zip writes anywhere. What is not safe to read is a fault, and is never opened.
Links in folders are followed, wherever they lead: whoever lays out a folder may keep tiles on another disk, one by
one or all at once. Links in zips are not: they were made on another machine.
"""

import io
import os
import re
import stat
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from salt.faults import Faults

# Zip bombs. Pictures are compressed already, so that a zip of them is about as large as they are; masks and tables
# shrink, but seldom 50-fold. Below 64 MB nothing fills a memory: an empty mask of 4 MB may shrink 1,000-fold.
HARMLESS = 64 * 2**20  # bytes
RATIO = 50
MOST_MEMBERS = 1_000_000  # of a zip in a zip, whose list of members may be packed 1,000-fold; each takes 0.5 kB

MEMBER = b"PK\x01\x02"  # how each entry in a zip's list of members begins
NO_PATH = re.compile(r"^[A-Za-z]:|[\\\0]")  # a drive; a backslash; NUL, at which zipfile ends a name


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
    """The plain files below a folder, but for hidden ones; what else is there is noted as a fault."""

    def __init__(self, path: Path, faults: Faults):
        self.path, self.where, self.faults = path, str(path), faults
        self.names = sorted(self._walk())

    def _walk(self) -> Iterator[str]:
        folders, seen = [""], set()
        while folders:
            folder = folders.pop()
            try:
                status = (self.path / folder).stat()
                if (status.st_dev, status.st_ino) in seen:
                    self._refuse("folders that links lead to a second time", folder, "Remove these links.")
                    continue
                seen.add((status.st_dev, status.st_ino))
                entries = sorted(os.scandir(self.path / folder), key=lambda entry: entry.name, reverse=True)
            except OSError as error:
                self._refuse("folders that cannot be opened", f"{folder} ({error.strerror})", "Make them readable.")
                continue
            for entry in entries:
                name = f"{folder}/{entry.name}".lstrip("/")
                if entry.name.startswith("."):
                    continue
                if _is(entry.is_dir):
                    folders.append(name)
                elif _is(entry.is_file):
                    yield name
                else:
                    self._refuse("names that lead to no file (broken links, pipes, devices)", name, "Remove them.")

    def _refuse(self, what: str, name: str, remedy: str) -> None:
        self.faults.add(what, [f"{self.where}/{name}"], remedy)

    def read(self, name: str) -> bytes:
        """The content of the file `name`. Raises Unreadable."""
        try:
            return (self.path / name).read_bytes()
        except OSError as error:
            raise Unreadable(f"{self.where}/{name} ({error.strerror})") from error

    def zip(self, name: str) -> "Archive":
        """The file `name` as a zip. Raises Unreadable."""
        return Archive(self.path / name, f"{self.where}/{name}", self.faults)


class Archive:
    """The files inside a zip, but for those that are noted as faults; a zip inside it is held in memory."""

    def __init__(self, source: Path | bytes, where: str, faults: Faults):
        """Raises Unreadable where the zip is damaged or a bomb as a whole."""
        self.where, self.faults = where, faults
        if isinstance(source, bytes) and source.count(MEMBER) > MOST_MEMBERS:
            raise Unreadable(f"{where} (it lists more than {MOST_MEMBERS} files)")
        try:
            size = len(source) if isinstance(source, bytes) else source.stat().st_size
            self._zip = zipfile.ZipFile(io.BytesIO(source) if isinstance(source, bytes) else source)
        except (zipfile.BadZipFile, OSError, RuntimeError, ValueError) as error:
            raise Unreadable(f"{where} ({error})") from error
        members = self._zip.infolist()
        unpacked = sum(member.file_size for member in members)
        if _is_bomb(unpacked, size):  # members may share their bytes, so that no single one looks like it
            raise Unreadable(f"{where} ({size} bytes that would unpack to {unpacked}: a zip bomb)")
        self._members = {member.filename: member for member in members if not self._refused(member)}
        twice = [name for name, count in Counter(self._zip.namelist()).items() if count > 1]
        faults.add(f"names that {where} has more than once", twice, "Pack it again with one of each.")
        self.names = [name for name in self._members if not name.endswith("/")]

    def _refused(self, member: zipfile.ZipInfo) -> bool:
        for what, has_it, remedy in REFUSED:
            if has_it(member):
                self.faults.add(f"files in {self.where} {what}", [member.orig_filename], remedy)
                return True
        return False

    def read(self, name: str) -> bytes:
        """The content of the member `name`. Raises Unreadable."""
        try:
            with self._zip.open(self._members[name]) as member:
                return member.read(self._members[name].file_size)  # never more than was told, whatever comes out
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError) as error:
            raise Unreadable(f"{self.where}/{name} ({error})") from error

    def zip(self, name: str) -> "Archive":
        """The member `name` as a zip of its own. Raises Unreadable."""
        return Archive(self.read(name), f"{self.where}/{name}", self.faults)


def _is(kind: Callable[[], bool]) -> bool:
    try:
        return kind()
    except OSError:  # links in a circle, links into a closed folder
        return False


def _leads_out(member: zipfile.ZipInfo) -> bool:
    name = member.orig_filename
    return ".." in name.split("/") or name.startswith("/") or bool(NO_PATH.search(name))


def _is_special(member: zipfile.ZipInfo) -> bool:
    return stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR)


def _is_packed_otherwise(member: zipfile.ZipInfo) -> bool:
    # zipfile unpacks what bzip2 and LZMA have packed at once, however much it is.
    return member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def _is_bomb(unpacked: int, packed: int) -> bool:
    return unpacked > max(HARMLESS, RATIO * packed)


REFUSED: tuple[tuple[str, Callable[[zipfile.ZipInfo], bool], str], ...] = (
    (
        "whose names are no paths inside it (with `..`, a backslash, a drive or a leading `/`)",
        _leads_out,
        "Pack them again from inside their folder, with names such as images/a.png.",
    ),
    ("that are encrypted", lambda member: bool(member.flag_bits & 1), "Pack them again without a password."),
    ("that are links or devices", _is_special, "Pack the files themselves."),
    ("that are packed neither by deflate nor not at all", _is_packed_otherwise, "Pack them again by deflate."),
    (
        f"that would unpack to more than {RATIO} times their size",
        lambda member: _is_bomb(member.file_size, member.compress_size),
        "Get the zip from a source that you trust.",
    ),
)
