"""The authors' presets against numbers of their own code (tests/golden/augmentation.json)."""

import functools
import json
import math
import random
import re
from collections import Counter
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from salt.training.augment import augment, create_augmentation
from schemas.augmentation import PRESETS, Brightness, Contrast, CropResize, Flip, Rotate, Shear, ShiftScale

GOLDEN = json.loads(Path("tests/golden/augmentation.json").read_text())
DRAWS = 3000
SURE = 1e-6  # a share or a mean as far from what is expected has a probability below this
ROWS, COLUMNS = np.mgrid[:101, :101]
TILE = (0.5 + 0.25 * np.sin(0.11 * ROWS + 0.3) + 0.2 * np.cos(0.07 * COLUMNS)).astype(np.float32)
MASK = ((ROWS - 40) ** 2 + (COLUMNS - 55) ** 2 <= 625).astype(np.uint8)
SCALE = {"phalanx": 1, "bes": 255}  # of the authors' grey values
WARP = {"phalanx": 1e-3, "bes": 0.2}  # tolerances
ELSE = {"phalanx": 1e-6, "bes": 1e-3}
DOT = 0.05

FLIP, SHIFT_SCALE = Flip(p=1), PRESETS["resnext50_author"][3]
CROP, SHEAR, ROTATE = PRESETS["resnet34_author"][1].of
BRIGHTNESS, FACTOR = PRESETS["resnet34_author"][2].of
CONTRAST = PRESETS["resnext50_author"][2]


def test_the_presets_hold_what_is_tested_here():
    transforms = (FLIP, SHIFT_SCALE, CROP, SHEAR, ROTATE, BRIGHTNESS, FACTOR, CONTRAST)
    kinds = (Flip, ShiftScale, CropResize, Shear, Rotate, Brightness, Contrast, Contrast)
    assert tuple(map(type, transforms)) == kinds


# Single draws ------------------------------------------------------------------------------------------------------


def changed(transform, image, mask, **amounts):
    """A tile after a transformation that can draw but the given amounts, by their names in albumentations."""
    pipeline = create_augmentation([transform.model_copy(update={"p": 1})])
    for name, value in amounts.items():
        setattr(pipeline.transforms[0], name, value)
    return augment(pipeline, image, mask, 0)


def cropped(image, mask, kept):
    """A tile after a crop to some rows and columns."""
    crop = create_augmentation([CROP]).transforms[0]
    return crop.apply(image, kept=kept), crop.apply_to_mask(mask, kept=kept)


def change_of(name):
    """The change that a single draw of the golden file is named after, as a function of image and mask."""
    numbers = [float(number) for number in re.findall(r"-?\d+(?:\.\d+)?", name.replace("..", " "))]
    first = (numbers[0], numbers[0]) if numbers else None
    factor = (numbers[0] - 1, numbers[0] - 1) if numbers else None
    kind = re.match("[a-z]+( shift| factor)?", name)[0]
    if kind == "crop":
        top, bottom, left, right = map(int, numbers)
        return lambda image, mask: cropped(image, mask, (slice(top, bottom + 1), slice(left, right + 1)))
    transform, amounts = {
        "flip": lambda: (FLIP, {}),
        "shear": lambda: (SHEAR, {"shear": {"x": first}}),
        "rotation": lambda: (ROTATE, {"rotate": (-numbers[0], -numbers[0])}),
        "brightness shift": lambda: (BRIGHTNESS, {"brightness_limit": first}),
        "brightness factor": lambda: (FACTOR, {"contrast_limit": factor}),
        "contrast factor": lambda: (CONTRAST, {"contrast_limit": factor}),
        "shift": lambda: (
            SHIFT_SCALE,
            {
                "translate_percent": {"x": (numbers[0],) * 2, "y": (numbers[1],) * 2},
                "scale": {"x": (numbers[2],) * 2},
            },
        ),
    }[kind]()
    return lambda image, mask: changed(transform, image, mask, **amounts)


def at_positions(array):
    p = np.arange(24)
    return array[(41 * p + 3) % 101, (67 * p + 9) % 101]


def centre_of_dot(change, x, y):
    """Where a dot of 3 x 3 px goes: (x, y) of its centre of mass; None if it leaves the tile."""
    image = np.zeros((101, 101), np.float32)
    image[y - 1 : y + 2, x - 1 : x + 2] = 1
    moved, _ = change(image, MASK)
    return [np.average(grid, weights=moved) for grid in (COLUMNS, ROWS)] if moved.sum() > 0.5 else None


def single_draws(author, *others):
    draws = GOLDEN[author]["single_draws"].items()
    return [pytest.param(author, name, draw, id=name) for name, draw in draws if not re.search("|".join(others), name)]


@pytest.mark.parametrize(
    ("author", "name", "draw"),
    # His brightness and contrast without the clip, and on 8 bits, are tests of their own.
    [*single_draws("phalanx", "^$"), *single_draws("bes", "brightness", "contrast")],
)
def test_a_draw_of_a_given_amount_makes_the_tile_of_the_original(author, name, draw):
    change, moves = change_of(name), not re.match("brightness|flip", name)
    image, mask = change(TILE, MASK)
    image = SCALE[author] * image.astype(np.float64)
    tolerance = (WARP if moves else ELSE)[author]
    np.testing.assert_allclose(at_positions(image), draw["image"], rtol=0, atol=tolerance)
    of_image = {"image_mean": image.mean(), "image_least": image.min(), "image_largest": image.max()}
    of_mask = {"mask_pixels": mask.sum(), "mask_pixels_255": mask.sum()}
    at_ends = {"pixels_at_0_or_1": ((image == 0) | (image == 1)).sum()}
    found = {key: value for key, value in (of_image | of_mask | at_ends).items() if key in draw}
    assert found == pytest.approx({key: draw[key] for key in found}, rel=0, abs=tolerance)
    if "mask" in draw:
        assert (SCALE[author] * at_positions(mask.astype(int))).tolist() == draw["mask"]
    for (x, y), there in draw.get("a_dot_at_x_y_goes_to", []):
        assert centre_of_dot(change, x, y) == (None if there is None else pytest.approx(there, abs=DOT))
    known = {"image", "mask", "a_dot_at_x_y_goes_to", *of_image, *of_mask, *at_ends}
    assert set(draw) <= known


@pytest.mark.parametrize(("author", "name", "draw"), [d for d in single_draws("bes", "^$") if "without" in d.id])
def test_brightness_and_contrast_of_the_resnext50_author_are_his_without_their_clip_to_1(author, name, draw):
    """Ours clip to the grey range instead, 0..1 of these tiles."""
    line, mean = draw["line_through_all_pixels"], draw["grey_mean_before"]
    assert 255 * TILE.mean(dtype=np.float64) == pytest.approx(mean, abs=1e-3)
    image, mask = change_of(name)(TILE, MASK)
    assert np.array_equal(mask, MASK)
    np.testing.assert_allclose(at_positions(255 * image), np.clip(draw["image"], 0, 255), rtol=0, atol=1e-3)
    np.testing.assert_allclose(255 * image, np.clip(255 * TILE * line["factor"] + line["added"], 0, 255), atol=1e-3)


def test_brightness_on_8_bits_is_that_of_the_originals_library():
    draw = GOLDEN["bes"]["single_draws"]["brightness factor 1.2 on 8-bit input (not what he did)"]["image"]
    image, _ = change_of("brightness factor 1.2")(np.round(255 * TILE).astype(np.uint8), MASK)
    assert at_positions(image).tolist() == draw


@pytest.mark.parametrize(
    "name", [d.id for d in single_draws("bes", "without", "8-bit") if re.match("bright|contr", d.id)]
)
def test_the_clip_to_1_of_the_original_would_leave_nothing_of_a_tile(name):
    """Why ours differs: his images of 0..255 became 0 and 1, and nearly all of them 1."""
    draw = GOLDEN["bes"]["single_draws"][name]
    image, _ = change_of(name)(TILE, MASK)
    without = 255 * image
    if draw["image_mean"] == 1:
        assert without.min() > 1
    np.testing.assert_allclose(at_positions(np.clip(without, 0, 1)), draw["image"], rtol=0, atol=1e-3)
    clipped = np.clip(without, 0, 1).astype(np.float64)
    found = [clipped.mean(), clipped.min(), clipped.max()]
    assert found == pytest.approx([draw[f"image_{key}"] for key in ("mean", "least", "largest")], abs=1e-3)


def test_the_shears_of_the_original_move_row_5_against_row_95_as_ours():
    for share, pixels in GOLDEN["phalanx"]["shear_px_of_row_5_against_row_95_by_drawn_share"].items():
        matrix = matrix_of(SHEAR, shear={"x": (float(share),) * 2})
        assert matrix[0, 1] * (5 - 95) == pytest.approx(pixels, abs=0.01)


def matrix_of(transform, **amounts):
    warp = create_augmentation([transform]).transforms[0]
    for name, value in amounts.items():
        setattr(warp, name, value)
    warp.set_random_state(np.random.default_rng(0), np.random.default_rng(0))
    return warp.get_params_dependent_on_data({"shape": (101, 101)}, {})["matrix"]


# Chance ------------------------------------------------------------------------------------------------------------

EVENLY = {  # names of the golden file, and the ends of the even distribution of an amount
    "phalanx": {
        "flip": {},
        "crop": {},
        "shear": {"": (-0.07, 0.07)},
        "rotation": {"": (0, 15)},
        "brightness shift": {"": (-0.1, 0.1)},
        "brightness factor": {"": (0.92, 1.08)},
    },
    "bes": {
        "flip": {},
        "brightness": {"alpha": (0.8, 1.2)},
        "contrast": {"alpha": (0.8, 1.2)},
        "shift and scale": {"dx": (-0.1625, 0.1625), "dy": (-0.1625, 0.1625), "scale": (0.4, 1.6), "angle": (0, 0)},
    },
}
PROBABILITIES = {
    "phalanx": {"flip": 1 / 2, "crop": 1 / 6, "shear": 1 / 6, "rotation": 1 / 6}
    | {"brightness shift": 1 / 4, "brightness factor": 1 / 4},
    "bes": {"flip": 0.5, "brightness": 0.2, "contrast": 0.1, "shift and scale": 0.7},
}
each_author = pytest.mark.parametrize("author", ["phalanx", "bes"])


@functools.cache
def drawn(author):
    """For each draw of an author's preset, what it does to a tile: amounts of transformations, by golden names."""
    preset = PRESETS[{"phalanx": "resnet34_author", "bes": "resnext50_author"}[author]]
    pipeline = create_augmentation(preset)
    pipeline.save_applied_params = True
    tile, found = np.full((101, 101), 100, np.uint8), []
    for seed in range(DRAWS):
        pipeline.set_random_state(np.random.default_rng(seed), random.Random(seed))  # noqa: S311 (no secret)
        applied = pipeline(image=tile, mask=tile)["applied_transforms"]
        found.append(dict(amounts(author, *transform) for transform in applied))
    return found


def amounts(author, name, of):
    """The golden name of a transformation, and its amounts."""
    if name == "HorizontalFlip":
        return "flip", {}
    if name == "CropResize":
        rows, columns = of["kept"]
        return "crop", {"px": (columns.start, 101 - columns.stop, rows.start, 101 - rows.stop)}
    if name == "WholeShear":
        return "shear", {"px": of["matrix"][0, 2]}
    if name == "RandomBrightnessContrast":
        return "brightness shift", {"": of["beta"] / 255}
    if name == "Contrast" and author == "phalanx":
        return "brightness factor", {"": of["alpha"]}
    if name == "Contrast":
        return "contrast" if of["beta"] else "brightness", {"alpha": of["alpha"]}
    (cos, _, right), (sin, _, down) = of["matrix"]
    clockwise, zoom = math.degrees(math.atan2(sin, cos)), math.hypot(sin, cos)
    if author == "phalanx":
        return "rotation", {"": clockwise}
    moves = {"dx": (right - (1 - zoom) * 50.5) / 101, "dy": (down - (1 - zoom) * 50.5) / 101}
    return "shift and scale", {**moves, "scale": zoom, "angle": clockwise}


def must_fit(count, draws, probability):
    """A count of draws is neither too low nor too high for a probability, by the exact binomial distribution."""
    low, high = stats.binom.ppf([SURE, 1 - SURE], draws, probability)
    assert low <= count <= high


def must_be_even(least, mean, largest, count, ends):
    """Numbers of so many draws (rounded to 4 decimals) fill a range evenly, to its ends."""
    (low, high), rounded = ends, 5e-5
    near = (high - low) * -math.log(SURE) / count + rounded
    assert low - rounded <= least <= low + near
    assert high - near <= largest <= high + rounded
    assert mean == pytest.approx((low + high) / 2, rel=0, abs=far(count) * (high - low) / math.sqrt(12) + rounded)


def far(count):
    """The most that a mean of draws is off, in deviations of a draw."""
    return stats.norm.isf(SURE) / math.sqrt(count)


@each_author
def test_transformations_are_drawn_as_often_as_by_the_original_and_in_its_order(author):
    golden, ours = GOLDEN[author]["drawn"], Counter(name for draw in drawn(author) for name in draw)
    shares = {
        name: row["share_of_draws"]
        for name, row in golden["least_largest_mean" if author == "phalanx" else "least_mean_largest"].items()
    }
    assert ours.keys() == shares.keys() == PROBABILITIES[author].keys()
    for name, probability in PROBABILITIES[author].items():
        must_fit(ours[name], DRAWS, probability)
        must_fit(round(shares[name] * golden["draws"]), golden["draws"], probability)
    order = list(PROBABILITIES[author])
    assert all(list(draw) == sorted(draw, key=order.index) for draw in drawn(author)) == golden.get(
        "always_in_this_order", True
    )
    if author == "phalanx":
        assert not any(
            len(group & draw.keys()) > 1
            for draw in drawn(author)
            for group in ({"crop", "shear", "rotation"}, {"brightness shift", "brightness factor"})
        )


@each_author
def test_the_originals_probabilities_are_those_of_the_presets(author):
    groups = {
        "geometric group": ("crop", "shear", "rotation"),
        "intensity group": ("brightness shift", "brightness factor"),
    }
    for row in GOLDEN[author]["table"]:
        name, probability = row["transform"], row["probability"]
        if name.startswith("the clip"):
            assert probability.startswith(f"{100 * GOLDEN['bes']['drawn']['share_of_images_clipped_to_0_to_1']:g} %")
            continue
        given = float(Fraction(probability.split()[0])) if isinstance(probability, str) else probability
        assert given == pytest.approx(sum(PROBABILITIES[author][part] for part in groups.get(name, [name])))
    must_fit(round(100_000 * GOLDEN["bes"]["drawn"]["share_of_images_clipped_to_0_to_1"]), 100_000, 1 - 0.8 * 0.9)


@pytest.mark.parametrize(
    ("author", "name", "amount"),
    [
        (author, name, amount)
        for author, names in EVENLY.items()
        for name, of in names.items()
        for amount in of
        if name != "shear"
    ],
)
def test_amounts_are_as_even_as_the_originals(author, name, amount):
    ends, golden = EVENLY[author][name][amount], GOLDEN[author]["drawn"]
    ours = [draw[name][amount] for draw in drawn(author) if name in draw]
    must_be_even(min(ours), np.mean(ours), max(ours), len(ours), ends)
    row = golden["least_largest_mean" if author == "phalanx" else "least_mean_largest"][name]
    numbers = row[amount] if amount else (row["least"], row["mean"], row["largest"])
    must_be_even(*numbers, row["share_of_draws"] * golden["draws"], ends)


def test_shears_are_whole_pixels_as_often_as_the_originals():
    golden = GOLDEN["phalanx"]["drawn"]
    row = golden["least_largest_mean"]["shear"]
    count = row["share_of_draws"] * golden["draws"]
    must_be_even(row["least"], row["mean"], row["largest"], count, EVENLY["phalanx"]["shear"][""])
    ours = Counter(draw["shear"]["px"] for draw in drawn("phalanx") if "shear" in draw)
    assert set(ours) <= set(map(float, row["whole_pixels"]))
    for pixels, share in row["whole_pixels"].items():
        wide = 2 if pixels == "0" else 0.07 if abs(int(pixels)) == 7 else 1  # px of 14.14 that are cut to these
        must_fit(round(share * count), round(count), wide / 14.14)
        must_fit(ours[float(pixels)], ours.total(), wide / 14.14)


def test_crops_take_0_to_19_pixels_of_each_side_as_the_originals():
    golden, ours = (
        GOLDEN["phalanx"]["drawn"]["crop_px"],
        np.array([draw["crop"]["px"] for draw in drawn("phalanx") if "crop" in draw]),
    )
    assert GOLDEN["phalanx"]["drawn"]["least_largest_mean"]["crop"]["limit"] == CROP.share
    assert ours.min(axis=0).tolist() == golden["cut_left_right_top_bottom_least"]
    assert ours.max(axis=0).tolist() == golden["largest"]
    deviation = math.sqrt((20**2 - 1) / 12)
    for means, count in ((ours.mean(axis=0), len(ours)), (golden["mean"], golden["draws"])):
        np.testing.assert_allclose(means, 9.5, rtol=0, atol=far(count) * deviation + 0.005)
    for correlation, count in (
        (largest_correlation(ours.T), len(ours)),
        (golden["largest_correlation_between_sides"], golden["draws"]),
    ):
        assert correlation < far(count)


def largest_correlation(of):
    return np.abs(np.corrcoef(of) - np.eye(len(of))).max()


def test_shifts_and_zooms_are_as_independent_as_the_originals():
    ours = [
        [draw["shift and scale"][key] for key in ("dx", "dy", "scale")]
        for draw in drawn("bes")
        if "shift and scale" in draw
    ]
    assert largest_correlation(np.transpose(ours)) < far(len(ours))
    assert GOLDEN["bes"]["drawn"]["largest_correlation_of_dx_dy_scale"] < far(70_000)
