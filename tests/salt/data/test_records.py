import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from salt.data.records import chunks, create_records, open_records


def test_records_come_back_with_their_ids(tmp_path):
    ids = ["b", "a", "été"]
    values = np.arange(12, dtype=np.float16).reshape(3, 2, 2)
    with create_records(tmp_path / "p.npy", ids, {"p": np.float16, "mask": np.uint8}, 2, 2) as records:
        records["p"] = values
    found = open_records(tmp_path / "p.npy")
    assert isinstance(found, np.memmap)
    assert found["id"].tolist() == ids
    assert np.array_equal(found["p"], values)
    assert found["mask"].max() == 0


def test_no_tiles_make_an_empty_file(tmp_path):
    with create_records(tmp_path / "p.npy", [], {"p": np.float16}, 2, 2):
        pass
    assert len(open_records(tmp_path / "p.npy")) == 0


def test_an_id_twice_is_refused(tmp_path):
    with pytest.raises(ValueError, match="not unique"), create_records(tmp_path / "p.npy", ["a", "a"], {}, 2, 2):
        pass


def test_an_error_leaves_no_file(tmp_path):
    with pytest.raises(RuntimeError), create_records(tmp_path / "p.npy", ["a"], {"p": np.uint8}, 2, 2):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


@given(st.integers(0, 50), st.integers(1, 20))
def test_chunks_cover_everything_once(count, size):
    covered = [row for rows in chunks(count, size) for row in range(count)[rows]]
    assert covered == list(range(count))
