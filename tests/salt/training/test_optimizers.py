import pytest
import torch

from salt.training.optimizers import create_optimizer
from schemas.phases import Optimizer


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
