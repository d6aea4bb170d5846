import os
import shutil
import subprocess

os.environ["HF_HUB_OFFLINE"] = "1"  # no test fetches weights; huggingface_hub reads this when it is imported

import pytest
import torch
from hypothesis import HealthCheck, settings

# The same examples each time, without deadlines: no test depends on chance or on the load of the machine.
slow_or_shared = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]  # examples do not share fixtures' state
settings.register_profile("repeatable", deadline=None, derandomize=True, suppress_health_check=slow_or_shared)
settings.load_profile("repeatable")

torch.set_num_threads(1)  # the same sums on every machine; tiny networks gain nothing from more


@pytest.fixture
def on_a_small_disk():
    """Run a command with a new file system mounted on a folder; options: `size=10m`, or `ro` for read-only.

    Only the command sees the mount, which ends with it. Permissions do not suffice: root ignores them.
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


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs a GPU where there is none."""
    if item.get_closest_marker("gpu") and not torch.cuda.is_available():
        pytest.skip("this machine has no GPU")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of single tests; pytest requires them here."""
    parser.addoption("--kills", type=int, default=10, help="how often tests/workflow/test_chaos.py disturbs the run")
    parser.addoption("--slurm", action="store_true", help="run tests/workflow/test_slurm.py on a cluster of its own")
