import errno

import numpy as np
import pytest

from salt.data import scratch


@pytest.mark.parametrize("shape", [(3, 4, 5), (0, 4, 5), (2, 4, 5, 3)])
def test_scratch_arrays_are_zeros_that_leave_no_file(tmp_path, shape):
    array = scratch.in_folder(tmp_path / "new")(shape)
    np.testing.assert_array_equal(array, scratch.in_memory(shape))
    array[:] = 7
    assert (array == 7).all()
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_an_error_before_anything_is_written(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full)
    with pytest.raises(OSError, match="No space"):
        scratch.in_folder(tmp_path)((3, 4, 5))
