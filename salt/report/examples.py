"""Which tiles the report shows, by rules that it states; only these are read into memory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from salt.data import predictions
from salt.data.records import Records, chunks
from salt.data.tiles import Tiles, rows_of
from salt.report.drawing import Picture, evenly, picture, probability_map
from salt.scores import metric
from schemas.augmentation import Transform


@dataclass(frozen=True)
class Sample:
    """A tile to show: its picture and its map of probabilities, both with outlines.

    value: what the tiles were sorted by: the score, or the coverage of the mask
    alike: tiles that it stands for; jigsaw: whether the jigsaw rule made its mask
    """

    id: str
    value: float
    tile: Picture
    probabilities: Picture
    alike: int = 1
    jigsaw: bool = False


@dataclass(frozen=True)
class Augmented:
    """A tile to show and draws of its augmentation, all with the outline of the mask; coverage: its share of salt."""

    id: str
    coverage: float
    tile: Picture
    draws: list[Picture]


def labelled(tiles: Tiles, predicted: Records, threshold: float) -> list[Sample]:
    """For each score that training tiles have out of fold, from the worst, the tile in the middle by id.

    Tiles with salt in neither mask are left out: there is nothing to see, and they score 1.
    predicted: records (id, plain, tta)
    """
    images, masks = tiles.arrays
    places = rows_of(tiles.ids, predicted["id"].tolist())
    scores, salt = np.zeros(len(predicted)), np.zeros(len(predicted), bool)
    for rows in chunks(len(predicted)):
        mask, truth = predictions.binarize(predicted["tta"][rows], threshold), masks[places[rows]].astype(bool)
        scores[rows] = metric.score(mask, truth)
        salt[rows] = (mask | truth).any(axis=(1, 2))
    samples = []
    for score in np.unique(scores[salt]):
        alike = np.flatnonzero(salt & (scores == score))
        row = alike[np.argsort(predicted["id"][alike])][len(alike) // 2]
        probabilities, place = predicted["tta"][row], places[row]
        outlines = {"true": masks[place], "predicted": predictions.binarize(probabilities, threshold)}
        sample = _sample(predicted["id"][row], score, images[place], probabilities, outlines)
        samples.append(replace(sample, alike=len(alike)))
    return samples


def test(tiles: Tiles, predicted: Records, masks: Records, changed: frozenset[str], wanted: int) -> list[Sample]:
    """Test tiles with salt in their final mask, from the least to the most, evenly spaced in that order.

    predicted: records (id, plain, tta); masks: records (id, mask); changed: ids of the tiles of the jigsaw rule
    """
    coverage = np.zeros(len(masks))
    for rows in chunks(len(masks)):
        coverage[rows] = masks["mask"][rows].mean(axis=(1, 2))
    ids = masks["id"].tolist()
    image_at, predicted_at = rows_of(tiles.ids, ids), rows_of(predicted["id"].tolist(), ids)
    samples = []
    for row in _spread(coverage > 0, coverage, masks["id"], wanted):
        probabilities, outlines = predicted["tta"][predicted_at[row]], {"predicted": masks["mask"][row]}
        image = tiles.images[image_at[row]]
        sample = _sample(ids[row], coverage[row], image, probabilities, outlines)
        samples.append(replace(sample, jigsaw=ids[row] in changed))
    return samples


def augmented(tiles: Tiles, transforms: Sequence[Transform], wanted: int, draws: int) -> list[Augmented]:
    """Training tiles with a tenth to nine tenths of salt, evenly spaced in that order, each with draws of its own.

    The same tiles and the same seeds, 0, 1 ..., for every list of transformations.
    """
    from salt.training.augment import augment, create_augmentation  # here: albumentations takes seconds to import

    images, masks = tiles.arrays
    coverage = tiles.table["coverage"].to_numpy()
    pipeline = create_augmentation(transforms)
    shown = []
    for number, row in enumerate(_spread((coverage >= 0.1) & (coverage <= 0.9), coverage, np.array(tiles.ids), wanted)):
        image, mask = np.array(images[row]), np.array(masks[row])
        seeds = range(number * draws, (number + 1) * draws)
        changed = [augment(pipeline, image, mask, seed) for seed in seeds]
        pictures = [picture(pixels, true=outlined) for pixels, outlined in [(image, mask), *changed]]
        shown.append(Augmented(tiles.ids[row], float(coverage[row]), pictures[0], pictures[1:]))
    return shown


def _spread(
    shown: npt.NDArray[np.bool_], values: npt.NDArray[np.floating], ids: npt.NDArray[np.str_], wanted: int
) -> list[int]:
    """Rows that are `shown`, sorted by value and id, evenly spaced; of all rows where none is."""
    rows = np.flatnonzero(shown) if shown.any() else np.arange(len(shown))
    order = rows[np.lexsort((ids[rows], values[rows]))]
    return [int(order[place]) for place in evenly(len(order), wanted)]


def _sample(
    name: str,
    value: float,
    image: npt.NDArray[np.uint8],
    probabilities: npt.NDArray[np.floating],
    outlines: Mapping[str, npt.NDArray],
) -> Sample:
    tile = picture(np.asarray(image), **outlines)
    return Sample(str(name), float(value), tile, picture(probability_map(probabilities), **outlines))
