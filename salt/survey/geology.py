"""The geology of a synthetic seismic section: sea floor, salt bodies, and layers that bend around them.

Lengths are in pixels. Those that describe a body are given in tiles, because a network sees one tile at a time.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import distance_transform_edt, gaussian_filter, gaussian_filter1d

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Geology:
    """The geology of a section.

    salt: (H, W) uint8, 1 = salt, as an interpreter draws it
    visible: (H, W) uint8, 1 = salt as the waves image it: a drawn flank is straighter than the real one
    water: (W,) float, depth of the sea floor
    age: (H, W) float32, depth below the sea floor before any movement; a layer is a line of equal age
    """

    salt: npt.NDArray[np.uint8]
    visible: npt.NDArray[np.uint8]
    water: Floats
    age: Floats


def smooth_line(rng: np.random.Generator, length: int, scale: float) -> Floats:
    """A random line (length,) of mean 0 and standard deviation 1 that turns about every `scale` px."""
    pad = int(3 * scale) + 1
    line = gaussian_filter1d(rng.standard_normal(length + 2 * pad), scale)[pad:-pad]
    # Divides by the standard deviation of white noise after a Gaussian filter; short lines may keep a trend.
    return (line * np.sqrt(2 * np.sqrt(np.pi) * scale)).astype(np.float32)


def smooth_field(rng: np.random.Generator, shape: tuple[int, int], scale: tuple[float, float]) -> Floats:
    """A random field of mean 0 and standard deviation about 1, with features of `scale` (down, across) px."""
    step = [max(1.0, each / 2) for each in scale]  # drawn on a coarse grid: wide filters are slow
    coarse = [int(np.ceil(size / each)) + 2 for size, each in zip(shape, step, strict=True)]
    sigma = [each / one for each, one in zip(scale, step, strict=True)]
    field = gaussian_filter(rng.standard_normal(coarse, dtype=np.float32), sigma, mode="reflect")
    return enlarge(field / (field.std() + 1e-6), shape)


def enlarge(field: Floats, shape: tuple[int, int]) -> Floats:
    """`field` resized to `shape` by linear interpolation; an order of magnitude faster than scipy's zoom."""
    for axis, size in enumerate(shape):
        place = np.linspace(0, field.shape[axis] - 1, size, dtype=np.float32)
        before = np.minimum(place.astype(int), max(field.shape[axis] - 2, 0))
        after = np.minimum(before + 1, field.shape[axis] - 1)
        share = np.expand_dims(place - before.astype(np.float32), 1 - axis)
        field = field.take(before, axis) * (1 - share) + field.take(after, axis) * share
    return field


def make_geology(
    rng: np.random.Generator,
    shape: tuple[int, int],
    tile: int,
    *,
    water: float,
    folding: float,
    straight: bool,
) -> Geology:
    """Draw the geology of a section of `shape` px.

    water: mean depth of the sea floor, tiles
    folding: height of the folds, tiles
    straight: whether flanks are exactly vertical below some depth, as if an interpreter extended a line downwards
    """
    width = shape[1]
    slope = rng.uniform(-0.08, 0.08) * np.linspace(-1, 1, width) * width / tile
    sea_floor = tile * (water + slope + 0.04 * smooth_line(rng, width, 0.8 * tile))
    sea_floor = np.maximum(sea_floor, 0.06 * tile).astype(np.float32)
    salt = _draw_salt(rng, shape, tile, sea_floor)
    visible = salt
    if straight:
        start = min(int(rng.uniform(1.8, 2.8) * tile), shape[0] - 1)
        salt[start:] = salt[start]
        visible = _wander(rng, salt, start, tile)
    age = _draw_age(rng, visible, tile, sea_floor, folding)
    return Geology(salt, visible, sea_floor, age)


def _draw_salt(rng: np.random.Generator, shape: tuple[int, int], tile: int, sea_floor: Floats) -> npt.NDArray[np.uint8]:
    """Salt bodies side by side with one common roughness of their tops; (H, W) uint8."""
    salt = np.zeros(shape, bool)
    ragged = tile * 0.02 * smooth_line(rng, shape[1], 0.03 * tile) * rng.uniform(0.3, 1.5)
    x = rng.uniform(-0.6, 0.8) * tile
    while x < shape[1]:
        narrow, medium, wide = rng.uniform(0.1, 0.6), rng.uniform(0.5, 1.2), rng.uniform(1.2, 2.4)
        width = tile * rng.choice([narrow, medium, wide], p=(0.45, 0.35, 0.2))
        top = float(sea_floor[int(np.clip(x + width / 2, 0, shape[1] - 1))]) + tile * rng.uniform(0.1, 1.3)
        salt |= _stock(rng, shape, tile, (x, x + width), top, ragged)
        x += width + tile * rng.uniform(0.2, 1.0)
    return salt.astype(np.uint8)


def _stock(
    rng: np.random.Generator,
    shape: tuple[int, int],
    tile: int,
    sides: tuple[float, float],
    top: float,
    ragged: npt.NDArray[np.floating],
) -> npt.NDArray[np.bool_]:
    """One body between `sides` (px), below `top`: a round crest on uneven flanks; some have a base."""
    height, width = shape
    depth = (np.arange(height) - top) / tile
    crest = np.sqrt(1 - (1 - np.clip(depth / rng.uniform(0.2, 1.2), 0, 1)) ** 2)
    if rng.random() < 0.45:  # detached from its root: a sheet or a teardrop
        end = rng.uniform(0.5, 3.0)
        crest = crest * np.sqrt(np.clip((end - depth) / (0.6 * end), 0, 1))
    centre = (sides[0] + sides[1]) / 2 + tile * rng.uniform(-0.25, 0.25) * np.maximum(depth, 0)
    half = (sides[1] - sides[0]) / 2 * crest
    spread = tile * np.maximum(depth, 0) * (crest > 0)
    left = centre - half - spread * rng.uniform(-0.1, 0.15) + _flank(rng, height, tile)
    right = centre + half + spread * rng.uniform(-0.1, 0.15) + _flank(rng, height, tile)
    closed = crest <= 0
    left[closed], right[closed] = np.inf, -np.inf
    rows = np.clip(np.arange(height)[:, None] + ragged[None, :], 0, height - 1).astype(int)
    columns = np.arange(width)[None, :]
    return (columns >= left[rows]) & (columns < right[rows])


def _flank(rng: np.random.Generator, height: int, tile: int) -> Floats:
    """Lateral displacement of a flank, px (height,): bulges of a tile's size and fine roughness."""
    return tile * (0.10 * smooth_line(rng, height, 0.5 * tile) + 0.02 * smooth_line(rng, height, 0.08 * tile))


def _wander(rng: np.random.Generator, salt: npt.NDArray[np.uint8], start: int, tile: int) -> npt.NDArray[np.uint8]:
    """The salt with its straight flanks, below row `start`, displaced by a few pixels; (H, W) uint8."""
    height, width = salt.shape
    shift = 0.025 * smooth_line(rng, height, 0.4 * tile) + 0.012 * smooth_line(rng, height, 0.05 * tile)
    shift *= tile * np.clip((np.arange(height) - start) / tile, 0, 1)
    columns = np.clip(np.arange(width)[None, :] + np.rint(shift)[:, None].astype(int), 0, width - 1)
    return np.take_along_axis(salt, columns, axis=1)


def _draw_age(
    rng: np.random.Generator, salt: npt.NDArray[np.uint8], tile: int, sea_floor: Floats, folding: float
) -> Floats:
    """The age field (H, W): parallel to the sea floor, then folded, dragged up along salt, tilted, faulted."""
    height, width = salt.shape
    below = np.arange(height, dtype=np.float32)[:, None] - sea_floor[None, :]
    growth = np.clip(below / (2.5 * tile), 0, 2)  # older layers took part in more of every movement
    age = below + growth * tile * folding * smooth_line(rng, width, rng.uniform(0.5, 1.1) * tile)[None, :]
    coarse = distance_transform_edt(1 - salt[::2, ::2]).astype(
        np.float32
    )  # half the resolution suffices: the field is smooth
    distance = 2 * enlarge(gaussian_filter(coarse, 0.025 * tile), (height, width))
    reach = rng.uniform(0.35, 0.8) * tile
    age += growth * reach * rng.uniform(0.8, 2.4) * np.exp(-distance / reach)
    unconformity = tile * (rng.uniform(0.4, 2.5) + 0.1 * smooth_line(rng, width, tile))[None, :]
    tilt = rng.uniform(-0.35, 0.35) * (np.arange(width)[None, :] - rng.uniform(0, width))
    age += np.where(age > unconformity, tilt, 0)
    for _ in range(rng.integers(2, 4 + width // tile)):
        age += _fault(rng, (height, width), tile)
    return age.astype(np.float32)


def _fault(rng: np.random.Generator, shape: tuple[int, int], tile: int) -> Floats:
    """The change of age (H, W) by a normal fault: its throw on one side, decaying towards its ends and away."""
    y, x = np.arange(shape[0])[:, None], np.arange(shape[1])[None, :]
    middle, length = rng.uniform(0.3, 0.9) * shape[0], rng.uniform(0.4, 2.0) * tile
    lean = rng.choice([-1, 1]) * rng.uniform(0.2, 0.7)
    side = (x - rng.uniform(0, shape[1]) - lean * (y - middle)) * np.sign(lean)
    throw = tile * rng.uniform(0.04, 0.2) * np.clip(1 - ((y - middle) / length) ** 2, 0, 1)
    return np.where(side > 0, -throw * np.exp(-side / (1.5 * tile)), 0).astype(np.float32)
