"""What a GPU does otherwise than a CPU. Whatever a CPU can show runs there too, with the same code.

`make gpu-check` runs this file on a machine without Snakemake's and the report's packages, so it imports neither.
"""

import json
import os
import subprocess
import sys

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # for `deterministic`; cuBLAS reads it when it starts

import pytest
import torch
from torch.nn.functional import cosine_similarity

from salt.runtime import device
from salt.training import fit
from salt.training.checkpoints import Checkpoints
from salt.training.task import Task
from schemas.config import Compute
from schemas.errors import UserError
from schemas.training import TrainSettings
from tests.easy_tiles import easy_tiles

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]
PLAIN = {"name": "unet_plain", "width": 8, "levels": 3}
RESNET = {"name": "unet", "encoder": "tu-test_resnet", "decoder_channels": [16, 16, 16], "weights": "none"}
HOLDER = """
from salt.runtime import gpu_lease
gpu_lease.start_program()
import sys, torch
print(torch.cuda.device_count(), torch.ones(2, device="cuda").sum().item(), flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def as_before():
    yield
    torch.use_deterministic_algorithms(False)


def create_task(where, network=PLAIN, loss="lovasz_relu", batch=8, resize=32, tiles=24, **compute):
    phase = {
        "loss": loss,
        "optimizer": {"name": "sgd", "lr": 0.01},
        "schedule": {"name": "cosine", "cycles": [2, 1]},
        "batch": batch,
    }
    given = {"seed": 3, "network": network, "input": {"resize": resize}, "augment": "write_up", "phases": [phase]}
    settings = TrainSettings.model_validate(given)
    train = easy_tiles(tiles)
    return Task.create(settings, Compute(device=where, threads=1, loader_workers=0, **compute), train, train)


# The same results ---------------------------------------------------------------------------------------------------


def first_step(monkeypatch, where, enabled, **settings):
    """The loss and the gradients of the first step, in bf16 or in float32."""
    task, found, step = create_task(where, **settings), {}, fit.PhaseTraining._step

    def look(optimizer, *_):
        gradients = [weight.grad.flatten() for weight in task.network.parameters() if weight.grad is not None]
        found["gradient"] = torch.cat(gradients).float()

    def one(training, *args):
        step(training, *args)
        found["loss"] = training.state.losses[-1].item()
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        half = {"dtype": torch.bfloat16, "enabled": enabled}
        patched.setattr(fit, "autocast", lambda on, *_: torch.autocast(on.type, **half))
        patched.setattr(torch.optim.SGD, "step", look)
        patched.setattr(fit.PhaseTraining, "_step", one)
        fit.train(task)
    return found["loss"], found["gradient"]


@pytest.mark.parametrize("loss", ["bce_dice", "lovasz_relu", "lovasz_elu"])
@pytest.mark.parametrize("network", [PLAIN, RESNET], ids=["plain", "resnet"])
@pytest.mark.parametrize("where", DEVICES)
def test_bf16_gives_nearly_the_loss_and_the_gradient_of_float32(monkeypatch, where, network, loss):
    (half, rough), (full, exact) = (
        first_step(monkeypatch, where, enabled, network=network, loss=loss) for enabled in (True, False)
    )
    assert half == pytest.approx(full, rel=0.02)
    assert cosine_similarity(rough, exact, dim=0) > 0.97
    assert rough.norm().item() == pytest.approx(exact.norm().item(), rel=0.1)


@pytest.mark.parametrize("network", [PLAIN, RESNET], ids=["plain", "resnet"])
@pytest.mark.parametrize("where", DEVICES)
def test_a_deterministic_training_that_was_killed_goes_on_to_the_same_bits(tmp_path, monkeypatch, where, network):
    def trained(folder, **compute):
        with Checkpoints(folder, "mine") as checkpoints:
            fitted = fit.train(create_task(where, network, deterministic=True, **compute), checkpoints)
            return {name: value.cpu() for name, value in fitted.task.network.state_dict().items()}

    whole, step, taken = trained(tmp_path / "whole"), fit.PhaseTraining._step, []

    def killed(*args):
        if len(taken) == 5:  # in the middle of the second epoch
            raise KeyboardInterrupt
        taken.append(1)
        step(*args)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(fit.PhaseTraining, "_step", killed)
        trained(tmp_path / "cut", checkpoint_seconds=0)
    again = trained(tmp_path / "cut")
    assert all(torch.equal(again[name], value) for name, value in whole.items())


@pytest.mark.gpu
def test_a_gpu_scores_what_a_cpu_does():
    cpu, gpu = (fit.train(create_task(where, loss="bce_dice")).history for where in ("cpu", "cuda"))
    assert gpu["loss"].to_numpy() == pytest.approx(cpu["loss"].to_numpy(), rel=0.05)


# Its own ------------------------------------------------------------------------------------------------------------


@pytest.mark.gpu
def test_a_gpu_that_is_too_small_is_one_paragraph_that_says_what_to_do():
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(1e8 / total)
    try:
        with pytest.raises(UserError) as error:
            fit.train(create_task("cuda", {**PLAIN, "width": 64}, batch=24, resize=256))
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
        torch.cuda.empty_cache()
    text = str(error.value)
    assert text.startswith("The GPU's memory is full (CUDA out of memory.")
    assert "\n" not in text
    assert "a smaller batch" in text
    assert "what was done is kept" in text


@pytest.mark.gpu
def test_a_program_holds_a_gpu_until_it_ends_and_the_next_one_waits():
    command = [sys.executable, "-c", HOLDER, "--compute", json.dumps({"device": "cuda"})]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    one_gpu = os.environ | {"CUDA_VISIBLE_DEVICES": os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]}
    with (
        subprocess.Popen(command, **pipes, env=one_gpu) as first,
        subprocess.Popen(command, **pipes, env=one_gpu) as second,
    ):
        logs = {}
        for program in (first, second):
            logs[program] = next(
                line for line in program.stdout if " runs on GPU" in line or " waits for a GPU" in line
            )
        waiting = first if "waits" in logs[first] else second
        holding = second if waiting is first else first
        assert next(line for line in holding.stdout if line[0] == "1") == "1 2.0\n"
        assert waiting.poll() is None
        holding.stdin.close()
        assert next(line for line in waiting.stdout if line[0] == "1") == "1 2.0\n"
        waiting.stdin.close()


@pytest.mark.gpu
def test_a_gpu_is_named_with_its_precision():
    where = device.set_up(Compute(device="auto", threads=1))
    assert where.type == "cuda"
    assert device.describe(where).endswith(", bf16" if device.computes_in_bf16(where) else ", float32")
