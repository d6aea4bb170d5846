"""The tiles that the report shows as examples, chosen by the rules that it states. Only these are read into memory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from salt.data.records import Records, chunks
from salt.data.tiles import Tiles, rows_of
from salt.drawing.pictures import Picture, evenly_spaced, picture, probability_map
from salt.postprocess import steps
from salt.scores import metric
from schemas.augmentation import Transform
from schemas.postprocess import Postprocess


@dataclass(frozen=True)
class Example:
    """A tile as a picture, and its map of probabilities, both with outlines of the masks.

    value: its score (labelled tiles), or the coverage of its mask (test tiles)
    group_size: tiles that it represents, itself included; jigsaw: whether the jigsaw rule made its mask
    """

    id: str
    value: float
    tile: Picture
    probabilities: Picture
    group_size: int = 1
    jigsaw: bool = False


@dataclass(frozen=True)
class AugmentedExample:
    """A tile and random augmentations of it (draws), all with the outline of the mask; coverage: its share of salt."""

    id: str
    coverage: float
    tile: Picture
    draws: list[Picture]


def labelled(tiles: Tiles, predicted: Records, postprocess: Postprocess) -> list[Example]:
    """For each out-of-fold score of training tiles, from the worst to the best, the middle tile by id.

    Tiles with salt in neither mask are left out: they show nothing and score 1.
    predicted: records (id, plain, tta); postprocess: the steps to a mask, applied without the jigsaw rule
    """
    images, masks = tiles.arrays
    constant = tiles.table["constant"].to_numpy()
    places = rows_of(tiles.ids, predicted["id"].tolist())
    scores, nonempty = np.zeros(len(predicted)), np.zeros(len(predicted), bool)
    for rows in chunks(len(predicted)):
        mask = steps.masks(predicted["tta"][rows], constant[places[rows]], postprocess)
        scores[rows] = metric.score(mask, masks[places[rows]])
        nonempty[rows] = (mask | masks[places[rows]]).any(axis=(1, 2))
    examples = []
    for score in np.unique(scores[nonempty]):
        group = np.flatnonzero(nonempty & (scores == score))
        row = group[np.argsort(predicted["id"][group])][len(group) // 2]
        probabilities, place = predicted["tta"][row], places[row]
        (mask,) = steps.masks(probabilities[None], constant[[place]], postprocess)
        outlines = {"true": masks[place], "predicted": mask}
        example = _example(predicted["id"][row], score, images[place], probabilities, outlines)
        examples.append(replace(example, group_size=len(group)))
    return examples


def test(tiles: Tiles, predicted: Records, masks: Records, changed: frozenset[str], wanted: int) -> list[Example]:
    """`wanted` test tiles with salt in their final mask, evenly spaced in the order of their coverage.

    predicted: records (id, plain, tta); masks: records (id, mask)
    changed: ids of the tiles whose mask the jigsaw rule made
    """
    coverage = np.zeros(len(masks))
    for rows in chunks(len(masks)):
        coverage[rows] = masks["mask"][rows].mean(axis=(1, 2))
    ids = masks["id"].tolist()
    image_at, predicted_at = rows_of(tiles.ids, ids), rows_of(predicted["id"].tolist(), ids)
    examples = []
    for row in _evenly_spaced_rows(coverage > 0, coverage, masks["id"], wanted):
        probabilities, outlines = predicted["tta"][predicted_at[row]], {"predicted": masks["mask"][row]}
        image = tiles.images[image_at[row]]
        example = _example(ids[row], coverage[row], image, probabilities, outlines)
        examples.append(replace(example, jigsaw=ids[row] in changed))
    return examples


def augmented(tiles: Tiles, transforms: Sequence[Transform], wanted: int, draws: int) -> list[AugmentedExample]:
    """`wanted` training tiles with 10 to 90 % salt, evenly spaced in the order of their coverage, each with its draws.

    Every list of transformations gets the same tiles and the same seeds (0, 1 ...).
    """
    from salt.training.augment import augment, create_augmentation  # here: importing albumentations takes seconds

    images, masks = tiles.arrays
    coverage = tiles.table["coverage"].to_numpy()
    pipeline = create_augmentation(transforms)
    examples = []
    medium = (coverage >= 0.1) & (coverage <= 0.9)
    for number, row in enumerate(_evenly_spaced_rows(medium, coverage, np.array(tiles.ids), wanted)):
        image, mask = np.array(images[row]), np.array(masks[row])
        seeds = range(number * draws, (number + 1) * draws)
        drawn = [augment(pipeline, image, mask, seed) for seed in seeds]
        pictures = [picture(pixels, true=outlined) for pixels, outlined in [(image, mask), *drawn]]
        examples.append(AugmentedExample(tiles.ids[row], float(coverage[row]), pictures[0], pictures[1:]))
    return examples


def _evenly_spaced_rows(
    eligible: npt.NDArray[np.bool_], values: npt.NDArray[np.floating], ids: npt.NDArray[np.str_], wanted: int
) -> list[int]:
    """`wanted` of the eligible rows, evenly spaced in the order of value and id; of all rows if none is eligible."""
    rows = np.flatnonzero(eligible) if eligible.any() else np.arange(len(eligible))
    order = rows[np.lexsort((ids[rows], values[rows]))]
    return [int(order[place]) for place in evenly_spaced(len(order), wanted)]


def _example(
    name: str,
    value: float,
    image: npt.NDArray[np.uint8],
    probabilities: npt.NDArray[np.floating],
    outlines: Mapping[str, npt.NDArray],
) -> Example:
    tile = picture(np.asarray(image), **outlines)
    return Example(str(name), float(value), tile, picture(probability_map(probabilities), **outlines))
