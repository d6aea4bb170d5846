"""The files and folders of a data folder that are read. Imports little: every reading of the Snakefile uses it."""

import hashlib
from pathlib import Path

from salt.intake.files import Archive, Unreadable
from schemas.data import Data
from schemas.errors import UserError
from schemas.words import first_of

COMPETITION = "tgs-salt-identification-challenge"
TABLES = ("train.csv", "depths.csv", "sample_submission.csv")
TRAIN, MASKS, TEST = FOLDERS = ("train/images", "train/masks", "test/images")  # of layout `folders`


def sources(data: Data) -> list[Path]:
    """The files and folders that hold the tiles, in a fixed order. Raises UserError if there are none."""
    root = Path(data.root)
    return competition(root) if data.layout == "competition" else folders(root)


def folders(root: Path) -> list[Path]:
    """The tables and folders of layout `folders` that exist. Raises UserError if there is no folder."""
    if not any((root / name).is_dir() for name in FOLDERS):
        expected = ", ".join(f"{name}/" for name in FOLDERS)
        raise UserError(
            f"The images are missing: expected the folders {expected} in {root} (the config's data.root, with "
            f"`layout: folders`), and found {_found(root)}. data/README.md describes what goes where."
        )
    return [path for name in (*TABLES[1:], *FOLDERS) if (path := root / name).exists()]


def competition(root: Path) -> list[Path]:
    """The files and folders below `root` that hold the competition's tiles.

    These are the tables that exist and, for each split, its folders of PNGs or else its zip; or the single zip from
    Kaggle that holds everything. Raises UserError if images are missing or a folder is not readable.
    """
    try:
        splits = {split: _images(root, split) for split in ("train", "test")}
        if all(splits.values()):
            tables = [root / name for name in TABLES if (root / name).is_file()]
            return [*tables, *splits["train"], *splits["test"]]
        if not any(splits.values()) and (whole := whole_zip(root)):
            return [whole]
        missing = _missing(root, [split for split, found in splits.items() if not found])
    except OSError as error:
        closed = f"expected a readable folder, found that {error.filename} is not ({error.strerror}). Make it readable."
        raise UserError(f"The data in {root} cannot be used: {closed}") from error
    raise UserError(missing)


def rows(root: Path, table: str) -> int | None:
    """Number of tiles in a table, which is a file or in the zip with everything; None without such a table."""
    whole = whole_zip(root)
    try:
        if (root / table).is_file():
            content = (root / table).read_bytes()
        elif whole and table in (archive := Archive(whole, str(whole))).names:
            content = archive.read(table)
        else:
            return None
    except (OSError, Unreadable):  # prepare_tiles reports it
        return None
    return sum(bool(line.strip()) for line in content.splitlines()[1:])


def image_paths(data: Data, folders: list[Path]) -> list[Path]:
    """The image files in folders, without hidden ones; in the competition's layout, the PNGs."""
    return [
        path for folder in folders for path in sorted(folder.glob("*.png" if data.layout == "competition" else "[!.]*"))
    ]


def fingerprint(files: list[Path]) -> str:
    """A digest of the names, sizes and modification times of files; empty without files."""
    digest = hashlib.sha256()
    for path in files:
        try:
            status = path.stat()
            change = f"{status.st_size}\0{status.st_mtime_ns}"
        except OSError as error:  # a broken link; the reader of the files reports it
            change = str(error.strerror)
        digest.update(f"{path}\0{change}\n".encode(errors="surrogateescape"))
    return digest.hexdigest() if files else ""


def whole_zip(root: Path) -> Path | None:
    """The zip in `root` that may hold everything: the one with the competition's name, else the only one."""
    named = root / f"{COMPETITION}.zip"
    if named.is_file():
        return named
    others = [path for path in sorted(root.glob("*.zip")) if path.name not in ("train.zip", "test.zip")]
    return others[0] if len(others) == 1 else None


def _images(root: Path, split: str) -> list[Path]:
    """The split's folders of PNGs, else its zip, else nothing."""
    if _has_entries(root / split / "images"):
        masks = root / split / "masks"
        return [root / split / "images", *([masks] if split == "train" and masks.is_dir() else [])]
    return [root / f"{split}.zip"] if (root / f"{split}.zip").is_file() else []


def _has_entries(folder: Path) -> bool:
    return folder.is_dir() and next(folder.iterdir(), None) is not None


def _missing(root: Path, splits: list[str]) -> str:
    looked_for = " and ".join(f"{split}/images/*.png or {split}.zip" for split in splits)
    return (
        f"The tiles' images are missing: expected {looked_for} in {root}, or {COMPETITION}.zip with "
        f"everything inside, and found {_found(root)}. The data are those of the Kaggle competition "
        f'"TGS Salt Identification Challenge": accept its rules at '
        f"https://www.kaggle.com/competitions/{COMPETITION}, then run "
        f"`kaggle competitions download -c {COMPETITION} -p {root}` and leave the zip as it is. "
        "To try the whole workflow without them, on synthetic tiles, run `make demo`."
    )


def _found(root: Path) -> str:
    if not root.is_dir():
        return "a file of that name" if root.exists() else "no such folder"
    names = sorted(path.name for path in root.iterdir() if not path.name.startswith("."))
    return first_of(names, 8) or "it empty"
