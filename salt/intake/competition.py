"""The competition's files, as folders or as the zips that Kaggle gives out, checked and read into tiles.

Everything that may be wrong with the data is found here, and all of it is said in one UserError.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from salt.data import image_files, rle
from salt.data.tiles import Tiles
from salt.intake import packing, sanity
from salt.intake.faults import DAMAGED, Faults
from salt.intake.files import Archive, Files, Folder, Unreadable
from salt.intake.ids import check_case, plain_ids
from salt.intake.sources import competition, whole_zip
from salt.intake.tables import Table, read_table
from schemas.errors import UserError
from schemas.section import COMPETITION, Shape
from schemas.words import first_of

Pixels = npt.NDArray[np.uint8]

Split = tuple[list[str], list[float], Pixels, Pixels | None]  # ids, depths, images, masks

SALT = (1, 255, 2**16 - 1)  # what masks use for salt: the competition's are 16-bit, other people's 8-bit


@dataclass(frozen=True)
class Pngs:
    """Where the PNGs of a split are: their names in `files` by tile id."""

    files: Files
    images: dict[str, str] = field(default_factory=dict)
    masks: dict[str, str] = field(default_factory=dict)


def read_competition(root: Path, size: Shape) -> tuple[Tiles, Tiles]:
    """Train and test tiles of `size` px, height and width, in the order of train.csv and of sample_submission.csv.

    A split whose table is absent is in the order of its ids; z is NaN where there is no depths.csv.
    Says what is odd about them; raises UserError listing every fault.
    """
    faults = Faults()
    outcome = f"The data in {root} cannot be used"
    splits = _Reader(size, faults).read(_open(root, faults))
    faults.raise_if_any(outcome)
    tiles = packing.pack("train", *splits[0]), packing.pack("test", *splits[1])
    sanity.check_tiles(*tiles, faults)
    faults.raise_if_any(outcome)
    faults.say_warnings()
    return tiles


def tile_of(root: Path) -> Shape:
    """Height and width of the first training image, px; those of the competition's where none can be read."""
    faults = Faults()
    pngs = _Reader(COMPETITION, faults).pngs(_open(root, faults), "train")
    shapes = (
        (packing.look(pngs.files, name, image_files.size, "", faults) for name in pngs.images.values()) if pngs else ()
    )
    return next((shape for shape in shapes if shape), COMPETITION)


def _open(root: Path, faults: Faults) -> Files:
    found, whole = competition(root), whole_zip(root)
    if whole is None or found != [whole]:
        return Folder(root, faults, below=("train", "test"))
    try:
        return Archive(whole, str(whole))
    except Unreadable as damage:
        raise UserError(f"The zip with the data cannot be read: {damage}. Pack it anew or get it again.") from damage


class _Reader:
    """One pass over the data. Each step notes its faults and goes on with what is left."""

    def __init__(self, size: Shape, faults: Faults):
        self.size, self.faults = size, faults

    def read(self, files: Files) -> tuple[Split, Split]:
        """What `packing.pack` makes the train and the test tiles of."""
        labels = read_table(files, "train.csv", ["id"], self.faults, optional=["rle_mask"])
        samples = read_table(files, "sample_submission.csv", ["id"], self.faults, optional=["rle_mask"])
        depths = read_table(files, "depths.csv", ["id", "z"], self.faults)
        train, test = self.pngs(files, "train"), self.pngs(files, "test")
        train_ids = self.ids(train, labels, "train.csv")
        test_ids = self.ids(test, samples, "sample_submission.csv")
        self.faults.add("ids in both splits", sorted(set(train_ids) & set(test_ids)), "Take each out of one split.")
        check_case(train_ids + test_ids, self.faults)
        sanity.check_tables(samples, depths, {*train_ids, *test_ids}, self.faults)
        masks = self.masks(train, train_ids, labels)
        return (
            (train_ids, packing.depths(train_ids, depths, self.faults), self.images(train, train_ids), masks),
            (test_ids, packing.depths(test_ids, depths, self.faults), self.images(test, test_ids), None),
        )

    # --- which tiles there are

    def pngs(self, files: Files, split: str) -> Pngs | None:
        """The PNGs in the split's folders, or else in its zip; None where there are none."""
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
                self.faults.add(f"PNGs that are more than once in {files.where}", [name], "Keep one of each.")
            kind[file.removesuffix(".png")] = name
        if pngs.images:
            return pngs
        what = f"places without images (expected {split}/images/<id>.png, or images/<id>.png in {split}.zip)"
        found = first_of(files.names, 3) or "nothing"
        self.faults.add(what, [f"{files.where} (found {found})"], "Put the images there.")
        return None

    def ids(self, pngs: Pngs | None, table: Table | None, name: str) -> list[str]:
        """The split's ids in order, checked: each has an image and, where there is a table, a row in it."""
        if pngs is None:
            return []
        source, named = (name, table) if table else (f"images in {pngs.files.where}", sorted(pngs.images))
        ids = plain_ids(named, source, self.faults)
        self.faults.add(
            f"ids of {name} without images/<id>.png in {pngs.files.where}",
            [tile for tile in ids if tile not in pngs.images],
            "Add the images, or take the rows out.",
        )
        self.faults.add(
            f"images in {pngs.files.where} without a row in {name}",
            [tile for tile in sorted(pngs.images) if table and tile not in table],
            "Add the rows, or take the images away.",
        )
        return ids

    # --- pixels

    def images(self, pngs: Pngs | None, ids: list[str]) -> Pixels:
        """Images of the tiles, (n, H, W)."""
        images = np.zeros((len(ids), *self.size), np.uint8)
        for row, name in enumerate(ids):
            if pngs and name in pngs.images:
                image = self.pixels(pngs.files, pngs.images[name], _read_image)
                images[row] = 0 if image is None else image
            packing.count_up(row + 1, len(ids))
        return images

    def masks(self, pngs: Pngs | None, ids: list[str], labels: Table | None) -> Pixels:
        """Masks of the tiles, (n, H, W): from train.csv, from PNGs, or from both where they agree."""
        masks = np.zeros((len(ids), *self.size), np.uint8)
        if pngs is None:
            return masks
        encoded = labels is not None and all("rle_mask" in row for row in labels.values())
        if pngs.masks or not encoded:
            self.same_tiles(pngs, ids, encoded)
        for row, name in enumerate(ids):
            drawn = self.pixels(pngs.files, pngs.masks[name], _read_mask) if name in pngs.masks else None
            decoded = self.decoded(name, labels[name]["rle_mask"]) if labels and encoded else None
            masks[row] = self.agreed(name, decoded, drawn)
        return masks

    def same_tiles(self, pngs: Pngs, ids: list[str], encoded: bool) -> None:
        """Check that each tile has its mask's PNG, and each of these its tile."""
        where, otherwise = pngs.files.where, "" if encoded else ", nor a column rle_mask in train.csv"
        without = [name for name in ids if name not in pngs.masks]
        remedy = "Add the masks, or take the tiles away."
        self.faults.add(f"labelled tiles without masks/<id>.png in {where}{otherwise}", without, remedy)
        strange = sorted(pngs.masks.keys() - pngs.images.keys() - set(ids))
        self.faults.add(f"masks in {where} without images/<id>.png", strange, "Add the images, or take the masks away.")

    def agreed(self, name: str, decoded: Pixels | None, drawn: Pixels | None) -> Pixels | int:
        """The one mask that there is, or either where there are two and they agree."""
        if decoded is None or drawn is None:
            return next((mask for mask in (decoded, drawn) if mask is not None), 0)
        if different := np.count_nonzero(decoded != drawn):
            what, remedy = "masks that differ between train.csv and their PNG", "Keep the one that is right."
            self.faults.add(what, [f"{name} ({different} px)"], remedy)
        return decoded

    def pixels(self, files: Files, name: str, read: Callable[[bytes, str], Pixels]) -> Pixels | None:
        """One PNG of the right size, or None."""
        what = f"PNGs in {files.where} that are not what they should be"
        pixels = packing.look(files, name, read, what, self.faults)
        if pixels is None or pixels.shape == self.size:
            return pixels
        expected, size = (" x ".join(map(str, shape)) for shape in (self.size, pixels.shape))
        self.faults.add(
            f"PNGs in {files.where} that are not {expected} px (the config's data.tile)",
            [f"{name} ({size})"],
            "Set data.tile to the side of your tiles; all are of one size.",
        )
        return None

    def decoded(self, name: str, text: str) -> Pixels | None:
        """One mask of train.csv, or None."""
        try:
            return rle.decode(text, *self.size)
        except ValueError as error:
            self.faults.add("masks of train.csv that are no run-length encoding", [f"{name} ({error})"])
        return None


def _read_image(data: bytes, name: str) -> Pixels:
    """An 8-bit PNG, grey or of equal colours (there are both), as (H, W) uint8."""
    pixels = _read_grey(data, name)
    if pixels.dtype != np.uint8:
        raise ValueError("16-bit, expected 8-bit")
    return pixels


def _read_mask(data: bytes, name: str) -> Pixels:
    """An 8- or 16-bit PNG of zeros and one other value, 1 or the largest, as (H, W) uint8 in {0, 1}."""
    pixels = _read_grey(data, name)
    values = np.unique(pixels)
    if not any(np.isin(values, (0, salt)).all() for salt in SALT):
        raise ValueError(f"values {first_of(values.tolist(), 4)}; expected 0 and one of 1, 255, 65535")
    return (pixels != 0).astype(np.uint8)


def _read_grey(data: bytes, name: str) -> image_files.Pixels:
    """Colours are an error here: a wrong file more likely than a wish."""
    pixels = image_files.read(data, name)
    if image_files.has_colour(pixels):
        raise ValueError("in colour, expected grey")
    return image_files.grey(pixels)
