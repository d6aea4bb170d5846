import os
import shutil
import subprocess

os.environ["HF_HUB_OFFLINE"] = "1"  # no test fetches weights; huggingface_hub reads this when it is imported

import pytest
import torch
from hypothesis import HealthCheck, settings

# The same examples each time, however long each takes: no test depends on chance, or on what else the machine does.
slow_or_shared = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]  # tests keep their fixtures' state apart
settings.register_profile("repeatable", deadline=None, derandomize=True, suppress_health_check=slow_or_shared)
settings.load_profile("repeatable")

torch.set_num_threads(1)  # the same sums on every machine; tiny networks gain nothing from more


@pytest.fixture
def on_a_small_disk():
    """Run a command where a new file system lies on a folder: `size=10m`, or `ro` for read-only.

    The mount is seen by the command alone and gone with it. Root ignores permissions, so that nothing less will do.
    """

    def run(folder, options, command, **kwargs):
        mount = f"mount -t tmpfs -o {options} none {folder}"
        alone = ["unshare", "--mount", "sh", "-c"]
        if not shutil.which("unshare") or subprocess.run([*alone, mount], capture_output=True, check=False).returncode:
            pytest.skip("this user or system cannot mount")
        return subprocess.run(
            [*alone, f'{mount} && exec "$@"', "sh", *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            **kwargs,
        )

    return run


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of single tests; pytest wants them here."""
    parser.addoption("--kills", type=int, default=10, help="how often tests/workflow/test_chaos.py disturbs the run")
