import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from salt.training.augment import augment, create_augmentation
from schemas.augmentation import (
    PRESETS,
    Blur,
    Brightness,
    CoarseDropout,
    Contrast,
    CropResize,
    Elastic,
    Flip,
    Grid,
    Noise,
    OneOf,
    RandomTransform,
    Rotate,
    Shear,
    ShiftScale,
    VerticalFlip,
)

SIDE = 101
CENTRE = SIDE // 2
ROWS, COLUMNS = np.mgrid[:SIDE, :SIDE].astype(np.uint8)

MOVING = (
    Flip(p=1),
    VerticalFlip(p=1),
    ShiftScale(p=1, shift=0.1625, scale=0.6),
    ShiftScale(p=1, shift=0.1625, scale=0.6, pixels="fractional"),
    CropResize(p=1, share=0.2),
    Shear(p=1, share=0.07),
    Shear(p=1, share=0.6, pixels="whole"),
    Rotate(p=1, degrees=(0, 15)),
    Elastic(p=1, shift=2, sigma=6),
    Grid(p=1, cells=5, limit=0.3),
)
IMAGE_ONLY = (
    Brightness(p=1, limit=0.2),
    Contrast(p=1, limit=0.2),
    Contrast(p=1, limit=0.2, about="mean"),
    Blur(p=1, sigma=10),
    Noise(p=1, std=0.1),
    CoarseDropout(p=1, holes=3, size=0.3),
)
CHOICE = OneOf(p=1, of=(OneOf(p=1, of=IMAGE_ONLY), *MOVING))
ALL = (*MOVING, *IMAGE_ONLY, CHOICE)

each = pytest.mark.parametrize("transform", ALL, ids=lambda transform: transform.name)


def texture(height=SIDE, width=SIDE, seed=0):
    """A noisy tile and the mask of its bright pixels."""
    image = np.random.default_rng(seed).integers(20, 236, (height, width), dtype=np.uint8)
    return image, (image > 128).astype(np.uint8)


def draws(transforms, image, mask, count=300):
    pipeline = create_augmentation(transforms)
    return [augment(pipeline, image, mask, seed) for seed in range(count)]


def origins(transform, count=300):
    """Of each draw, the rows and the columns that pixels came from, (SIDE, SIDE); rows are whole numbers."""
    return [(rows.astype(float), columns.astype(float)) for columns, rows in draws([transform], COLUMNS, ROWS, count)]


def test_every_transformation_of_the_config_is_tried_here():
    assert {type(transform) for transform in ALL} == set(RandomTransform.__subclasses__())


# What holds for all ------------------------------------------------------------------------------------------------


@each
@settings(max_examples=30)
@given(height=st.integers(1, 40), width=st.integers(1, 40), seed=st.integers(0, 2**32 - 1))
def test_tiles_of_any_size_keep_their_shape_and_masks_their_two_values(transform, height, width, seed):
    image, mask = augment(create_augmentation([transform]), *texture(height, width), seed)
    assert image.shape == mask.shape == (height, width)
    assert image.dtype == mask.dtype == np.uint8
    assert set(np.unique(mask)) <= {0, 1}


@each
def test_three_colours_change_as_one_grey_does(transform):
    image, mask = texture(40, 50)
    grey, moved = augment(create_augmentation([transform]), image, mask, 5)
    colours, moved_too = augment(create_augmentation([transform]), np.repeat(image[..., None], 3, axis=2), mask, 5)
    assert colours.shape == (40, 50, 3)
    np.testing.assert_array_equal(moved_too, moved)
    if transform.name not in ("noise", "one_of"):  # noise is each pixel's own
        np.testing.assert_array_equal(colours, np.repeat(grey[..., None], 3, axis=2))


@each
def test_a_draw_depends_on_its_seed_alone(transform):
    tile = texture(40, 50)
    transforms = [Flip(p=0.5), transform, OneOf(p=0.5, of=(transform, Flip(p=1)))]
    pipeline = create_augmentation(transforms)
    drawn = [augment(pipeline, *tile, seed) for seed in (1, 2, 3, 1)]
    again = augment(create_augmentation(transforms), *tile, 1)
    assert all(np.array_equal(a, b) for a, b in zip(drawn[0], drawn[3], strict=True))
    assert all(np.array_equal(a, b) for a, b in zip(drawn[0], again, strict=True))
    assert not all(np.array_equal(drawn[0][0], other) for other, _ in drawn[1:3])


@each
def test_a_tile_is_changed_with_the_given_probability(transform):
    image, mask = texture(41, 41)
    changed = [
        not np.array_equal(drawn, image)
        for drawn, _ in draws([transform.model_copy(update={"p": 0.3})], image, mask, 500)
    ]
    assert np.mean(changed) == pytest.approx(0.3, abs=0.05)


@pytest.mark.parametrize("transform", MOVING, ids=lambda transform: transform.name)
def test_mask_and_image_move_together(transform):
    mask = ((ROWS.astype(int) - CENTRE) ** 2 + (COLUMNS.astype(int) - 40) ** 2 < 20**2).astype(np.uint8)
    for image, moved in draws([transform], 200 * mask, mask, 30):
        assert np.mean(moved != (image > 100)) < 0.004
    rows, columns = origins(transform, 1)[0]
    assert not np.array_equal(rows, ROWS) or not np.array_equal(columns, COLUMNS)


@pytest.mark.parametrize("transform", IMAGE_ONLY, ids=lambda transform: transform.name)
def test_what_changes_the_image_leaves_the_mask(transform):
    image, mask = texture()
    for drawn, same in draws([transform], image, mask, 10):
        assert np.array_equal(same, mask)
        assert not np.array_equal(drawn, image)


@pytest.mark.parametrize("transform", MOVING, ids=lambda transform: transform.name)
def test_what_comes_in_beyond_the_border_is_a_reflection(transform):
    for value in (0, 200):
        flat = np.full((SIDE, SIDE), value, np.uint8)
        for image, mask in draws([transform], flat, flat // 200, 10):
            assert np.array_equal(image, flat)
            assert np.array_equal(mask, flat // 200)


@pytest.mark.parametrize("preset", PRESETS)
def test_constant_tiles_stay_constant(preset):
    black = np.zeros((SIDE, SIDE), np.uint8)
    for image, mask in draws(PRESETS[preset], black, black, 30):
        assert image.min() == image.max()
        assert mask.max() == 0


@pytest.mark.parametrize("preset", PRESETS)
def test_no_preset_turns_a_tile_upside_down(preset):
    for _, mask in draws(PRESETS[preset], ROWS, ROWS, 100):
        rows = mask.mean(axis=1)
        assert rows[30] < rows[70]


# Chance ------------------------------------------------------------------------------------------------------------


def test_no_transformation_changes_nothing():
    image, mask = texture()
    for drawn in draws(PRESETS["none"], image, mask, 3):
        assert all(np.array_equal(a, b) for a, b in zip(drawn, (image, mask), strict=True))


@pytest.mark.parametrize(
    ("preset", "share"),
    [("write_up", 0.5 * 0.8 * 0.9 * 0.3), ("resnext50_author", 0.5 * 0.8 * 0.9 * 0.3), ("resnet34_author", 0.5**3)],
)
def test_a_preset_changes_nothing_as_rarely_as_the_product_of_its_probabilities(preset, share):
    image, mask = texture()
    unchanged = [np.array_equal(drawn, image) for drawn, _ in draws(PRESETS[preset], image, mask, 1000)]
    assert np.mean(unchanged) == pytest.approx(share, abs=0.03)


def kind(row):
    """Of a ramp from 50 to 150: whether it was mirrored, and what became of its grey values."""
    low, high = sorted((int(row[0]), int(row[-1])))
    grey = "as it was" if (low, high) == (50, 150) else "added" if abs(high - low - 100) < 2 else "multiplied"
    return bool(row[0] > row[-1]), grey


def test_transformations_are_drawn_independently_and_of_several_exactly_one_by_weight():
    choice = OneOf(p=0.6, of=(Brightness(p=0.25, limit=0.15), Contrast(p=0.75, limit=0.3)))
    ramp = COLUMNS + np.uint8(50)
    count = 2000
    found = Counter(kind(image[0]) for image, _ in draws([Flip(p=0.5), choice], ramp, ramp, count))
    for mirrored in (False, True):
        shares = {grey: found[mirrored, grey] / count for grey in ("as it was", "added", "multiplied")}
        assert shares == pytest.approx({"as it was": 0.2, "added": 0.075, "multiplied": 0.225}, abs=0.03)


# Amounts -----------------------------------------------------------------------------------------------------------


def spread_evenly(values, low, high):
    """Whether values fill a range evenly: to its ends, with the mean and the deviation that belong to it."""
    width = high - low
    assert low - 0.03 * width <= min(values) < low + 0.1 * width
    assert high + 0.03 * width >= max(values) > high - 0.1 * width
    assert np.mean(values) == pytest.approx((low + high) / 2, abs=0.06 * width)
    assert np.std(values) == pytest.approx(width / math.sqrt(12), rel=0.12)
    return True


def test_brightness_adds_up_to_its_share_of_the_grey_range_either_way():
    flat = np.full((8, 8), 128, np.uint8)
    shifts = [int(image[0, 0]) - 128 for image, _ in draws([Brightness(p=1, limit=0.1)], flat, flat)]
    assert spread_evenly(shifts, -25.5, 25.5)


def test_contrast_is_a_factor_about_black():
    image = np.array([[0, 100, 200]], np.uint8)
    drawn = np.array([image[0] for image, _ in draws([Contrast(p=1, limit=0.08)], image, image)], float)
    assert (drawn[:, 0] == 0).all()
    assert np.abs(drawn[:, 2] - 2 * drawn[:, 1]).max() <= 1  # whole grey values
    assert spread_evenly(drawn[:, 2] / 200, 0.92, 1.08)


def test_shifts_go_up_to_their_share_of_the_side_along_both_axes():
    found = origins(ShiftScale(p=1, shift=0.1625, scale=0))
    down = [CENTRE - rows[CENTRE, CENTRE] for rows, _ in found]
    right = [CENTRE - columns[CENTRE, CENTRE] for _, columns in found]
    assert spread_evenly(down, -16.4, 16.4)
    assert spread_evenly(right, -16.4, 16.4)
    assert abs(np.corrcoef(down, right)[0, 1]) < 0.15


def test_zoom_keeps_the_centre_and_the_shape_of_things():
    zooms = []
    for rows, columns in origins(ShiftScale(p=1, shift=0, scale=0.6)):
        assert (rows[CENTRE, CENTRE], columns[CENTRE, CENTRE]) == (CENTRE, CENTRE)
        near = slice(CENTRE - 15, CENTRE + 16)  # what is no reflection at any zoom
        across, along = (np.polyfit(np.arange(31), line, 1)[0] for line in (columns[CENTRE, near], rows[near, CENTRE]))
        assert along == pytest.approx(across, rel=0.01)
        zooms.append(1 / across)
    assert spread_evenly(zooms, 0.4, 1.6)


def test_a_crop_cuts_each_side_by_its_own_amount_and_fills_the_tile():
    found = origins(CropResize(p=1, share=0.2))
    cuts = {
        "left": [columns[0, 0] for _, columns in found],
        "right": [SIDE - 1 - columns[0, -1] for _, columns in found],
        "top": [rows[0, 0] for rows, _ in found],
        "bottom": [SIDE - 1 - rows[-1, 0] for rows, _ in found],
    }
    assert all(spread_evenly(cut, 0, 20) for cut in cuts.values())
    assert np.abs(np.corrcoef(list(cuts.values())) - np.eye(4)).max() < 0.2


def test_shear_moves_rows_sideways_up_to_its_share_of_the_height_from_top_to_bottom():
    slants = []
    for rows, columns in origins(Shear(p=1, share=0.2)):
        assert np.array_equal(rows, ROWS)
        assert columns[CENTRE, CENTRE] == CENTRE
        slants.append((columns[CENTRE + 30, CENTRE] - columns[CENTRE - 30, CENTRE]) / 60)
    assert spread_evenly(slants, -0.2, 0.2)


@pytest.mark.parametrize("degrees", [(0, 15), (-30, -10)])
def test_rotation_is_counter_clockwise(degrees):
    """A point right of the centre rises: its new place shows what was there."""
    angles = []
    for rows, columns in origins(Rotate(p=1, degrees=degrees)):
        right, down = columns[CENTRE, CENTRE + 30] - CENTRE, rows[CENTRE, CENTRE + 30] - CENTRE
        angles.append(math.degrees(math.atan2(down, right)))
    assert spread_evenly(angles, *degrees)


def test_blur_spreads_a_point_up_to_its_deviation():
    point = np.zeros((SIDE, SIDE), np.uint8)
    point[CENTRE, :] = 255
    deviations = []
    for image, _ in draws([Blur(p=1, sigma=3)], point, point):
        weights = image[:, CENTRE].astype(float)
        deviations.append(math.sqrt(np.average((np.arange(SIDE) - CENTRE) ** 2, weights=weights)))
    assert max(deviations) == pytest.approx(3, abs=0.2)
    assert np.median(deviations) == pytest.approx(1.5, abs=0.3)


def test_noise_has_up_to_its_deviation_and_no_mean():
    grey = np.full((60, 60), 128, np.uint8)
    noise = [image.astype(float) - 128 for image, _ in draws([Noise(p=1, std=0.1)], grey, grey)]
    assert spread_evenly([part.std() / 255 for part in noise], 0, 0.1)
    assert abs(np.mean(noise)) < 0.55  # half a grey value: albumentations cuts the decimals


def test_elastic_displaces_by_its_root_mean_square_smoothly():
    moves = [columns - COLUMNS for _, columns in origins(Elastic(p=1, shift=3, sigma=8), 60)]
    inner = np.array(moves)[:, 25:-25, 25:-25]
    assert np.sqrt(np.mean(inner**2)) == pytest.approx(3, rel=0.15)
    assert np.sqrt(np.mean(np.diff(inner, axis=2) ** 2)) < 1


def test_a_grid_keeps_the_borders_and_the_order_of_rows_and_columns():
    for rows, columns in origins(Grid(p=1, cells=5, limit=0.5), 50):
        assert (columns[:, 0] == 0).all()
        assert (columns[:, -1] == SIDE - 1).all()
        assert (np.diff(columns, axis=1) >= 0).all()
        assert (np.diff(rows, axis=0) >= 0).all()
        assert 5 < np.abs(columns - COLUMNS).max() + np.abs(rows - ROWS).max() < 50
    rows, columns = origins(Grid(p=1, cells=5, limit=0), 1)[0]
    assert np.array_equal(rows, ROWS)
    assert np.array_equal(columns, COLUMNS)


def test_dropout_hides_a_few_rectangles():
    black = np.zeros((SIDE, SIDE), np.uint8)
    hidden = [(image > 0).mean() for image, _ in draws([CoarseDropout(p=1, holes=3, size=0.3)], black, black)]
    assert 0 < max(hidden) <= 3 * 0.3**2
    assert np.mean(hidden) == pytest.approx(2 * 0.15**2, rel=0.15)  # two holes, half their size: the means
