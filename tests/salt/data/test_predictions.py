import numpy as np

from salt.data import predictions


def test_16_bits_keep_what_is_more_than_a_half_and_what_is_not():
    probabilities = np.array([0, 0.25, 0.5, 0.5001, 1, 1 + 1e-6, -1e-6], np.float32)
    numbers = predictions.in_16_bits(probabilities)
    assert numbers.dtype == np.uint16
    assert (numbers > 0.5 * predictions.ONE).tolist() == [False, False, False, True, True, True, False]
    assert (numbers[0], numbers[4], numbers[5], numbers[6]) == (0, 65535, 65535, 0)


def test_8_bits_are_above_127_exactly_where_a_probability_exceeds_a_half():
    around = np.nextafter(np.float32(0.5), np.array([0, 0.5, 1], np.float32))
    assert predictions.in_8_bits(around).tolist() == [127, 127, 128]
    every = np.linspace(0, 1, 10_001, dtype=np.float32)
    numbers = predictions.in_8_bits(every)
    assert np.array_equal(numbers > 127, every > 0.5)
    assert np.abs(numbers / 255 - every).max() <= 0.5 / 255 + 1e-6


def test_every_16_bit_number_comes_back():
    numbers = np.arange(2**16, dtype=np.uint16)
    assert np.array_equal(predictions.in_16_bits(predictions.from_16_bits(numbers)), numbers)
