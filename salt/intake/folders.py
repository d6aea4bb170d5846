"""Check images and masks of any format and size in plain folders (layout `folders`), and read them into tiles.

One UserError lists every fault of the data.
"""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt

from salt.data import image_files
from salt.data.scratch import Allocate, in_memory
from salt.data.tiles import Tiles
from salt.intake import cutting, packing
from salt.intake.faults import Faults
from salt.intake.files import Files, Folder
from salt.intake.ids import check_case, plain_ids
from salt.intake.masks import MaskValues, read_mask
from salt.intake.sources import MASKS, TEST, TRAIN
from salt.intake.tables import Table, read_table
from schemas.base import Shape
from schemas.data import Data

Pixels = npt.NDArray[np.uint8]

LEFT_BY_SYSTEMS = ("Thumbs.db", "desktop.ini")
UNUSABLE = "images and masks that cannot be used"


def read_folders(data: Data, allocate: Allocate = in_memory) -> tuple[Tiles, Tiles]:
    """Train and test tiles in the order of their ids; sample_submission.csv, if present, orders the test tiles.

    z is NaN without depths.csv. `allocate` makes the arrays. Logs a warning for each oddity.
    Raises UserError listing every fault.
    """
    faults = Faults()
    outcome = f"The data in {data.root} cannot be used"
    reader = _Reader(Folder(Path(data.root), faults, below=("train", "test")), data, faults, allocate)
    tiles = reader.read()
    faults.raise_if_any(outcome)
    packing.check_tiles(*tiles, faults)
    if not isinstance(data.range, str) and tiles[0].table["constant"].all():
        remedy = "Compare it with the values of the images."
        faults.add("ranges that make every training tile constant", [f"data.range: {list(data.range)}"], remedy)
    faults.raise_if_any(outcome)
    faults.report_warnings()
    return tiles


class _Reader:
    """One pass over the data. Each step notes its faults and continues with the rest."""

    def __init__(self, files: Files, data: Data, faults: Faults, allocate: Allocate):
        self.files, self.data, self.faults, self.allocate = files, data, faults, allocate
        self.shapes: dict[str, Shape] = {}  # sizes of images and masks, by file
        self.tile: Shape = (1, 1)
        self.types: dict[str, str] = {}  # pixel types, each with the first file that has it

    def read(self) -> tuple[Tiles, Tiles]:
        """The tiles of both splits; incomplete if there are faults."""
        train, masks, test = (self.listed(folder) for folder in (TRAIN, MASKS, TEST))
        self.check_ids(train, masks, test)
        samples = read_table(self.files, "sample_submission.csv", ["id"], self.faults, optional=["rle_mask"])
        depths = read_table(self.files, "depths.csv", ["id", "z"], self.faults)
        packing.check_tables(samples, depths, {*train, *test}, self.faults)
        test = self.ordered(test, samples)
        self.measure(train, masks, test)
        packed = (
            packing.pack("train", *self.ids(train, depths), self.images(train), self.masks(train, masks)),
            packing.pack("test", *self.ids(test, depths), self.images(test), None),
        )
        if self.data.range != "tile" and len(self.types) > 1:
            examples = [f"{kind} (such as {name})" for kind, name in self.types.items()]
            remedy = "Save all images with one type, or set data.range: tile."
            self.faults.add("pixel types, expected one", examples, remedy)
        return packed

    # --- images

    def listed(self, folder: str) -> dict[str, str]:
        """The images in a folder: their names by stem, sorted by stem."""
        found: dict[str, str] = {}
        for name in self.files.names:
            file = name.removeprefix(f"{folder}/")
            if file == name or file.startswith(".") or "/." in file or file in LEFT_BY_SYSTEMS:
                continue
            path = PurePosixPath(file)
            if path.name != file:
                self.faults.add(f"files in subfolders of {folder}", [name], f"Move them directly into {folder}.")
            elif path.suffix.lower() not in image_files.SUFFIXES:
                kind = f"files without one of the suffixes {', '.join(image_files.SUFFIXES)}"
                self.faults.add(kind, [name], "Convert or remove them.")
            elif path.stem in found:
                both = f"{found[path.stem]} and {name}"
                self.faults.add("ids that two files of a folder share", [both], "Remove one of each pair.")
            else:
                found[path.stem] = name
        if not found:
            self.faults.add(
                "folders without an image",
                [f"{self.files.where}/{folder}"],
                "data/README.md describes what belongs there.",
            )
        return dict(sorted(found.items()))

    def check_ids(self, train: dict[str, str], masks: dict[str, str], test: dict[str, str]) -> None:
        """Note images without a mask, masks without an image, ids in both splits and ids that are unsafe in tables."""
        if train and masks:
            unpaired = [train[name] for name in train if name not in masks]
            self.faults.add(f"images without {MASKS}/<id>", unpaired, "Add their masks, or remove the images.")
            unpaired = [masks[name] for name in masks if name not in train]
            self.faults.add(f"masks without {TRAIN}/<id>", unpaired, "Add their images, or remove the masks.")
        self.faults.add("ids in both splits", [name for name in train if name in test], "Remove each from one split.")
        plain_ids({**train, **test}, "images", self.faults)
        check_case([*train, *test], self.faults)

    def ordered(self, test: dict[str, str], samples: Table | None) -> dict[str, str]:
        """The test images in the order of sample_submission.csv, if there is one."""
        if not samples:
            return test
        missing = [name for name in samples if name not in test]
        self.faults.add(
            f"ids in sample_submission.csv without {TEST}/<id>", missing, "Add the images, or remove the table."
        )
        unlisted = [test[name] for name in test if name not in samples]
        self.faults.add("images without a row in sample_submission.csv", unlisted, "Add the rows, or remove the table.")
        return {name: test[name] for name in samples if name in test}

    # --- sizes

    def measure(self, train: dict[str, str], masks: dict[str, str], test: dict[str, str]) -> None:
        """Set `shapes`, the sizes of images and masks, and `tile`, the size of the tiles."""
        for name in (*train.values(), *masks.values(), *test.values()):
            if shape := packing.read_or_note(self.files, name, image_files.size, UNUSABLE, self.faults):
                self.shapes[name] = shape
        for image, mask in ((train[name], masks[name]) for name in train if name in masks):
            if {image, mask} <= self.shapes.keys() and self.shapes[image] != self.shapes[mask]:
                sizes = f"{mask} ({_size(self.shapes[mask])}; its image {_size(self.shapes[image])})"
                self.faults.add("masks whose size differs from their image's", [sizes], "Save both with one size.")
        images = [name for name in (*train.values(), *test.values()) if name in self.shapes]
        counts = Counter(self.shapes[name] for name in images)
        self.tile = self.data.tile or max(counts, key=lambda shape: counts[shape], default=(1, 1))
        if self.data.tile is None and len(counts) > 1:
            examples = [f"{_size(shape)} ({count} images)" for shape, count in counts.most_common()]
            remedy = "Set data.tile: larger images are cut into tiles of that size."
            self.faults.add("image sizes, expected one", examples, remedy)
        elif small := [name for name in images if not cutting.places(self.shapes[name], self.tile)]:
            kind = f"images smaller than a tile of {_size(self.tile)} px (the config's data.tile)"
            self.faults.add(
                kind,
                [f"{name} ({_size(self.shapes[name])})" for name in small],
                "Lower data.tile, or remove these images.",
            )

    def places(self, name: str) -> list[cutting.Place]:
        """The tiles of an image; none if the image is faulty."""
        return cutting.places(self.shapes[name], self.tile) if name in self.shapes else []

    def rows(self, names: Iterable[str]) -> dict[str, slice]:
        """The rows of the packed array that hold the tiles of each image, by file."""
        rows, start = {}, 0
        for name in names:
            rows[name] = slice(start, start := start + len(self.places(name)))
        return rows

    def ids(self, images: dict[str, str], depths: Table | None) -> tuple[list[str], list[float]]:
        """Ids and depths of the tiles; every tile cut from an image has the image's depth."""
        ids = [cutting.names(stem, self.places(name)) for stem, name in images.items()]
        z = packing.depths(list(images), depths, self.faults)
        twice = [name for name, count in Counter(name for names in ids for name in names).items() if count > 1]
        self.faults.add("ids of tiles cut from one image that another image also has", twice, "Rename that image.")
        return [name for names in ids for name in names], list(np.repeat(z, [len(names) for names in ids]))

    # --- pixels

    def images(self, images: dict[str, str]) -> Pixels:
        """The tiles of a split, (n, H, W) or (n, H, W, 3) uint8."""
        rows = self.rows(images.values())
        colours = (3,) if self.data.colour == "rgb" else ()
        tiles = self.allocate((sum(part.stop - part.start for part in rows.values()), *self.tile, *colours))
        for done, (name, part) in enumerate(rows.items(), 1):
            if name in self.shapes:
                found = packing.read_or_note(self.files, name, self.image, UNUSABLE, self.faults)
                for row, pixels in enumerate(found or [], part.start):
                    tiles[row] = pixels
            packing.log_progress(done, len(rows))
        return tiles

    def image(self, data: bytes, name: str) -> list[Pixels]:
        """The tiles of one image, uint8. Raises ValueError."""
        pixels = image_files.read(data, name)
        self.types.setdefault(pixels.dtype.name, name)
        pixels = image_files.rgb(pixels) if self.data.colour == "rgb" else image_files.grey(pixels)
        return [image_files.to_bytes(part, self.data.range) for part in cutting.cut(pixels, self.tile)]

    def masks(self, images: dict[str, str], masks: dict[str, str]) -> Pixels:
        """The masks of the training tiles, (n, H, W) in {0, 1}."""
        rows, values = self.rows(images.values()), MaskValues()
        tiles = self.allocate((sum(part.stop - part.start for part in rows.values()), *self.tile))
        paired = {masks[stem]: image for stem, image in images.items() if stem in masks}
        for name, image in paired.items():
            if name not in self.shapes:
                continue
            if found := packing.read_or_note(self.files, name, read_mask, UNUSABLE, self.faults):
                mask, values.of[name] = found
                if self.places(name) == self.places(image):  # else the mask's size is a fault
                    for row, pixels in enumerate(cutting.cut(mask, self.tile), rows[image].start):
                        tiles[row] = pixels
        if (value := values.choose(self.data.mask_value, self.faults)) is not None:
            for name in values.of:
                values.binarize(name, tiles[rows[paired[name]]], value)
        return tiles


def _size(shape: Shape) -> str:
    return " x ".join(map(str, shape))
