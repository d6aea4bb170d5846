import numpy as np

from salt import predictions


def test_the_threshold_is_not_rounded_to_the_arrays_precision():
    just_above = np.float16(0.7)  # 0.7002 in float16
    assert predictions.salt(np.array([just_above]), 0.7).tolist() == [True]
    assert (np.array([just_above]) > 0.7).tolist() == [False]  # what NumPy does by itself


def test_the_threshold_itself_is_not_salt():
    assert predictions.salt(np.array([0.5], np.float16), 0.5).tolist() == [False]
