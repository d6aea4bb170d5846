"""From rocks to a seismic section: reflectivity, wavelet, noise and gain.

The section is a migrated one: each reflector carries a wavelet across itself, whatever its dip.
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter, gaussian_filter1d, gaussian_laplace, map_coordinates

from salt.geology import Floats, Geology, smooth_field, smooth_line


@dataclass(frozen=True)
class Acquisition:
    """How the waves of one section look.

    wavelength: of the wavelet at the top and at the bottom of the section, px
    noise: its standard deviation at the bottom, share of the sediments'
    clarity: strength of the salt's own reflections, in standard deviations of the sediments'
    gain: 0 leaves the amplitudes as they are, 1 makes them equal everywhere
    """

    wavelength: tuple[float, float]
    noise: float
    clarity: float
    gain: float


def image(rng: np.random.Generator, rocks: Geology, waves: Acquisition, tile: int) -> Floats:
    """The seismic section (H, W) float32 of `rocks`; exactly 0 in the water."""
    reflectivity = _reflectivity(rng, rocks, waves, tile)
    reflectivity += _noise(rng, rocks, waves, tile)
    section = _wavelet(rng, reflectivity, waves, tile)
    level = np.sqrt(gaussian_filter(section**2, 0.5 * tile)) + 1e-3
    section /= level**waves.gain
    below = np.arange(section.shape[0])[:, None] - rocks.water[None, :]
    return section * np.clip(below / 2 + 2, 0, 1)  # the wavelet's forerunner is muted


def _reflectivity(rng: np.random.Generator, rocks: Geology, waves: Acquisition, tile: int) -> Floats:
    """Reflection coefficients (H, W), in standard deviations of the sediments'."""
    height, width = rocks.salt.shape
    salt = gaussian_filter(rocks.visible.astype(np.float32), 0.7)
    below = np.arange(height)[:, None] - rocks.water[None, :]
    oldest = int(rocks.age.max()) + 2
    layers = _layers(rng, oldest, width, tile)
    warp = smooth_field(rng, (height, width), (0.06 * tile, 0.12 * tile))
    warp *= np.clip(smooth_field(rng, (height, width), (0.5 * tile, 1.5 * tile)) - 0.7, 0, 2) * 0.06 * tile
    columns = np.broadcast_to(np.arange(width, dtype=np.float32), (height, width))
    sediments = map_coordinates(layers, [2 * (rocks.age + warp), columns], order=1, mode="nearest")
    dip = np.gradient(rocks.age, axis=1)
    sediments *= (1 + dip**2) ** -0.25 * (below > 0)  # steep layers are imaged less well
    inside = 0.35 * smooth_field(rng, (height, width), (2.0, 5.0)) * rng.uniform(0.3, 1.0)
    total = sediments * (1 - salt) + inside * salt
    total += waves.clarity * _salt_faces(rng, salt, tile)
    total += 7.0 * np.exp(-(((below - 0.5) / 0.7) ** 2))  # the sea floor
    return total.astype(np.float32)


def _salt_faces(rng: np.random.Generator, salt: Floats, tile: int) -> Floats:
    """Reflection coefficients (H, W) of the salt's faces: its top is hard, its base soft, its flanks either.

    Reflectivity is half the change of log impedance, here the gradient of the smoothed mask.
    """
    down, across = np.gradient(salt)
    strength = np.exp(0.6 * smooth_field(rng, salt.shape, (0.4 * tile, 0.4 * tile)))
    sign = smooth_field(rng, salt.shape, (tile, tile))
    fade = np.linspace(1.2, 0.6, len(salt))[:, None]
    return 2.5 * fade * strength * (down + 0.6 * np.clip(sign, -1, 1) * np.abs(across))


def _layers(rng: np.random.Generator, oldest: int, width: int, tile: int) -> Floats:
    """Reflectivity by age and place, (2 x oldest, W), two samples a px of age.

    Sequences of beds follow each other, each with its own strength and thickness of beds. Reflection coefficients
    have heavier tails than a Gaussian (Walden and Hosken 1986): Laplace here.
    """
    count = 2 * oldest
    series, strength = np.zeros(count), np.ones(count)
    start = 0
    while start < count:
        stop = start + int(2 * tile * rng.uniform(0.15, 0.8))
        density = rng.uniform(0.1, 0.8)
        beds = rng.laplace(size=count) * (rng.random(count) < density) / np.sqrt(density)
        series[start:stop] = beds[start:stop]
        strength[start:stop] = np.exp(rng.normal(0, 0.6))
        start = stop
    lateral = smooth_field(rng, (count, width), (3.0, 0.7 * tile))
    lateral = np.exp(0.5 * lateral + 0.3 * smooth_field(rng, (count, width), (30.0, 0.5 * tile)))
    layers = (series * gaussian_filter1d(strength, 4))[:, None] * lateral
    layers = gaussian_filter1d(layers, 1.5, axis=0)
    return (layers / layers.std()).astype(np.float32)


def _noise(rng: np.random.Generator, rocks: Geology, waves: Acquisition, tile: int) -> Floats:
    """Noise (H, W) that grows with depth: incoherent, and the arcs that migration makes of it."""
    height, width = rocks.salt.shape
    depth = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    noise = 0.6 * rng.standard_normal((height, width)).astype(np.float32)
    for _ in range(4):
        noise += _arcs(rng, (height, width), tile)
    patches = np.exp(0.4 * smooth_field(rng, (height, width), (tile, tile)))
    return noise * patches * waves.noise * (0.08 + depth**1.2)


def _arcs(rng: np.random.Generator, shape: tuple[int, int], tile: int) -> Floats:
    """Streaks (H, W) along circles about a point above the section (smiles) or below it (frowns)."""
    centre_y = rng.choice([rng.uniform(-4, -0.5) * tile, shape[0] + rng.uniform(1, 5) * tile])
    y = np.arange(shape[0], dtype=np.float32)[:, None] - centre_y
    x = np.arange(shape[1], dtype=np.float32)[None, :] - rng.uniform(-0.3, 1.3) * shape[1]
    radius, angle = np.hypot(y, x), np.arctan2(x, np.abs(y))
    along = angle * float(np.abs(y).mean()) / 8  # a streak is about 8 samples of this
    along -= along.min()
    radius -= radius.min()
    texture = rng.standard_normal((int(radius.max()) + 2, int(along.max()) + 2)).astype(np.float32)
    where = np.clip(smooth_field(rng, shape, (tile, tile)), 0, None)
    return where * map_coordinates(texture, [radius, along], order=1) * 1.5


def _wavelet(rng: np.random.Generator, reflectivity: Floats, waves: Acquisition, tile: int) -> Floats:
    """Give each reflector its wavelet, longer with depth because rock swallows the high frequencies.

    The negative Laplacian of a Gaussian is, across any straight reflector, the second derivative of a Gaussian:
    Ricker's wavelet (Ricker 1953), whose main period is pi x sqrt(2) standard deviations long. A bank of them is blended by depth.
    """
    height, width = reflectivity.shape
    bank = 5
    top, bottom = (np.log(each / (np.pi * np.sqrt(2))) for each in waves.wavelength)
    place = np.linspace(0, bank - 1, height)[:, None] + 0.4 * smooth_field(rng, (height, width), (tile, tile))
    place = np.clip(place, 0, bank - 1)
    section = np.zeros_like(reflectivity)
    for number, sigma in enumerate(np.exp(np.linspace(top, bottom, bank))):
        band = -gaussian_laplace(reflectivity, sigma) * sigma**2.5  # of equal strength for white layers
        section += np.clip(1 - np.abs(place - number), 0, 1) * band
    return section.astype(np.float32)
