import pytest
import torch

from salt.inference.weight_files import save_weights
from salt.packs import half_precision
from schemas.errors import UserError


def test_kernels_become_half_and_vectors_stay():
    state = {"kernel": torch.rand(2, 3, 3, 3), "variance": torch.full((3,), 1e6), "steps": torch.tensor(7)}
    found = half_precision.halved(state)
    assert {name: value.dtype for name, value in found.items()} == {
        "kernel": torch.float16,
        "variance": torch.float32,
        "steps": torch.int64,
    }
    assert torch.allclose(found["kernel"].float(), state["kernel"], rtol=2**-11, atol=1e-7)


@pytest.mark.parametrize("value", [7e4, float("inf"), float("nan")])
def test_a_kernel_that_half_precision_cannot_hold_stays(value):
    kernel = torch.full((2, 2), value)
    assert half_precision.halved({"kernel": kernel})["kernel"] is kernel


def test_what_is_no_kernel_of_float32_stays(tmp_path):
    state = {"empty": torch.zeros(0, 3), "indices": torch.zeros(2, 2, dtype=torch.int64)}
    assert half_precision.halved(state)["empty"] is state["empty"]
    assert half_precision.halved(state)["indices"] is state["indices"]


def test_a_damaged_file_is_refused(tmp_path):
    save_weights(tmp_path / "a.safetensors", {"kernel": torch.rand(4, 4)})
    half_precision.convert(tmp_path / "a.safetensors", tmp_path / "b.safetensors")
    whole = (tmp_path / "a.safetensors").read_bytes()
    (tmp_path / "a.safetensors").write_bytes(whole[:40])
    with pytest.raises(UserError, match="found a file that cannot be read"):
        half_precision.convert(tmp_path / "a.safetensors", tmp_path / "c.safetensors")
