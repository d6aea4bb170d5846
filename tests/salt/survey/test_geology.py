import numpy as np
import pytest

from salt.survey.geology import enlarge, make_geology, smooth_field, smooth_line

SHAPE, TILE = (505, 606), 101


def geology(seed, **settings):
    return make_geology(np.random.default_rng(seed), SHAPE, TILE, **{"water": 0.4, "folding": 0.2, **settings})


@pytest.mark.parametrize("seed", range(5))
def test_no_salt_is_above_the_sea_floor(seed):
    rocks = geology(seed, straight=False)
    first = np.where(rocks.salt.any(axis=0), rocks.salt.argmax(axis=0), SHAPE[0])
    assert (first > rocks.water - 0.1 * TILE).all()


@pytest.mark.parametrize("seed", range(5))
def test_straight_flanks_are_vertical_to_the_bottom_and_the_waves_see_them_a_little_elsewhere(seed):
    rocks = geology(seed, straight=True)
    assert (rocks.salt[int(2.8 * TILE) :] == rocks.salt[-1]).all()
    assert 0 < np.mean(rocks.salt != rocks.visible) < 0.1


def test_other_flanks_are_seen_where_they_are_drawn():
    rocks = geology(0, straight=False)
    np.testing.assert_array_equal(rocks.salt, rocks.visible)


def test_layers_get_older_downwards():
    age = geology(1, straight=False).age
    assert (np.diff(age, axis=0) > 0).mean() > 0.9


def test_layers_rise_towards_salt():
    rocks = geology(3, straight=True, folding=0.0)
    below = np.arange(SHAPE[0])[:, None] - rocks.water
    uplift = (rocks.age - below)[3 * TILE]
    assert uplift[rocks.salt[3 * TILE] == 1].mean() > uplift[rocks.salt[3 * TILE] == 0].mean()


def test_smooth_lines_have_mean_0_and_deviation_1():
    line = smooth_line(np.random.default_rng(0), 50_000, 5.0)
    assert line.shape == (50_000,)
    assert abs(line.mean()) < 0.1
    assert abs(line.std() - 1) < 0.05


@pytest.mark.parametrize("scale", [(1.0, 1.0), (0.7, 30.0), (20.0, 5.0)])
def test_smooth_fields_have_the_shape_asked_for_and_deviation_about_1(scale):
    field = smooth_field(np.random.default_rng(0), (300, 401), scale)
    assert field.shape == (300, 401)
    assert field.dtype == np.float32
    assert 0.6 < field.std() < 1.2


def test_enlarge_is_linear_between_the_samples_it_keeps():
    field = np.array([[0.0, 2.0], [4.0, 6.0]], np.float32)
    np.testing.assert_allclose(enlarge(field, (3, 3)), [[0, 1, 2], [2, 3, 4], [4, 5, 6]])
    np.testing.assert_array_equal(enlarge(np.ones((1, 1), np.float32), (2, 3)), np.ones((2, 3)))
