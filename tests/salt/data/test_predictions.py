import numpy as np

from salt.data import predictions


def test_16_bits_keep_what_is_more_than_a_half_and_what_is_not():
    probabilities = np.array([0, 0.25, 0.5, 0.5001, 1, 1 + 1e-6, -1e-6], np.float32)
    numbers = predictions.in_16_bits(probabilities)
    assert numbers.dtype == np.uint16
    assert (numbers > 0.5 * predictions.ONE).tolist() == [False, False, False, True, True, True, False]
    assert (numbers[0], numbers[4], numbers[5], numbers[6]) == (0, 65535, 65535, 0)


def test_every_16_bit_number_comes_back():
    numbers = np.arange(2**16, dtype=np.uint16)
    assert np.array_equal(predictions.in_16_bits(predictions.from_16_bits(numbers)), numbers)
