"""The file of a pack: a zip of stored files, whose manifest lists all of them with their digests.

Nothing is compressed: weights do not shrink, and a reader may take them where they lie. All times are the same, so a
run gives the same bytes each time.
"""

import hashlib
import json
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from salt.intake.files import Archive, Unreadable
from salt.runtime import provenance
from salt.runtime.atomic import atomic_path
from salt.runtime.paths import PackFiles
from schemas.errors import UserError
from schemas.packs import VERSION, Manifest
from schemas.words import first_of

TIME = (1980, 1, 1, 0, 0, 0)  # the first that a zip can hold
SHOWN = 3
MANIFEST = PackFiles(Path()).manifest.as_posix()
AGAIN = "Get the file again, or write it again with `make pack`."


def write(path: Path, manifest: Manifest, files: Mapping[str, Path]) -> None:
    """Write a pack. files: those that the manifest lists, by their names in the zip."""
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(_entry(MANIFEST), text_of(manifest))
        for name in sorted(files):
            with files[name].open("rb") as source, archive.open(_entry(name, files[name]), "w") as target:
                shutil.copyfileobj(source, target)


def text_of(manifest: Manifest) -> str:
    """The manifest as it is written."""
    return json.dumps(manifest.model_dump(mode="json"), indent=1, sort_keys=True) + "\n"


def _entry(name: str, source: Path | None = None) -> zipfile.ZipInfo:
    """The header of a file in the zip, which depends on its name and size alone."""
    entry = zipfile.ZipInfo(name, TIME)
    entry.create_system, entry.external_attr = 3, 0o644 << 16  # a plain Unix file
    entry.file_size = source.stat().st_size if source else 0  # from 2 GB on, the header has another form
    return entry


class Pack:
    """A pack that was opened: a whole zip, of this format, in which every file is listed."""

    def __init__(self, path: Path) -> None:
        """Raises UserError if it is not such a file."""
        self.path = path
        try:
            self._archive = Archive(path, str(path))
            content = self._archive.read(MANIFEST) if MANIFEST in self._archive.names else None
        except Unreadable as error:
            raise UserError(
                f"Expected a pack, one whole zip that `make pack` wrote, at {path}, found {error}. {AGAIN}"
            ) from None
        if content is None:
            raise UserError(
                f"Expected a pack, a zip that `make pack` wrote, at {path}, found a zip without {MANIFEST}. Give the "
                "path of a pack."
            )
        self.content = content
        self.manifest, self.digest = _checked(content, path), hashlib.sha256(content).hexdigest()
        if wrong := sorted({MANIFEST, *self.manifest.files} ^ {*self._archive.names}):
            raise UserError(
                f"Expected in {path} just the files that its {MANIFEST} lists, found others or some missing: "
                f"{first_of(wrong, SHOWN)}. {AGAIN}"
            )

    def unpack(self) -> PackFiles:
        """Write the files to the folder of this pack, and check each digest. What lies there already is kept.

        Raises UserError if a file of the pack is damaged, or if the folder holds something else.
        """
        files = PackFiles.unpacked(self.path)
        self._must_own(files)
        for name, digest in self.manifest.files.items():
            target = files.folder / name
            if not target.is_file() or provenance.sha256(target) != digest:
                _write(target, self._read(name, digest))
        return files

    def _must_own(self, files: PackFiles) -> None:
        """Mark a new folder as this pack's."""
        if not files.folder.exists():
            _write(files.manifest, self.content)
        elif not files.manifest.is_file() or files.manifest.read_bytes() != self.content:
            raise UserError(
                f"Expected the folder {files.folder} to be free for {self.path}, found another pack or run there. Move "
                "that folder away, or rename the pack: its folder has its name."
            )

    def _read(self, name: str, digest: str) -> bytes:
        try:
            content = self._archive.read(name)
        except Unreadable as error:
            raise UserError(f"Expected a whole file in a pack, found damage: {error}. {AGAIN}") from None
        if (found := hashlib.sha256(content).hexdigest()) != digest:
            raise UserError(
                f"Expected {name} in {self.path} to have the SHA-256 {digest[:12]}..., found {found[:12]}...: it was "
                f"changed or damaged. {AGAIN}"
            )
        return content


def _checked(content: bytes, path: Path) -> Manifest:
    """The manifest. Raises UserError if it is of another version, or none."""
    try:
        given = json.loads(content)
        version = given["format"]
        if type(version) is int and version > VERSION:
            raise UserError(
                f"Expected a pack of format {VERSION} at {path}, found format {version}, of a newer version of this "
                "program. Update the program (`git pull`, then `make env`)."
            )
        return Manifest.model_validate(given)
    except (ValueError, TypeError, KeyError) as error:  # a ValidationError is a ValueError
        first = error.errors()[0] if isinstance(error, ValidationError) else None
        found = f"at {'.'.join(map(str, first['loc']))}: {first['msg']}" if first else f"{type(error).__name__}"
        raise UserError(
            f"Expected the manifest of a pack, {MANIFEST}, in {path}, found something else ({found}). {AGAIN}"
        ) from None


def _write(path: Path, content: bytes) -> None:
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)
