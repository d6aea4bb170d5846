"""Pictures of tiles for the report: grey images, probabilities, mosaics, and outlines of masks over them."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd

from salt.data import image_files

Bytes = npt.NDArray[np.uint8]

LARGEST = 1600  # px, the longer side of a mosaic's picture
TINTS = {  # RGB, of salt by where its mask comes from: the labels, the prediction, the jigsaw rule
    "known": (60, 145, 189),
    "final": (235, 134, 66),
    "changed": (255, 225, 77),
}


@dataclass(frozen=True)
class Picture:
    """An image with outlines over it, in the image's pixels.

    image: data URI; outlines: path data of SVG by kind ("true", "predicted"; others of mosaics)
    """

    image: str
    height: int
    width: int
    outlines: dict[str, str]


def evenly(count: int, wanted: int) -> list[int]:
    """`wanted` positions spread evenly over range(count), first and last among them; all where there are fewer."""
    if count <= wanted:
        return list(range(count))
    return [round(step * (count - 1) / (wanted - 1)) for step in range(wanted)]


def picture(pixels: Bytes, **outlines: npt.NDArray) -> Picture:
    """A picture of (H, W) grey or (H, W, 3) RGB pixels with the outlines of masks (H, W), by kind."""
    paths = {kind: outline(mask) for kind, mask in outlines.items()}
    height, width = pixels.shape[:2]
    return Picture(_uri(".png", pixels), height, width, paths)


def probability_map(probabilities: npt.NDArray[np.floating]) -> Bytes:
    """Probabilities (H, W) in 0..1 as RGB colours, in 33 steps: dark blue 0, white 1/2, orange 1."""
    steps = np.round(np.nan_to_num(probabilities.astype(np.float32)) * 32).astype(int)
    return _SCALE[steps]


def outline(mask: npt.NDArray) -> str:
    """The border of a mask (H, W), exactly along its pixels' edges, as path data of an SVG in pixel units.

    Where the mask goes on beyond the image there is no border.
    """
    values = mask.astype(np.int8)
    horizontal = [f"M{start} {row + 1}h{length}" for row, start, length in _runs(np.diff(values, axis=0))]
    vertical = [f"M{row + 1} {start}v{length}" for row, start, length in _runs(np.diff(values, axis=1).T)]
    return "".join(horizontal + vertical)


def _runs(edges: npt.NDArray) -> list[tuple[int, int, int]]:
    """Runs of entries that are not zero, along the rows: row, start, length."""
    steps = np.diff(np.pad(edges != 0, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    rows, starts = np.nonzero(steps == 1)
    _, ends = np.nonzero(steps == -1)
    return list(zip(rows.tolist(), starts.tolist(), (ends - starts).tolist(), strict=True))


def draw_mosaic(
    places: pd.DataFrame, images: Sequence[Bytes], masks: Sequence[npt.NDArray], limit: int = LARGEST
) -> Picture:
    """A mosaic, its salt tinted by where the mask comes from.

    Outlines are of the salt ("salt"), of the tiles with a known mask ("labelled"), of those whose mask the jigsaw
    rule made ("changed") and of the places without a tile ("gap").
    places: row, column, kind (of TINTS) of n tiles; images: n of (H, W) or (H, W, 3) uint8; masks: n of (H, W) in
    {0, 1}; limit: the longest side of a tile in the picture, px
    """
    rows, columns = places["row"].max() + 1, places["column"].max() + 1
    height, width = _fitted(images[0].shape[:2], rows, columns, limit)
    canvas = np.zeros((rows * height, columns * width, 3), np.uint8)
    salt = np.zeros(canvas.shape[:2], np.uint8)
    taken = list(zip(places["row"].tolist(), places["column"].tolist(), strict=True))
    for (row, column), kind, image, mask in zip(taken, places["kind"], images, masks, strict=True):
        place = np.s_[row * height : (row + 1) * height, column * width : (column + 1) * width]
        shown = cv2.resize(np.ascontiguousarray(image_files.rgb(image)), (width, height), interpolation=cv2.INTER_AREA)
        salt[place] = cv2.resize(mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
        tinted = 0.65 * shown + 0.35 * np.array(TINTS[kind])
        canvas[place] = np.where(salt[place][..., None] == 1, tinted.round(), shown)
    gaps = {(row, column) for row in range(rows) for column in range(columns)} - set(taken)
    of_kind = {kind: [taken[row] for row in np.flatnonzero(places["kind"] == kind)] for kind in TINTS}
    outlines = {
        "gap": _boxes(sorted(gaps), height, width),
        "labelled": _boxes(of_kind["known"], height, width),
        "salt": outline(salt),
        "changed": _boxes(of_kind["changed"], height, width),
    }
    return Picture(_uri(".jpg", canvas), rows * height, columns * width, outlines)


def _fitted(tile: tuple[int, ...], rows: int, columns: int, limit: int) -> tuple[int, int]:
    """Height and width of a tile in the picture of a mosaic, px, at least 1."""
    height, width = tile
    shrink = min(1, limit / max(tile), LARGEST / (rows * height), LARGEST / (columns * width))
    return max(1, int(round(height * shrink, 6))), max(1, int(round(width * shrink, 6)))  # 39.99... is 40


def _boxes(places: Sequence[tuple[int, int]], height: int, width: int) -> str:
    return "".join(f"M{column * width} {row * height}h{width}v{height}h-{width}z" for row, column in places)


def _uri(kind: str, pixels: Bytes) -> str:
    options = [cv2.IMWRITE_JPEG_QUALITY, 82] if kind == ".jpg" else [cv2.IMWRITE_PNG_COMPRESSION, 9]
    blue_first = pixels[..., ::-1] if pixels.ndim == 3 else pixels  # as OpenCV wants it
    _, data = cv2.imencode(kind, np.ascontiguousarray(blue_first), options)
    mime = "image/jpeg" if kind == ".jpg" else "image/png"
    return f"data:{mime};base64,{base64.b64encode(data.tobytes()).decode()}"


def _scale() -> Bytes:
    """33 colours, RGB, from dark blue over white to orange."""
    stops = np.array([[22, 52, 92], [100, 150, 190], [245, 245, 245], [240, 160, 90], [196, 84, 10]])
    at = np.linspace(0, len(stops) - 1, 33)
    return np.stack([np.interp(at, range(len(stops)), stops[:, c]) for c in range(3)], -1).round().astype(np.uint8)


_SCALE = _scale()
