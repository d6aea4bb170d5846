"""A synthetic survey: seismic sections drawn from a seed, cut into tiles, split into train and test.

It has the competition's layout and adds what the competition does not publish: the place of each tile and the masks
of the test tiles. With these, every later step can be scored.
"""

import csv
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from salt.data import rle
from salt.runtime.atomic import atomic_path
from salt.runtime.paths import SurveyFiles
from salt.survey.geology import make_geology
from salt.survey.seismic import Acquisition, Floats, image
from schemas.data import Survey

Bytes = npt.NDArray[np.uint8]

DEPTHS = (50, 960)  # feet; the range of the competition's depths.csv


@dataclass(frozen=True)
class SurveyTile:
    """One tile and its ground truth.

    id: 10 hexadecimal digits
    split: "train" or "test"
    z: depth in feet, random: in the competition it does not depend on the place in the section either
    mosaic, row, column: the section and the place in it, from 0
    image: (tile, tile) uint8 grey
    mask: (tile, tile) uint8, 1 = salt; empty if the whole tile is salt
    """

    id: str
    split: str
    z: int
    mosaic: int
    row: int
    column: int
    image: Bytes
    mask: Bytes


def make_tiles(settings: Survey, tile: int) -> list[SurveyTile]:
    """All tiles of the survey that `settings` describes, `tile` px high and wide, section by section."""
    rng = np.random.default_rng(settings.seed)
    cut = [
        (mosaic, *place)
        for mosaic, (amplitude, salt) in enumerate(make_sections(rng, settings, tile))
        for place in cut_section(amplitude, salt, tile)
    ]
    kept = np.sort(rng.permutation(len(cut))[: round(len(cut) * (1 - settings.missing))])
    test = rng.permutation(len(kept)) < round(len(kept) * settings.test)
    ids = draw_ids(rng, len(kept))
    depths = rng.integers(*DEPTHS, len(kept))
    return [
        SurveyTile(ids[number], "test" if test[number] else "train", int(depths[number]), *cut[place])
        for number, place in enumerate(kept)
    ]


def make_sections(rng: np.random.Generator, settings: Survey, tile: int) -> Iterator[tuple[Floats, Bytes]]:
    """Amplitudes (H, W) float32 and mask (H, W) uint8, 1 = salt, of each section; H and W are multiples of `tile`.

    The parameters of the sections are stratified over their ranges, so that any seed gives shallow and deep water,
    fine and coarse wavelets, clean and noisy sections, some with straight flanks.
    """
    count = settings.sections
    water = stratified(rng, count, 0.12, 1.08)
    folding = stratified(rng, count, 0.05, 0.6)
    fine = stratified(rng, count, np.log(4.5), np.log(15))
    coarsening = stratified(rng, count, np.log(1.5), np.log(3))
    noise = stratified(rng, count, 0.1, 0.55)
    clarity = stratified(rng, count, 0.6, 1.8)
    gain = stratified(rng, count, 0.2, 0.8)
    straight = stratified(rng, count, 0, 1) < max(0.15, 1 / count)
    for number, section_rng in enumerate(rng.spawn(count)):
        rows, columns = (
            section_rng.integers(*settings.rows, endpoint=True),
            section_rng.integers(*settings.columns, endpoint=True),
        )
        shape = (int(rows) * tile, int(columns) * tile)
        rocks = make_geology(
            section_rng, shape, tile, water=water[number], folding=folding[number], straight=bool(straight[number])
        )
        wavelength = np.exp(fine[number]), np.exp(fine[number] + coarsening[number])
        yield (
            image(section_rng, rocks, Acquisition(wavelength, noise[number], clarity[number], gain[number]), tile),
            rocks.salt,
        )


def stratified(rng: np.random.Generator, count: int, low: float, high: float) -> npt.NDArray[np.float64]:
    """A stratified sample: `count` values, one from each of `count` equal parts of low..high, shuffled."""
    return low + (high - low) * (rng.permutation(count) + rng.random(count)) / count


def cut_section(amplitude: Floats, salt: Bytes, tile: int) -> Iterator[tuple[int, int, Bytes, Bytes]]:
    """(row, column, image, mask) of each tile of a section, in a grid without overlap."""
    for row in range(amplitude.shape[0] // tile):
        for column in range(amplitude.shape[1] // tile):
            window = np.s_[row * tile : (row + 1) * tile, column * tile : (column + 1) * tile]
            mask = salt[window]
            # As in the competition, whose masks label salt only in tiles that show its boundary.
            yield row, column, stretch(amplitude[window]), np.zeros_like(mask) if mask.all() else mask


def stretch(amplitude: Floats) -> Bytes:
    """Amplitudes scaled to 0..255 by their minimum and maximum; all 0 if constant, as in water."""
    low, high = amplitude.min(), amplitude.max()
    if low == high:
        return np.zeros(amplitude.shape, np.uint8)
    return np.rint((amplitude - low) / (high - low) * 255).astype(np.uint8)


def draw_ids(rng: np.random.Generator, count: int) -> list[str]:
    """`count` different ids of 10 hexadecimal digits, like the competition's."""
    ids: dict[str, None] = {}
    while len(ids) < count:
        ids[rng.bytes(5).hex()] = None
    return list(ids)


def write_survey(folder: Path | str, tiles: list[SurveyTile]) -> None:
    """Write the competition's files and the ground truth into a folder; equal tiles give equal bytes."""
    files = SurveyFiles(Path(folder))
    labels_file, depths_file, samples_file, train_zip, test_zip = files.data
    train = [tile for tile in tiles if tile.split == "train"]
    test = [tile for tile in tiles if tile.split == "test"]
    labels = [(tile.id, rle.encode(tile.mask)) for tile in train]
    _write_csv(labels_file, ("id", "rle_mask"), labels)
    _write_csv(depths_file, ("id", "z"), [(tile.id, tile.z) for tile in tiles])
    _write_csv(samples_file, ("id", "rle_mask"), [(tile.id, "1 1") for tile in test])
    images = [(f"images/{tile.id}.png", tile.image) for tile in train]
    masks = [(f"masks/{tile.id}.png", tile.mask * np.uint8(255)) for tile in train]
    _write_zip(train_zip, images + masks)
    _write_zip(test_zip, [(f"images/{tile.id}.png", tile.image) for tile in test])
    places = [(tile.id, tile.mosaic, tile.row, tile.column) for tile in tiles]
    _write_csv(files.true_mosaics, ("id", "mosaic", "row", "column"), places)
    answers = [(tile.id, rle.encode(tile.mask)) for tile in test]
    _write_csv(files.true_masks, ("id", "rle_mask"), answers)


def _write_csv(path: Path, header: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> None:
    with atomic_path(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def _write_zip(path: Path, images: Iterable[tuple[str, Bytes]]) -> None:
    """Write a zip of PNGs, stored (PNG is compressed) and dated 1980, so that equal images give equal bytes."""
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, pixels in images:
            _, png = cv2.imencode(".png", pixels)
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), png.tobytes())
