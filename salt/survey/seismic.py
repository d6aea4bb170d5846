"""The seismic image of a geology: reflectivity, wavelet, noise and gain.

The section is migrated: the wavelet lies perpendicular to each reflector, whatever its dip.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter, gaussian_filter1d, gaussian_laplace, map_coordinates

from salt.survey.geology import Floats, Geology, enlarge, smooth_field


@dataclass(frozen=True)
class Acquisition:
    """The acquisition parameters of one section.

    wavelength: of the wavelet at the top and at the bottom of the section, px
    noise: standard deviation at the bottom, relative to the sediments'
    clarity: strength of reflections from the salt, in standard deviations of the sediments'
    gain: 0 keeps the amplitudes, 1 equalizes them
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
    level = np.sqrt(_widely_smoothed(section**2, (0.5 * tile, 2.0 * tile))) + 1e-3
    section /= level**waves.gain
    below = np.arange(section.shape[0])[:, None] - rocks.water[None, :]
    return section * np.clip(below / 2 + 2, 0, 1)  # mutes the wavelet above the sea floor


def _reflectivity(rng: np.random.Generator, rocks: Geology, waves: Acquisition, tile: int) -> Floats:
    """Reflection coefficients (H, W), in standard deviations of the sediments'."""
    (height, width), longest = rocks.salt.shape, waves.wavelength[1]
    salt = gaussian_filter(rocks.visible.astype(np.float32), 1.2)
    below = np.arange(height)[:, None] - rocks.water[None, :]
    oldest = int(rocks.age.max()) + 2
    layers = _layers(rng, oldest, width, tile)
    warp = smooth_field(rng, (height, width), (0.06 * tile, 0.12 * tile))
    warp *= np.clip(smooth_field(rng, (height, width), (0.5 * tile, 1.5 * tile)) - 0.7, 0, 2) * 0.04 * tile
    columns = np.broadcast_to(np.arange(width, dtype=np.float32), (height, width))
    sediments = map_coordinates(layers, [rocks.age + warp, columns], order=1, mode="nearest")
    dip = np.gradient(rocks.age, axis=1)
    sediments *= (1 + dip**2) ** -0.25 * (below > 0)  # steep layers are imaged worse
    sediments *= _illumination(rng, rocks.visible, tile)
    inside = 0.25 * smooth_field(rng, (height, width), (0.15 * longest, 0.4 * longest)) * rng.uniform(0.3, 1.0)
    total = sediments * (1 - salt) + inside * salt
    total += waves.clarity * _salt_faces(rng, salt, tile)
    total += 7.0 * np.exp(-(((below - 0.5) / 0.7) ** 2))  # the sea floor
    return total.astype(np.float32)


def _illumination(rng: np.random.Generator, salt: npt.NDArray[np.uint8], tile: int) -> Floats:
    """The share of the waves that reaches the sediments (H, W): less below and near salt."""
    above = gaussian_filter1d(np.cumsum(salt, axis=0, dtype=np.float32), 0.15 * tile, axis=1) / tile
    reach = rng.uniform(0.06, 0.25) * tile
    close = _widely_smoothed(salt.astype(np.float32), (reach, reach))
    return np.exp(-0.25 * above) * (1 - rng.uniform(0.1, 0.6) * close)


def _salt_faces(rng: np.random.Generator, salt: Floats, tile: int) -> Floats:
    """Reflection coefficients (H, W) of the salt's faces: a hard top, a soft base, flanks of either sign.

    Reflectivity is half the change of log impedance, here the gradient of the smoothed mask.
    """
    down, across = np.gradient(salt)
    strength = np.exp(0.8 * smooth_field(rng, salt.shape, (0.3 * tile, 0.3 * tile)))
    sign = smooth_field(rng, salt.shape, (0.4 * tile, tile))
    fade = np.linspace(1.6, 0.8, len(salt))[:, None]
    down = np.where(down > 0, down, 0.4 * down)  # little energy passes to the base and back
    return 4.0 * fade * strength * (down + 0.6 * np.tanh(3 * sign) * np.abs(across))


def _layers(rng: np.random.Generator, oldest: int, width: int, tile: int) -> Floats:
    """Reflectivity by age and place, (oldest, W), one sample per px of age.

    Sequences of beds follow each other, each with its own strength and bed thickness. Reflection coefficients
    have heavier tails than a Gaussian (Walden and Hosken 1986), so they are drawn from a Laplace distribution.
    """
    series, strength = np.zeros(oldest), np.ones(oldest)
    start = 0
    while start < oldest:
        stop = start + int(tile * rng.uniform(0.15, 0.8))
        density = rng.uniform(0.4, 1.0)
        beds = rng.laplace(size=oldest) * (rng.random(oldest) < density) / np.sqrt(density)
        series[start:stop] = beds[start:stop]
        strength[start:stop] = np.exp(rng.normal(0, 0.35))
        start = stop
    lateral = smooth_field(rng, (oldest, width), (1.5, 0.7 * tile))
    lateral = np.exp(0.5 * lateral + 0.3 * smooth_field(rng, (oldest, width), (0.15 * tile, 0.5 * tile)))
    layers = (series * gaussian_filter1d(strength, 2))[:, None] * lateral
    layers = gaussian_filter1d(layers, 0.75, axis=0)
    return (layers / layers.std()).astype(np.float32)


def _noise(rng: np.random.Generator, rocks: Geology, waves: Acquisition, tile: int) -> Floats:
    """Noise (H, W) that grows with depth: incoherent noise, and the arcs that migration turns it into."""
    height, width = rocks.salt.shape
    depth = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    noise = 0.7 * rng.standard_normal((height, width), dtype=np.float32)
    for _ in range(4):
        noise += _arcs(rng, (height, width), tile, rng.uniform(0.3, 1.2) * waves.wavelength[1])
    patches = np.exp(0.4 * smooth_field(rng, (height, width), (tile, tile)))
    quiet = 1 - 0.65 * gaussian_filter(rocks.visible.astype(np.float32), 2.0)  # salt scatters little
    return noise * patches * quiet * waves.noise * (0.08 + depth**1.2)


def _arcs(rng: np.random.Generator, shape: tuple[int, int], tile: int, length: float) -> Floats:
    """Streaks (H, W), `length` px long, on circles about a point above (smiles) or below (frowns)."""
    centre_y = rng.choice([rng.uniform(-2, -0.2) * tile, shape[0] + rng.uniform(0.2, 3) * tile])
    y = np.arange(shape[0], dtype=np.float32)[:, None] - centre_y
    x = np.arange(shape[1], dtype=np.float32)[None, :] - rng.uniform(-0.3, 1.3) * shape[1]
    radius, angle = np.hypot(y, x), np.arctan2(x, np.abs(y))
    ring = (radius - radius.min()).astype(int)
    along = angle * float(np.abs(y).mean()) / length
    along += rng.random(ring.max() + 1, dtype=np.float32)[ring] - along.min()  # decorrelates the rings
    before = along.astype(int)
    share = along - before.astype(np.float32)
    texture = rng.standard_normal((ring.max() + 1, before.max() + 2), dtype=np.float32)
    streaks = texture[ring, before] * (1 - share) + texture[ring, before + 1] * share
    return 1.8 * streaks * np.clip(smooth_field(rng, shape, (tile, tile)), 0, None)


def _wavelet(rng: np.random.Generator, reflectivity: Floats, waves: Acquisition, tile: int) -> Floats:
    """Convolve each reflector with its wavelet, longer with depth because rock absorbs high frequencies.

    Across any straight reflector, the negative Laplacian of a Gaussian is the second derivative of a Gaussian,
    Ricker's wavelet (Ricker 1953), whose main period is pi x sqrt(2) standard deviations long. The result blends
    a bank of them by depth.
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


def _widely_smoothed(field: Floats, sigma: tuple[float, float]) -> Floats:
    """`field` (H, W) after a wide Gaussian filter, computed on every fourth sample."""
    return enlarge(gaussian_filter(field[::4, ::4], [each / 4 for each in sigma]), (field.shape[0], field.shape[1]))
