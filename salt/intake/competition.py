"""Check the competition's files, in folders or in Kaggle's zips, and read them into tiles.

One UserError lists every fault of the data.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from salt.data import image_files, rle
from salt.data.scratch import Allocate, in_memory
from salt.data.tiles import Tiles
from salt.intake import packing
from salt.intake.faults import DAMAGED, Faults
from salt.intake.files import Archive, Files, Folder, Unreadable
from salt.intake.ids import check_case, plain_ids
from salt.intake.sources import competition, whole_zip
from salt.intake.tables import Table, read_table
from schemas.base import COMPETITION, Shape
from schemas.errors import UserError
from schemas.words import first_of

Pixels = npt.NDArray[np.uint8]

Split = tuple[list[str], list[float], Pixels, Pixels | None]  # ids, depths, images, masks

MASK_VALUES = (1, 255, 2**16 - 1)  # for salt: the competition's masks are 16-bit, most others 8-bit


@dataclass(frozen=True)
class Pngs:
    """The PNGs of a split: their names in `files`, by tile id."""

    files: Files
    images: dict[str, str] = field(default_factory=dict)
    masks: dict[str, str] = field(default_factory=dict)


def read_competition(root: Path, size: Shape, allocate: Allocate = in_memory) -> tuple[Tiles, Tiles]:
    """Train and test tiles of `size` px, height and width, in the order of train.csv and of sample_submission.csv.

    A split without its table is in the order of its ids; z is NaN without depths.csv. `allocate` makes the arrays.
    Logs a warning for each oddity. Raises UserError listing every fault.
    """
    faults = Faults()
    outcome = f"The data in {root} cannot be used"
    splits = _Reader(size, faults, allocate).read(_open(root, faults))
    faults.raise_if_any(outcome)
    tiles = packing.pack("train", *splits[0]), packing.pack("test", *splits[1])
    packing.check_tiles(*tiles, faults)
    faults.raise_if_any(outcome)
    faults.report_warnings()
    return tiles


def tile_of(root: Path) -> Shape:
    """Height and width of the first readable training image, px; the competition's if there is none."""
    faults = Faults()
    pngs = _Reader(COMPETITION, faults).pngs(_open(root, faults), "train")
    shapes = (
        (packing.read_or_note(pngs.files, name, image_files.size, "", faults) for name in pngs.images.values())
        if pngs
        else ()
    )
    return next((shape for shape in shapes if shape), COMPETITION)


def _open(root: Path, faults: Faults) -> Files:
    found, whole = competition(root), whole_zip(root)
    if whole is None or found != [whole]:
        return Folder(root, faults, below=("train", "test"))
    try:
        return Archive(whole, str(whole))
    except Unreadable as damage:
        raise UserError(f"The zip with the data cannot be read: {damage}. Repack or replace it.") from damage


class _Reader:
    """One pass over the data. Each step notes its faults and continues with the rest."""

    def __init__(self, size: Shape, faults: Faults, allocate: Allocate = in_memory):
        self.size, self.faults, self.allocate = size, faults, allocate

    def read(self, files: Files) -> tuple[Split, Split]:
        """The train and test splits, as `packing.pack` takes them."""
        labels = read_table(files, "train.csv", ["id"], self.faults, optional=["rle_mask"])
        samples = read_table(files, "sample_submission.csv", ["id"], self.faults, optional=["rle_mask"])
        depths = read_table(files, "depths.csv", ["id", "z"], self.faults)
        train, test = self.pngs(files, "train"), self.pngs(files, "test")
        train_ids = self.ids(train, labels, "train.csv")
        test_ids = self.ids(test, samples, "sample_submission.csv")
        self.faults.add("ids in both splits", sorted(set(train_ids) & set(test_ids)), "Remove each from one split.")
        check_case(train_ids + test_ids, self.faults)
        packing.check_tables(samples, depths, {*train_ids, *test_ids}, self.faults)
        masks = self.masks(train, train_ids, labels)
        return (
            (train_ids, packing.depths(train_ids, depths, self.faults), self.images(train, train_ids), masks),
            (test_ids, packing.depths(test_ids, depths, self.faults), self.images(test, test_ids), None),
        )

    # --- tiles

    def pngs(self, files: Files, split: str) -> Pngs | None:
        """The PNGs in the split's folders, else in its zip; None if there are none."""
        names = [name for name in files.names if name.startswith(f"{split}/")]
        if f"{split}.zip" in files.names and not any(name.startswith(f"{split}/images/") for name in names):
            try:
                files = files.zip(f"{split}.zip")
            except Unreadable as damage:
                self.faults.add(DAMAGED, [str(damage)])
                return None
            names = files.names
        pngs = Pngs(files)
        for name in names:
            *folders, file = name.split("/")
            if not file.endswith(".png") or file.startswith(".") or "__MACOSX" in folders:
                continue
            kind = {"images": pngs.images, "masks": pngs.masks}.get(folders[-1] if folders else "")
            if kind is None:
                continue
            if file.removesuffix(".png") in kind:
                self.faults.add(f"PNGs that appear more than once in {files.where}", [name], "Keep one of each.")
            kind[file.removesuffix(".png")] = name
        if pngs.images:
            return pngs
        what = f"folders or zips without images (expected {split}/images/<id>.png, or images/<id>.png in {split}.zip)"
        found = first_of(files.names, 3) or "nothing"
        self.faults.add(what, [f"{files.where} (found {found})"], "Add the images there.")
        return None

    def ids(self, pngs: Pngs | None, table: Table | None, name: str) -> list[str]:
        """The split's ids in order. Notes ids without an image, and images without a row where there is a table."""
        if pngs is None:
            return []
        source, named = (name, table) if table else (f"images in {pngs.files.where}", sorted(pngs.images))
        ids = plain_ids(named, source, self.faults)
        self.faults.add(
            f"ids of {name} without images/<id>.png in {pngs.files.where}",
            [tile for tile in ids if tile not in pngs.images],
            "Add the images, or remove the rows.",
        )
        self.faults.add(
            f"images in {pngs.files.where} without a row in {name}",
            [tile for tile in sorted(pngs.images) if table and tile not in table],
            "Add the rows, or remove the images.",
        )
        return ids

    # --- pixels

    def images(self, pngs: Pngs | None, ids: list[str]) -> Pixels:
        """Images of the tiles, (n, H, W) uint8."""
        images = self.allocate((len(ids), *self.size))
        for row, name in enumerate(ids):
            if pngs and name in pngs.images:
                image = self.pixels(pngs.files, pngs.images[name], _read_image)
                images[row] = 0 if image is None else image
            packing.log_progress(row + 1, len(ids))
        return images

    def masks(self, pngs: Pngs | None, ids: list[str], labels: Table | None) -> Pixels:
        """Masks of the tiles, (n, H, W) in {0, 1}: from train.csv, from PNGs, or from both if they agree."""
        masks = self.allocate((len(ids), *self.size))
        if pngs is None:
            return masks
        encoded = labels is not None and all("rle_mask" in row for row in labels.values())
        if pngs.masks or not encoded:
            self.check_pairs(pngs, ids, encoded)
        for row, name in enumerate(ids):
            drawn = self.pixels(pngs.files, pngs.masks[name], _read_mask) if name in pngs.masks else None
            decoded = self.decoded(name, labels[name]["rle_mask"]) if labels and encoded else None
            masks[row] = self.agreed(name, decoded, drawn)
        return masks

    def check_pairs(self, pngs: Pngs, ids: list[str], encoded: bool) -> None:
        """Note labelled tiles without a PNG of their mask, and masks without an image."""
        where, otherwise = pngs.files.where, "" if encoded else " or a column rle_mask in train.csv"
        without = [name for name in ids if name not in pngs.masks]
        remedy = "Add the masks, or remove the tiles."
        self.faults.add(f"labelled tiles without masks/<id>.png in {where}{otherwise}", without, remedy)
        unpaired = sorted(pngs.masks.keys() - pngs.images.keys() - set(ids))
        self.faults.add(f"masks in {where} without images/<id>.png", unpaired, "Add the images, or remove the masks.")

    def agreed(self, name: str, decoded: Pixels | None, drawn: Pixels | None) -> Pixels | int:
        """The only mask, or either of two equal ones. Notes two that differ."""
        if decoded is None or drawn is None:
            return next((mask for mask in (decoded, drawn) if mask is not None), 0)
        if different := np.count_nonzero(decoded != drawn):
            what, remedy = "masks that differ between train.csv and their PNG", "Keep the correct one."
            self.faults.add(what, [f"{name} ({different} px)"], remedy)
        return decoded

    def pixels(self, files: Files, name: str, read: Callable[[bytes, str], Pixels]) -> Pixels | None:
        """The pixels of one PNG; None, and a fault, if it cannot be read or has the wrong size."""
        what = f"PNGs in {files.where} that cannot be used"
        pixels = packing.read_or_note(files, name, read, what, self.faults)
        if pixels is None or pixels.shape == self.size:
            return pixels
        expected, size = (" x ".join(map(str, shape)) for shape in (self.size, pixels.shape))
        self.faults.add(
            f"PNGs in {files.where} that are not {expected} px (the config's data.tile)",
            [f"{name} ({size})"],
            "Set data.tile to the size of your tiles; all must have the same size.",
        )
        return None

    def decoded(self, name: str, text: str) -> Pixels | None:
        """One mask of train.csv; None, and a fault, if it cannot be decoded."""
        try:
            return rle.decode(text, *self.size)
        except ValueError as error:
            self.faults.add("masks in train.csv that are not a run-length encoding", [f"{name} ({error})"])
        return None


def _read_image(data: bytes, name: str) -> Pixels:
    """An 8-bit PNG, grey or with equal colours (the competition has both), as (H, W) uint8. Raises ValueError."""
    pixels = _read_grey(data, name)
    if pixels.dtype != np.uint8:
        raise ValueError("16-bit, expected 8-bit")
    return pixels


def _read_mask(data: bytes, name: str) -> Pixels:
    """An 8- or 16-bit PNG of 0 and one of MASK_VALUES, as (H, W) uint8 in {0, 1}. Raises ValueError."""
    pixels = _read_grey(data, name)
    values = np.unique(pixels)
    if not any(np.isin(values, (0, value)).all() for value in MASK_VALUES):
        raise ValueError(f"values {first_of(values.tolist(), 4)}; expected 0 and one of 1, 255, 65535")
    return (pixels != 0).astype(np.uint8)


def _read_grey(data: bytes, name: str) -> image_files.Pixels:
    """A grey PNG, (H, W). Raises ValueError for colours: they point to a wrong file."""
    pixels = image_files.read(data, name)
    if image_files.has_colour(pixels):
        raise ValueError("in colour, expected grey")
    return image_files.grey(pixels)
