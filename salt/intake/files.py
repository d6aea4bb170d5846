"""Files in a folder or in a zip, behind one interface.

Nothing is extracted, so no zip can write anywhere. Unsafe files are faults and are never opened.
Links in folders are followed, wherever they lead: users may keep tiles on another disk, one by one or all together.
Links in zips are refused: they were made on another machine.
"""

import io
import os
import re
import stat
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Protocol

from salt.intake.faults import Faults, listed

# Limits against zip bombs. Images are already compressed, so a zip of them is about as large as they are; masks and
# tables shrink, but seldom 50-fold. Files below 64 MB fill no memory: an empty mask of 4 MB may shrink 1,000-fold.
HARMLESS = 64 * 2**20  # bytes
RATIO = 50
MOST_MEMBERS = 1_000_000  # of a zip in a zip, where a long list compresses well; each takes 0.5 kB of memory

MEMBER = b"PK\x01\x02"  # signature of an entry in a zip's central directory
NO_PATH = re.compile(r"^/|^[A-Za-z]:|[\\\0]")  # absolute; of a drive; with backslashes; NUL, where zipfile cuts


class Unreadable(Exception):
    """A damaged file or zip; the text says where and how."""


class Files(Protocol):
    """The files of one place. `where` names the place in messages; `names` are relative paths, with `/`."""

    where: str
    names: list[str]

    def read(self, name: str) -> bytes:
        """The content of one of `names`. Raises Unreadable."""

    def zip(self, name: str) -> "Archive":
        """One of `names` as a zip of its own. Raises Unreadable."""


class Folder:
    """The plain files in a folder and below, without hidden ones. Anything else there is a fault.

    below: subfolders to walk; None for all
    """

    def __init__(self, path: Path, faults: Faults, below: Collection[str] | None = None):
        self.path, self.where, self.faults = path, str(path), faults
        self.names = sorted(self._walk(below))

    def _walk(self, below: Collection[str] | None) -> Iterator[str]:
        folders, seen = [""], set()
        while folders:
            folder = folders.pop()
            try:
                status = (self.path / folder).stat()
                if (status.st_dev, status.st_ino) in seen:
                    self._note("folders that links lead to more than once", folder, "Remove these links.")
                    continue
                seen.add((status.st_dev, status.st_ino))
                entries = sorted(os.scandir(self.path / folder), key=lambda entry: entry.name, reverse=True)
            except OSError as error:
                self._note("folders that cannot be opened", f"{folder} ({error.strerror})", "Make them readable.")
                continue
            for entry in entries:
                name = f"{folder}/{entry.name}".lstrip("/")
                if entry.name.startswith("."):
                    continue
                if _is(entry.is_dir):
                    folders += [name] if folder or below is None or name in below else []
                elif _is(entry.is_file):
                    yield name
                else:
                    self._note("names that are not files (broken links, pipes, devices)", name, "Remove them.")

    def _note(self, kind: str, name: str, remedy: str) -> None:
        self.faults.add(kind, [f"{self.where}/{name}"], remedy)

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
    """The files of a zip that is safe to read. A zip within it is held in memory."""

    def __init__(self, source: Path | bytes, where: str):
        """Raises Unreadable if the zip is damaged, or if any of its files is unsafe."""
        self.where = where
        try:
            size = len(source) if isinstance(source, bytes) else source.stat().st_size
            self._zip = zipfile.ZipFile(io.BytesIO(source) if isinstance(source, bytes) else source)
        except (zipfile.BadZipFile, OSError, RuntimeError, ValueError) as error:
            raise Unreadable(f"{where} ({error})") from error
        if reasons := _dangers(self._zip.infolist(), size):
            raise Unreadable(f"{where} ({reasons})")
        self._members = {member.filename: member for member in self._zip.infolist()}
        self.names = [name for name in self._members if not name.endswith("/")]

    def read(self, name: str) -> bytes:
        """The content of the member `name`. Raises Unreadable."""
        try:
            with self._zip.open(self._members[name]) as member:
                return member.read(self._members[name].file_size)  # never more than the header declares
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError) as error:
            raise Unreadable(f"{self.where}/{name} ({error})") from error

    def zip(self, name: str) -> "Archive":
        """The member `name` as a zip of its own. Raises Unreadable."""
        data, packed = self.read(name), self._members[name].compress_size
        if len(data) > 2 * packed and data.count(MEMBER) > MOST_MEMBERS:  # zipfile reads the whole list at once
            raise Unreadable(f"{self.where}/{name} (expected at most {MOST_MEMBERS} files)")
        return Archive(data, f"{self.where}/{name}")


def _is(kind: Callable[[], bool]) -> bool:
    try:
        return kind()
    except OSError:  # circular links, links into a closed folder
        return False


def _leads_out(member: zipfile.ZipInfo) -> bool:
    name = member.orig_filename
    return ".." in name.split("/") or bool(NO_PATH.search(name))


def _is_special(member: zipfile.ZipInfo) -> bool:
    return stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR)


def _is_compressed_otherwise(member: zipfile.ZipInfo) -> bool:
    # zipfile unpacks bzip2 and LZMA members at once, however large they are.
    return member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def _is_encrypted(member: zipfile.ZipInfo) -> bool:
    return bool(member.flag_bits & 1)


def _is_bomb(member: zipfile.ZipInfo) -> bool:
    return _expands_too_much(member.file_size, member.compress_size)


def _expands_too_much(unpacked: int, packed: int) -> bool:
    return unpacked > max(HARMLESS, RATIO * packed)


REFUSED: dict[str, Callable[[zipfile.ZipInfo], bool]] = {
    "expected names such as images/a.png, found names that are not paths inside the zip": _leads_out,
    "expected a zip without a password, found encrypted files": _is_encrypted,
    "expected plain files, found links or devices": _is_special,
    "expected stored or deflated files, found other compression": _is_compressed_otherwise,
    f"expected files of at most {RATIO} times their compressed size, found zip bombs": _is_bomb,
}


def _dangers(members: list[zipfile.ZipInfo], size: int) -> str:
    """Why a zip of `size` bytes is unsafe to read; empty if it is safe."""
    wrong = {why: [member.orig_filename for member in members if has_it(member)] for why, has_it in REFUSED.items()}
    counts = Counter(member.filename for member in members)
    wrong["expected each name once, found duplicates"] = [name for name, count in counts.items() if count > 1]
    reasons = [f"{why} {listed(names)}" for why, names in wrong.items() if names]
    unpacked = sum(member.file_size for member in members)
    if _expands_too_much(unpacked, size):  # files may share their bytes: none of them alone is a bomb then
        reasons.append(f"expected contents of at most {RATIO} times the zip's size, found a zip bomb")
    return "; ".join(reasons)
