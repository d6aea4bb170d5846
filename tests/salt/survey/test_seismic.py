import numpy as np
import pytest

from salt.survey.geology import Geology
from salt.survey.seismic import Acquisition, image

TILE = 101
CLEAN = Acquisition(wavelength=(8.0, 8.0), noise=0.0, clarity=1.0, gain=0.0)


def flat(height=303, width=303, water=40.0):
    """Flat layers below flat water, a block of salt in the middle."""
    salt = np.zeros((height, width), np.uint8)
    salt[130:230, 100:200] = 1
    age = np.repeat(np.arange(height, dtype=np.float32)[:, None] - water, width, axis=1)
    return Geology(salt, salt, np.full(width, water, np.float32), age)


def section(waves=CLEAN, seed=0):
    return image(np.random.default_rng(seed), flat(), waves, TILE)


def test_water_is_exactly_silent():
    assert (section()[:35] == 0).all()


@pytest.mark.parametrize("seed", range(5))
def test_the_sea_floor_is_among_the_brightest_reflectors(seed):
    profile = np.abs(section(seed=seed)).mean(axis=1)
    assert profile[38:44].max() > np.percentile(profile[60:], 95)


def test_salt_is_quieter_than_sediments():
    picture = section()
    assert picture[145:215, 110:190].std() < 0.8 * picture[145:215, :80].std()


def test_the_top_of_salt_is_bright():
    picture = np.abs(section())
    assert picture[125:136, 110:190].mean() > 2 * picture[150:210, 110:190].mean()


def test_flat_layers_give_a_flat_picture():
    picture = section()[60:120]
    assert np.abs(np.diff(picture, axis=1)).mean() < 0.5 * np.abs(np.diff(picture, axis=0)).mean()


@pytest.mark.parametrize("wavelength", [6.0, 12.0, 20.0])
def test_the_wavelength_is_the_one_asked_for(wavelength):
    picture = section(Acquisition((wavelength, wavelength), 0.0, 0.0, 0.0))[60:, :80]
    power = (np.abs(np.fft.rfft(picture - picture.mean(axis=0), axis=0)) ** 2).mean(axis=1)
    mean = (power * np.fft.rfftfreq(len(picture))).sum() / power.sum()
    assert 0.75 / wavelength < mean < 1.5 / wavelength


def test_noise_grows_with_depth():
    loud = Acquisition((8.0, 8.0), 1.5, 1.0, 0.0)
    noise = section(loud) - section(Acquisition((8.0, 8.0), 0.0, 1.0, 0.0))
    assert noise[250:].std() > 2 * noise[50:100].std()


def test_the_same_generator_gives_the_same_picture():
    np.testing.assert_array_equal(section(seed=4), section(seed=4))
