import subprocess

import pytest

from salt.runtime import gpu_count

DRIVER = """
static int fails = %d;
int cuInit(unsigned flags) { return fails; }
int cuDeviceGetCount(int *count) { *count = 3; return 0; }
"""


@pytest.fixture
def driver(tmp_path):
    """A library in the place of CUDA's driver."""

    def build(fails):
        (tmp_path / "cuda.c").write_text(DRIVER % fails)
        library = tmp_path / f"cuda{fails}.so"
        try:
            subprocess.run(["cc", "-shared", "-fPIC", "-o", library, tmp_path / "cuda.c"], check=True)
        except FileNotFoundError:
            pytest.skip("there is no C compiler")
        return str(library)

    return build


def test_the_driver_counts_its_gpus(driver):
    assert gpu_count.ask_driver(driver(fails=0)) == 3


def test_a_driver_that_fails_has_none(driver):
    assert gpu_count.ask_driver(driver(fails=100)) == 0


def test_without_a_driver_there_is_none():
    assert gpu_count.ask_driver("libnowhere.so.1") == 0


def test_the_count_is_that_of_the_driver_asked_elsewhere(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr(gpu_count.Path, "exists", lambda _: False)
    assert gpu_count.count() == 0
