import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from salt.augment import augment, create_augmentation
from schemas.config import Augment

PIPELINE = create_augmentation(Augment())


@pytest.fixture
def tile():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (101, 101), dtype=np.uint8)
    return image, (image > 128).astype(np.uint8)


@given(st.integers(0, 2**32 - 1))
def test_the_same_seed_draws_the_same_change(seed):
    image = np.arange(101 * 101, dtype=np.uint32).reshape(101, 101).astype(np.uint8)
    mask = (image > 100).astype(np.uint8)
    first, second = (augment(PIPELINE, image, mask, seed) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert first[0].shape == first[1].shape == (101, 101)
    assert first[0].dtype == first[1].dtype == np.uint8
    assert set(np.unique(first[1])) <= {0, 1}


def test_different_seeds_draw_different_changes(tile):
    drawn = {augment(PIPELINE, *tile, seed)[0].tobytes() for seed in range(20)}
    assert len(drawn) > 15


def test_mask_and_image_move_together(tile):
    geometric = create_augmentation(Augment(flip=0.5, brightness=0, contrast=0, shift_scale=0))
    for seed in range(10):
        image, mask = augment(geometric, *tile, seed)
        assert np.array_equal(mask, image > 128)


def test_nothing_is_ever_turned_upside_down():
    image = np.repeat(np.arange(101, dtype=np.uint8)[:, None], 101, axis=1)
    geometric = create_augmentation(Augment(brightness=0, contrast=0))
    for seed in range(50):
        rows = augment(geometric, image, image % 2, seed)[0].mean(axis=1)
        assert rows[30] < rows[70]


def test_all_probabilities_zero_change_nothing(tile):
    nothing = create_augmentation(Augment(flip=0, brightness=0, contrast=0, shift_scale=0))
    image, mask = augment(nothing, *tile, 7)
    assert np.array_equal(image, tile[0])
    assert np.array_equal(mask, tile[1])


def test_constant_tiles_pass(tile):
    black = np.zeros((101, 101), np.uint8)
    for seed in range(10):
        assert augment(PIPELINE, black, black, seed)[1].max() == 0


def test_the_changes_are_drawn_independently():
    """Recipe 4: no change at all in 0.5 x 0.8 x 0.9 x 0.3 of the draws, and every combination occurs."""
    image = np.tile(np.arange(101, dtype=np.uint8) + 50, (101, 1))
    unchanged = sum(np.array_equal(augment(PIPELINE, image, image, seed)[0], image) for seed in range(600)) / 600
    assert unchanged == pytest.approx(0.108, abs=0.04)
    flips = create_augmentation(Augment(brightness=1, contrast=0, shift_scale=0))
    darker_by_flip = {True: [], False: []}
    for seed in range(200):
        drawn = augment(flips, image, image, seed)[0].astype(int)
        darker_by_flip[drawn[0, 0] > drawn[0, -1]].append(drawn.mean() < image.mean())
    assert all(0.3 < np.mean(darker) < 0.7 for darker in darker_by_flip.values())


def test_zoom_keeps_the_shape_of_things():
    side = 101
    rows, columns = np.mgrid[:side, :side] - side // 2
    disc = ((rows**2 + columns**2) < 12**2).astype(np.uint8)
    zoom = create_augmentation(Augment(flip=0, brightness=0, contrast=0, shift_scale=1, shift_limit=0))
    for seed in range(30):
        _, mask = augment(zoom, disc * 200, disc, seed)
        height, width = (np.flatnonzero(mask.any(axis=axis)).size for axis in (1, 0))
        assert abs(height - width) <= 2
