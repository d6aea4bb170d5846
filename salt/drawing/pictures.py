"""Pictures for the report: tiles, maps of probabilities and mosaics, with outlines of masks."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd

from salt.data import image_files

Bytes = npt.NDArray[np.uint8]

LARGEST = 1600  # px, the longest side of a mosaic's picture
TINTS = {  # RGB, for salt by the source of its mask: the labels, the prediction, the jigsaw rule
    "known": (60, 145, 189),
    "final": (235, 134, 66),
    "changed": (255, 225, 77),
}


@dataclass(frozen=True)
class Picture:
    """An image with outlines over it. Height, width and outlines are in pixels of the image.

    image: data URI; outlines: SVG path data by kind ("true", "predicted"; other kinds for mosaics)
    """

    image: str
    height: int
    width: int
    outlines: dict[str, str]


def evenly_spaced(count: int, wanted: int) -> list[int]:
    """`wanted` evenly spaced positions in range(count), with the first and the last; all if there are not more."""
    if count <= wanted:
        return list(range(count))
    return [round(step * (count - 1) / (wanted - 1)) for step in range(wanted)]


def picture(pixels: Bytes, **outlines: npt.NDArray) -> Picture:
    """A picture of grey (H, W) or RGB (H, W, 3) pixels; outlines: masks (H, W) by kind."""
    paths = {kind: outline(mask) for kind, mask in outlines.items()}
    height, width = pixels.shape[:2]
    return Picture(_uri(".png", pixels), height, width, paths)


def probability_map(probabilities: npt.NDArray[np.floating]) -> Bytes:
    """Probabilities (H, W) in 0..1 as RGB colours, in 33 steps: dark blue 0, white 1/2, orange 1."""
    steps = np.round(np.nan_to_num(probabilities.astype(np.float32)) * 32).astype(int)
    return _COLOURS[steps]


def outline(mask: npt.NDArray) -> str:
    """The border of a mask (H, W) along the edges of its pixels, as SVG path data in pixel units.

    No border is drawn along the edge of the image.
    """
    values = mask.astype(np.int8)
    horizontal = [f"M{start} {row + 1}h{length}" for row, start, length in _runs(np.diff(values, axis=0))]
    vertical = [f"M{row + 1} {start}v{length}" for row, start, length in _runs(np.diff(values, axis=1).T)]
    return "".join(horizontal + vertical)


def _runs(edges: npt.NDArray) -> list[tuple[int, int, int]]:
    """Runs of nonzero entries in each row: row, start, length."""
    steps = np.diff(np.pad(edges != 0, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    rows, starts = np.nonzero(steps == 1)
    _, ends = np.nonzero(steps == -1)
    return list(zip(rows.tolist(), starts.tolist(), (ends - starts).tolist(), strict=True))


def draw_mosaic(
    places: pd.DataFrame, images: Sequence[Bytes], masks: Sequence[npt.NDArray], limit: int = LARGEST
) -> Picture:
    """A picture of a mosaic, with salt tinted by the source of its mask.

    Outlines: "salt"; "labelled", the tiles with a known mask; "changed", the tiles whose mask the jigsaw rule made;
    "gap", the places without a tile.
    places: row, column and kind (a key of TINTS) of n tiles; images: n of (H, W) or (H, W, 3) uint8; masks: n of
    (H, W) in {0, 1}; limit: the longest side of a tile in the picture, px
    """
    rows, columns = places["row"].max() + 1, places["column"].max() + 1
    height, width = _shown_tile_size(images[0].shape[:2], rows, columns, limit)
    canvas = np.zeros((rows * height, columns * width, 3), np.uint8)
    canvas_mask = np.zeros(canvas.shape[:2], np.uint8)
    taken = list(zip(places["row"].tolist(), places["column"].tolist(), strict=True))
    for (row, column), kind, image, mask in zip(taken, places["kind"], images, masks, strict=True):
        place = np.s_[row * height : (row + 1) * height, column * width : (column + 1) * width]
        shown = cv2.resize(np.ascontiguousarray(image_files.rgb(image)), (width, height), interpolation=cv2.INTER_AREA)
        canvas_mask[place] = cv2.resize(mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
        tinted = 0.65 * shown + 0.35 * np.array(TINTS[kind])
        canvas[place] = np.where(canvas_mask[place][..., None] == 1, tinted.round(), shown)
    gaps = {(row, column) for row in range(rows) for column in range(columns)} - set(taken)
    of_kind = {kind: [taken[row] for row in np.flatnonzero(places["kind"] == kind)] for kind in TINTS}
    outlines = {
        "gap": _boxes(sorted(gaps), height, width),
        "labelled": _boxes(of_kind["known"], height, width),
        "salt": outline(canvas_mask),
        "changed": _boxes(of_kind["changed"], height, width),
    }
    return Picture(_uri(".jpg", canvas), rows * height, columns * width, outlines)


def _shown_tile_size(tile: tuple[int, ...], rows: int, columns: int, limit: int) -> tuple[int, int]:
    """Height and width of a tile in the picture of a mosaic, px, at least 1."""
    height, width = tile
    shrink = min(1, limit / max(tile), LARGEST / (rows * height), LARGEST / (columns * width))
    return max(1, int(round(height * shrink, 6))), max(1, int(round(width * shrink, 6)))  # 39.99... is 40


def _boxes(places: Sequence[tuple[int, int]], height: int, width: int) -> str:
    return "".join(f"M{column * width} {row * height}h{width}v{height}h-{width}z" for row, column in places)


def _uri(kind: str, pixels: Bytes) -> str:
    options = [cv2.IMWRITE_JPEG_QUALITY, 82] if kind == ".jpg" else [cv2.IMWRITE_PNG_COMPRESSION, 9]
    blue_first = pixels[..., ::-1] if pixels.ndim == 3 else pixels  # OpenCV's order
    _, data = cv2.imencode(kind, np.ascontiguousarray(blue_first), options)
    mime = "image/jpeg" if kind == ".jpg" else "image/png"
    return f"data:{mime};base64,{base64.b64encode(data.tobytes()).decode()}"


def _colour_scale() -> Bytes:
    """33 RGB colours, from dark blue over white to orange."""
    stops = np.array([[22, 52, 92], [100, 150, 190], [245, 245, 245], [240, 160, 90], [196, 84, 10]])
    at = np.linspace(0, len(stops) - 1, 33)
    return np.stack([np.interp(at, range(len(stops)), stops[:, c]) for c in range(3)], -1).round().astype(np.uint8)


_COLOURS = _colour_scale()
