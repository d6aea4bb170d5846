import json
from dataclasses import replace

import pytest
import torch

from benchmarks import recipe, tiles, training
from schemas.config import Compute

SMALL = ["--device", "cpu", "--models", "stage2_lite", "--batch", "2", "--threads", "1", "--seconds", "0.001"]


def test_the_ways_of_a_model_are_measured_and_compared(tmp_path, capsys):
    words = [*SMALL, "--ways", "original", "ours", "limit", "--json", str(tmp_path / "found.json")]
    assert training.main(words) == 0
    found = json.loads((tmp_path / "found.json").read_text())
    assert [row["way"] for row in found["rows"]] == ["original", "ours", "limit"]
    assert all(row["images/s"] > 0 and row["TFLOP/s"] > 0 and row["peak MB"] > 0 for row in found["rows"])
    assert found["ratios"][0].keys() == {"model", "ours / original", "ours / limit"}
    assert "| stage2_lite | 48x48 | 2 | ours |" in capsys.readouterr().out


def test_a_cpu_has_fewer_ways_than_a_gpu_and_some_are_measured_only_by_name():
    cpu, gpu = (training.usual_ways(Compute(device=name, loader_workers=0)) for name in ("cpu", "cuda"))
    assert cpu == ["original", "ours", "limit", "no channels_last", "no batched loss", "no engine's loader"]
    assert set(gpu) - set(cpu) == training.ONLY_CUDA - {"with autotune"}
    assert "no workers" in training.usual_ways(Compute(device="cpu", loader_workers=2))


def first_loss(way, pngs):
    """The loss of the first step, of tiles that are not augmented, so that every loader gives the same ones."""
    compute = recipe.compute(training.parse_args(SMALL))
    task = training.create_task("stage2_lite", 2, compute, tiles.make(2))
    task = replace(task, settings=task.settings.model_copy(update={"augment": ()}))
    for module in task.network.modules():
        if isinstance(module, torch.nn.modules.dropout._DropoutNd):
            module.p = 0.0  # it would hit other tiles in another order
    with training.steps(task, way, pngs) as step:
        return step().item()


def test_all_ways_learn_the_same(tmp_path):
    tiles.write_pngs(tmp_path, tiles.make(2))
    names = ["original", "ours", "limit", "no channels_last", "no batched loss", "no engine's loader"]
    losses = {name: first_loss(training.WAYS[name], tmp_path) for name in names}
    assert losses == pytest.approx(dict.fromkeys(names, losses["ours"]), rel=1e-3)


def test_a_fault_is_in_its_row_and_the_others_are_measured(tmp_path, monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory.\nmore")

    monkeypatch.setattr(training.original, "image_by_image", full)
    words = [*SMALL, "--ways", "no batched loss", "limit", "--json", str(tmp_path / "found.json")]
    assert training.main(words) == 1
    first, second = json.loads((tmp_path / "found.json").read_text())["rows"]
    assert first["fault"] == "OutOfMemoryError: CUDA out of memory."
    assert second["images/s"] > 0
