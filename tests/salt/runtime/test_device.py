import os

import pytest
import torch

from salt.runtime import device
from schemas.config import Compute
from schemas.errors import UserError


def test_the_config_sets_the_threads():
    assert device.set_up(Compute(device="cpu", threads=1)).type == "cpu"
    assert torch.get_num_threads() == 1
    assert device.describe(torch.device("cpu")) == "CPU, 1 threads, float32"


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_is_asked_for_and_not_there_is_an_error():
    with pytest.raises(UserError, match="nvidia-smi"):
        device.set_up(Compute(device="cuda", threads=1))


def product(dtype=None):
    with device.autocast(torch.device("cpu"), dtype):
        return (torch.ones(2, 2) @ torch.ones(2, 2)).dtype


def test_a_training_on_a_cpu_computes_in_float32(monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True)
    assert product() == torch.float32
    assert device.describe(torch.device("cpu")).endswith("threads, float32")


@pytest.mark.parametrize(
    ("amx", "setting", "expected"),
    [(True, "auto", "bf16"), (True, "float32", "float32"), (False, "auto", "float32")],
)
def test_a_prediction_computes_in_bf16_where_the_cpu_is_faster_in_it(amx, setting, expected, monkeypatch):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    dtype = device.prediction_dtype(torch.device("cpu"), Compute(predict_dtype=setting))
    assert product(dtype) == {"bf16": torch.bfloat16, "float32": torch.float32}[expected]
    assert device.describe(torch.device("cpu"), dtype).endswith(f"threads, {expected}")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nmore"),
            "The GPU's memory is full (CUDA",
        ),
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed."), "A process that loads tiles"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "This machine's memory is full"),
    ],
)
def test_a_machine_too_small_is_reported_with_a_remedy_and_without_a_traceback(error, message):
    with pytest.raises(UserError) as found, device.faults_of_the_machine():
        raise error
    text = str(found.value)
    assert text.startswith(message)
    assert "same command again; what was done is kept" in text
    assert "more" not in text.split(")")[0]


def test_a_fault_of_the_program_stays_one():
    with pytest.raises(RuntimeError, match="shape"), device.faults_of_the_machine():
        raise RuntimeError("shape mismatch")


@pytest.fixture
def deterministic():
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.usefixtures("deterministic")
def test_what_a_deterministic_gpu_needs_is_set(monkeypatch):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    device.set_up(Compute(device="cpu", threads=1, deterministic=True))
    assert torch.are_deterministic_algorithms_enabled()
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
