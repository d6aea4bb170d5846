import pytest

from salt.runtime import gpu_peaks


def test_time_goes_with_the_peak_rate():
    assert gpu_peaks.elsewhere(312.0, "NVIDIA A100-SXM4-80GB, bf16")["H100"] == pytest.approx(312 * 312 / 989)


@pytest.mark.parametrize("device", ["CPU, 2 threads, float32", "NVIDIA Quadro 1, bf16", "NVIDIA H200, float32"])
def test_nothing_is_guessed_from_other_devices(device):
    assert gpu_peaks.elsewhere(60.0, device) == {}
