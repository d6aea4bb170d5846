import os

os.environ["HF_HUB_OFFLINE"] = "1"  # no test fetches weights; huggingface_hub reads this when it is imported

import pytest
import torch

torch.set_num_threads(1)  # the same sums on every machine; tiny networks gain nothing from more


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of single tests; pytest wants them here."""
    parser.addoption("--kills", type=int, default=10, help="how often tests/workflow/test_chaos.py disturbs the run")
