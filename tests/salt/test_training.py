import math

import pytest
import torch

from models.registry import create_network
from salt.geometry import Geometry
from salt.program import UserError
from salt.training import Best, Trainer, create_optimizer
from schemas.config import PRESETS, Compute, Input, Optimizer, Phase, PlainUnet

COSINE = {"name": "cosine", "cycles": [2, 3]}
PLATEAU = {"name": "plateau", "epochs": 6, "factor": 0.5, "patience": 1, "stop_after": 2}


def phase(schedule=COSINE, loss="bce_dice", lr=0.01, **more):
    optimizer = {"name": "adamw", "lr": lr}
    return Phase.model_validate({"loss": loss, "optimizer": optimizer, "schedule": schedule, "batch": 4, **more})


def train(tiles, phases, held_out=True, seed=3, workers=0):
    torch.manual_seed(seed)
    network = create_network(PlainUnet(name="unet_plain", width=4, levels=3))
    trainer = Trainer(
        network,
        Geometry(Input(channels="ramp"), tile=32),
        tiles.arrays,
        tiles.arrays if held_out else None,
        PRESETS["resnet34_author"],
        Compute(device="cpu", threads=1, loader_workers=workers),
        torch.device("cpu"),
        seed,
    )
    return network, trainer.run(phases)


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.fixture(scope="module")
def trained(tiles):
    return train(tiles, [phase(PLATEAU), phase(COSINE, loss="lovasz_elu")])


def test_it_learns(trained):
    _, result = trained
    assert result.history[-1].score > 0.6 > result.history[0].score


def test_each_plateau_and_each_cycle_leaves_a_snapshot(trained):
    _, result = trained
    assert list(result.snapshots) == ["phase1", "phase2_cycle1", "phase2_cycle2"]


def test_the_history_has_a_row_an_epoch(trained):
    table = trained[1].table()
    assert table.columns.tolist() == ["phase", "cycle", "epoch", "lr", "loss", "held_out_loss", "score"]
    second = table[table["phase"] == 2]
    assert second["cycle"].tolist() == [1, 1, 2, 2, 2]
    assert second["epoch"].tolist() == [1, 2, 3, 4, 5]
    assert second["lr"].iloc[[0, 2]].tolist() == [0.01, 0.01]


def test_a_snapshot_is_the_best_of_its_cycle_and_the_network_ends_with_the_best_of_all(trained):
    network, result = trained
    table = result.table()
    by_cycle = table[table["phase"] == 2].groupby("cycle")["score"].max()
    best = result.snapshots[f"phase2_cycle{by_cycle.idxmax()}"]
    assert same(network.state_dict(), best)
    assert not same(result.snapshots["phase2_cycle1"], result.snapshots["phase2_cycle2"])


def test_the_same_seed_trains_the_same_weights_whatever_the_workers(tiles):
    runs = [train(tiles, [phase()], workers=workers)[1] for workers in (0, 0, 2)]
    for run in runs[1:]:
        assert run.history == runs[0].history
        assert all(same(run.snapshots[name], state) for name, state in runs[0].snapshots.items())
    other = train(tiles, [phase()], seed=4)[1]
    assert other.history != runs[0].history


def test_without_held_out_tiles_the_latest_weights_count(tiles):
    network, result = train(tiles, [phase()], held_out=False)
    assert all(math.isnan(epoch.score) and math.isnan(epoch.held_out_loss) for epoch in result.history)
    assert same(network.state_dict(), result.snapshots["phase1_cycle2"])


def test_passes_make_an_epoch_longer(tiles):
    _, once = train(tiles, [phase({"name": "cosine", "cycles": [2]})])
    _, twice = train(tiles, [phase({"name": "cosine", "cycles": [2]}, passes_per_epoch=2)])
    assert len(once.history) == len(twice.history) == 2
    assert once.snapshots["phase1_cycle1"]["down.0.1.num_batches_tracked"] == 12
    assert twice.snapshots["phase1_cycle1"]["down.0.1.num_batches_tracked"] == 24


def test_a_loss_that_is_no_number_stops_with_advice(tiles):
    with pytest.raises(UserError, match="smaller learning rate than 1e\\+30"):
        train(tiles, [phase(lr=1e30)])


def test_the_best_weights_are_a_copy():
    network = torch.nn.Linear(1, 1)
    best = Best()
    best.offer(0.5, network)
    kept = best.state["weight"].clone()
    with torch.no_grad():
        network.weight += 1
    best.offer(0.4, network)
    assert torch.equal(best.state["weight"], kept)
    best.offer(0.6, network)
    assert torch.equal(best.state["weight"], kept + 1)


@pytest.mark.parametrize("name", ["sgd", "rmsprop", "adamw"])
def test_every_optimizer_moves_the_weights_downhill(name):
    network = torch.nn.Linear(1, 1)
    optimizer = create_optimizer(network, Optimizer(name=name, lr=0.01, weight_decay=1e-4))
    for _ in range(50):
        optimizer.zero_grad()
        loss = (network(torch.ones(1, 1)) - 3).square().sum()
        loss.backward()
        optimizer.step()
    assert (network(torch.ones(1, 1)) - 3).square().sum() < loss
