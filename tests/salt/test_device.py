import pytest
import torch

from salt import device
from salt.program import UserError
from schemas.config import Compute


def test_the_config_sets_the_threads():
    assert device.set_up(Compute(device="cpu", threads=1)).type == "cpu"
    assert torch.get_num_threads() == 1
    assert device.describe(torch.device("cpu")) == "CPU, 1 threads, float32"


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_is_asked_for_and_not_there_is_an_error():
    with pytest.raises(UserError, match="nvidia-smi"):
        device.set_up(Compute(device="cuda", threads=1))


def test_a_cpu_computes_in_float32():
    with device.autocast(torch.device("cpu")):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
