"""The images to predict with a trained run: the files of a folder, or one file."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from salt.data import image_files
from salt.data.image_files import Pixels
from salt.inference.sliding_window import SlidingWindow
from salt.intake import segy
from salt.intake.faults import AGAIN, DAMAGED, Faults
from salt.intake.ids import FORMULA
from salt.runtime.progress import say
from schemas.data import Range
from schemas.errors import UserError
from schemas.results import PredictImagesSettings
from schemas.words import first_of

SUFFIXES = (*image_files.SUFFIXES, *segy.SUFFIXES)
SHOWN = 5


@dataclass(frozen=True)
class Image:
    """An image to predict.

    name: of its output files, without suffix
    read: returns its pixels, (H, W) or (H, W, 3), uint8, uint16 or float32
    windows: the parts that a network sees; values: the range that becomes 0..255 in each window
    """

    name: str
    read: Callable[[], Pixels]
    windows: SlidingWindow
    values: Range

    def window(self, pixels: Pixels, number: int) -> npt.NDArray[np.uint8]:
        """One window of the image's pixels as a tile, (h, w) or (h, w, 3) uint8."""
        return image_files.to_bytes(self.windows.window(pixels, number), self.values)


def find_images(path: Path) -> list[Path]:
    """The images directly in a folder, sorted, or the one file. Raises UserError if there are none."""
    if not path.exists():
        raise UserError(
            f"To predict, expected a folder of images or an image at {path}, found nothing there. Correct the path."
        )
    if not (found := [file for file in _files(path) if _is_image(file)]):
        others = [file.name for file in (sorted(path.iterdir()) if path.is_dir() else [path])]
        raise UserError(
            f"To predict, expected images at {path} ({' '.join(SUFFIXES)}), found none: "
            f"{first_of(others, SHOWN) or 'the folder is empty'}. Put images there or correct the path."
        )
    return found


def open_images(settings: PredictImagesSettings) -> list[Image]:
    """The images of a prediction, each read once as a check. Raises UserError that lists every fault."""
    path, faults = Path(settings.images), Faults()
    if skipped := [file.name for file in _files(path) if not _is_image(file)]:
        say(f"skipped {len(skipped)} files that are not images: {first_of(skipped, SHOWN)}")
    images = list(_Reader(settings, faults).images(find_images(path)))
    names = Counter(image.name for image in images)
    twice = [name for name, count in names.items() if count > 1]
    faults.add(
        "names that several images share", twice, "The output of one would replace the other's: rename the files."
    )
    bad = [repr(name) for name in names if name.startswith(FORMULA) or not name.isprintable()]
    faults.add("names that begin with = + - or @, or contain unprintable characters", bad, "Rename these files.")
    faults.raise_if_any(f"The images in {path} cannot be predicted")
    return images


def _files(path: Path) -> list[Path]:
    """The files of a folder that are not hidden, or the one file."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    return [file for file in files if file.is_file() and not file.name.startswith(".")]


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES


class _Reader:
    """Reads the files once, and notes the fault of each that cannot be used."""

    def __init__(self, settings: PredictImagesSettings, faults: Faults) -> None:
        self.settings, self.faults = settings, faults
        self.convert = image_files.grey if settings.colour == "grey" else image_files.rgb

    def images(self, files: Sequence[Path]) -> Iterator[Image]:
        """Yield the images without a fault."""
        for file in files:
            try:
                for name, read in self.parts(file):
                    yield self.image(name, read)
            except ValueError as error:
                self.faults.add("images that cannot be used", [f"{file.name} ({error})"], AGAIN)
            except OSError as error:
                self.faults.add(DAMAGED, [f"{file.name} ({error.strerror})"], AGAIN)

    def parts(self, file: Path) -> Iterator[tuple[str, Callable[[], Pixels]]]:
        """Yield the name of each image in a file, and a function that reads it."""
        if file.suffix.lower() in segy.SUFFIXES:
            yield from ((name, partial(self.read_traces, file, traces)) for name, traces in segy.images(file).items())
        else:
            yield file.stem, partial(self.read_image, file)

    def read_image(self, file: Path) -> Pixels:
        return self.convert(image_files.read(file.read_bytes(), file.name))

    def read_traces(self, file: Path, traces: segy.Traces) -> Pixels:
        return self.convert(segy.read(file, traces))

    def image(self, name: str, read: Callable[[], Pixels]) -> Image:
        settings, pixels = self.settings, read()
        windows = SlidingWindow((pixels.shape[0], pixels.shape[1]), settings.tile, settings.windows.overlap)
        no_range = settings.range == "type" and pixels.dtype == np.float32
        values = settings.windows.range or settings.range if windows.is_cut or no_range else settings.range
        if values == "type" and pixels.dtype == np.float32:
            raise ValueError(
                f"floats from {pixels.min():g} to {pixels.max():g}, which have no range of their own; set "
                "`windows.range` to tile or [low, high] in the config"
            )
        return Image(name, read, windows, values)
