import numpy as np

from salt.data import predictions


def test_the_threshold_is_not_rounded_to_the_arrays_precision():
    just_above = np.float16(0.7)  # 0.7002 in float16
    assert predictions.binarize(np.array([just_above]), 0.7).tolist() == [True]
    assert (np.array([just_above]) > 0.7).tolist() == [False]  # what NumPy does by itself


def test_the_threshold_itself_is_not_salt():
    assert predictions.binarize(np.array([0.5], np.float16), 0.5).tolist() == [False]


def test_16_bits_keep_what_is_more_than_a_half_and_what_is_not():
    probabilities = np.array([0, 0.25, 0.5, 0.5001, 1, 1 + 1e-6, -1e-6], np.float32)
    numbers = predictions.in_16_bits(probabilities)
    assert numbers.dtype == np.uint16
    assert (numbers > 0.5 * predictions.ONE).tolist() == [False, False, False, True, True, True, False]
    assert (numbers[0], numbers[4], numbers[5], numbers[6]) == (0, 65535, 65535, 0)


def test_every_16_bit_number_comes_back():
    numbers = np.arange(2**16, dtype=np.uint16)
    assert np.array_equal(predictions.in_16_bits(predictions.from_16_bits(numbers)), numbers)
