"""Read image files as arrays: PNG, JPEG, TIFF, BMP and NPY. Every fault is a ValueError that says what the file holds.

Headers are checked before pixels are decoded: a file of a few bytes can claim more pixels than fit in memory.
"""

import io
import math
import struct
import tokenize
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePath

import cv2
import numpy as np
import numpy.typing as npt
from PIL import BmpImagePlugin, Image, ImageFile, JpegImagePlugin, PngImagePlugin, TiffImagePlugin

from schemas.data import Range

Pixels = npt.NDArray  # (H, W) grey or (H, W, 3) red, green, blue; uint8, uint16 or float32

MAX_PIXELS = 2**29  # enough for a seismic section of 5,000 x 100,000 px
MAX_EXACT = 2**24  # float32 holds every integer up to here
ORIENTATION = 0x0112  # Exif tag; 1 is upright
LUMINANCE = (0.299, 0.587, 0.114)  # of red, green and blue: ITU-R BT.601

cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # faults report damaged files


@dataclass(frozen=True)
class Kind:
    """A format of image files: its name, first bytes, suffixes and header reader."""

    name: str
    signatures: tuple[bytes, ...]
    suffixes: tuple[str, ...]
    header: Callable[[io.BytesIO], ImageFile.ImageFile] | None = None


JPEG = b"\xff\xd8\xff"  # first bytes of its files
NPY = Kind("NPY", (b"\x93NUMPY",), (".npy",))
KINDS = (
    Kind("PNG", (b"\x89PNG\r\n\x1a\n",), (".png",), PngImagePlugin.PngImageFile),
    Kind("JPEG", (JPEG,), (".jpg", ".jpeg"), JpegImagePlugin.JpegImageFile),
    Kind("TIFF", (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), (".tif", ".tiff"), TiffImagePlugin.TiffImageFile),
    Kind("BMP", (b"BM",), (".bmp",), BmpImagePlugin.BmpImageFile),
    NPY,
)
SUFFIXES = tuple(suffix for kind in KINDS for suffix in kind.suffixes)


def read(data: bytes, name: str) -> Pixels:
    """An image file -> (H, W) grey or (H, W, 3) red, green, blue; uint8, uint16 or float32, as stored.

    Booleans become 0 and 1 in uint8; signed and wider integers, and doubles, become float32. An opaque alpha channel
    is dropped. The suffix of `name`, the file's name, must match its content. Raises ValueError.
    """
    kind = _kind(data, name)
    return _numbers(_shape(_load(data) if kind is NPY else _decode(data, kind)))


def size(data: bytes, name: str) -> tuple[int, int]:
    """Height and width of an image file, px, from its header alone. Raises ValueError as `read` does."""
    kind = _kind(data, name)
    height, width = _npy_header(data)[0][:2] if kind is NPY else _check_header(data, kind).size[::-1]
    return height, width


def to_bytes(pixels: Pixels, values: Range) -> npt.NDArray[np.uint8]:
    """Pixels of any type -> uint8 of the same shape; `values` says what becomes 0 and 255 (the config's data.range).

    `type`: the limits of the data type. `tile`: the minimum and maximum of these pixels; equal ones give 0.
    (low, high): these, other values are clipped. Raises ValueError for floats and `type`: their limits are no range.
    """
    if values == "type" and pixels.dtype == np.uint8:
        return pixels
    if values == "type" and pixels.dtype == np.float32:
        raise ValueError(
            f"floats from {pixels.min():g} to {pixels.max():g}, whose type has no range; "
            "add `range: [low, high]` or `range: tile` to the config's `data`"
        )
    if values == "type":
        low, high = 0.0, float(np.iinfo(pixels.dtype).max)
    elif values == "tile":
        low, high = float(pixels.min()), float(pixels.max())
    else:
        low, high = values
    span = high - low or 1.0
    return np.rint(np.clip((pixels.astype(np.float64) - low) / span, 0, 1) * 255).astype(np.uint8)


def has_colour(pixels: Pixels) -> bool:
    """Whether red, green and blue differ in any pixel."""
    return pixels.ndim == 3 and bool((pixels != pixels[..., :1]).any())


def grey(pixels: Pixels) -> Pixels:
    """(H, W) or (H, W, 3) -> (H, W) of the same type: equal colours unchanged, others as luminance."""
    if pixels.ndim == 2:
        return pixels
    if not has_colour(pixels):
        return pixels[..., 0]
    luminance = pixels.astype(np.float64) @ LUMINANCE
    return (luminance if pixels.dtype == np.float32 else np.rint(luminance)).astype(pixels.dtype)


def rgb(pixels: Pixels) -> Pixels:
    """(H, W) or (H, W, 3) -> (H, W, 3)."""
    return np.repeat(pixels[..., None], 3, axis=2) if pixels.ndim == 2 else pixels


# --- headers and decoding


def _kind(data: bytes, name: str) -> Kind:
    suffix = PurePath(name).suffix.lower()
    kind = next((kind for kind in KINDS if data.startswith(kind.signatures)), None)
    if kind is None:
        expected = next((kind.name for kind in KINDS if suffix in kind.suffixes), "an image")
        raise ValueError(f"content is not {expected}")
    if suffix not in kind.suffixes:
        raise ValueError(f"a {kind.name}, named {suffix or 'without suffix'}")
    return kind


def _decode(data: bytes, kind: Kind) -> npt.NDArray:
    """Pixels of an image file, (H, W) or (H, W, 3 or 4), colours in the order red, green, blue, alpha."""
    header = _check_header(data, kind)
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        pixels = None
    if pixels is None or pixels.shape[:2] != (header.height, header.width):
        raise ValueError(f"damaged {kind.name}")
    transparent = header.mode.endswith(("A", "a")) or "transparency" in header.info
    if transparent and pixels.shape[2:] != (4,):
        raise ValueError("with transparency, expected none")
    return pixels[..., [2, 1, 0, 3][: pixels.shape[2]]] if pixels.ndim == 3 else pixels


def _check_header(data: bytes, kind: Kind) -> ImageFile.ImageFile:
    """The header, as an image that is not decoded. Raises ValueError for images that cannot be tiles."""
    assert kind.header is not None  # noqa: S101 - only NPY has none
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of odd metadata
            header = kind.header(io.BytesIO(data))
            pages = getattr(header, "n_frames", 1)
            orientation = Image.Image.getexif(header).get(ORIENTATION, 1)  # PngImageFile's own getexif decodes pixels
    except (OSError, SyntaxError, ValueError, TypeError, LookupError, EOFError, OverflowError, struct.error) as error:
        raise ValueError(f"damaged or unusual {kind.name}") from error
    _check_size(header.height, header.width)
    if pages != 1:
        raise ValueError(f"{pages} pages, expected one")
    if header.mode in ("CMYK", "LAB", "YCbCr", "HSV"):
        raise ValueError(f"in {header.mode}, expected grey or RGB")
    if orientation not in (0, 1):
        raise ValueError(f"rotated or mirrored by its Exif orientation, {orientation}; save it upright")
    return header


def _load(data: bytes) -> npt.NDArray:
    """The array of an NPY file."""
    _npy_header(data)
    try:
        return np.load(io.BytesIO(data), allow_pickle=False)
    except (OSError, EOFError, ValueError) as error:
        raise ValueError("damaged NPY") from error


def _npy_header(data: bytes) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and type, in the versions for arrays of numbers. Raises ValueError for arrays that cannot be tiles."""
    file = io.BytesIO(data)
    headers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    try:
        shape, _, kind = headers[np.lib.format.read_magic(file)](file)
    except (ValueError, KeyError, SyntaxError, TypeError, MemoryError, RecursionError, tokenize.TokenError) as error:
        raise ValueError("damaged NPY") from error
    if kind.kind not in "buif":
        raise ValueError(f"an NPY of {'objects' if kind.hasobject else kind}, expected numbers")
    if len(shape) not in (2, 3):
        raise ValueError(f"shape {shape}, expected (height, width) or (height, width, 3)")
    _check_size(*shape)
    return shape, kind


def _check_size(*shape: int) -> None:
    if min(shape) < 1 or math.prod(shape[:2]) > MAX_PIXELS or math.prod(shape[2:]) > 4:
        size = " x ".join(map(str, shape))
        raise ValueError(f"size {size}, expected 1 to {MAX_PIXELS} px and at most 4 channels")


# --- channels and types


def _shape(pixels: npt.NDArray) -> npt.NDArray:
    """(H, W), (H, W, 1, 3 or 4) -> (H, W) or (H, W, 3)."""
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    if channels not in (1, 3, 4):
        raise ValueError(f"shape {pixels.shape}, expected (height, width) or (height, width, 3)")
    if channels == 4:
        whole = np.iinfo(pixels.dtype).max if pixels.dtype.kind == "u" else 1
        if (pixels[..., 3] != whole).any():
            raise ValueError("with transparency, expected none")
    return pixels.reshape(pixels.shape[:2]) if channels == 1 else pixels[..., :3]


def _numbers(pixels: npt.NDArray) -> Pixels:
    """Numbers of any type -> uint8 and uint16 unchanged, others as float32 if it holds them. Raises ValueError."""
    kind = pixels.dtype
    if kind.kind == "b" or (kind.kind == "u" and kind.itemsize <= 2):
        return np.ascontiguousarray(pixels, np.uint16 if kind.itemsize == 2 else np.uint8)
    if kind.kind not in "iuf":
        raise ValueError(f"type {kind}, expected numbers")
    if kind.kind in "iu" and (pixels.min() < -MAX_EXACT or pixels.max() > MAX_EXACT):
        raise ValueError(f"integers up to {max(-int(pixels.min()), int(pixels.max()))}, expected at most {MAX_EXACT}")
    with np.errstate(over="ignore"):
        numbers = np.ascontiguousarray(pixels, np.float32)
    if unknown := np.count_nonzero(~np.isfinite(numbers)):
        raise ValueError(f"{unknown} pixels that are not numbers (NaN, infinite)")
    return numbers
