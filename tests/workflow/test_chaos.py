"""However a run is disturbed, repeating its command completes it with the same bytes as an undisturbed run.

The disturbed run is in another folder; the numbers of cores and of loader workers change from start to start. Its jobs
take leases of two GPUs, which kills must free.
`make chaos` does the same with 50 events.
"""

import numpy as np
import pytest

from tests.workflow.chaos import EVENTS, OF_THE_DISK, START, Victim, digests, small_disk
from tests.workflow.conftest import copy_of_the_repository

pytestmark = pytest.mark.slow

LONGEST = 14.0  # s of work before an event: short, so that all events fit into one run


@pytest.fixture(scope="module")
def events(request):
    """Each event once, and kills to reach the requested number."""
    wanted = request.config.getoption("--kills")
    return [*EVENTS, *["kill"] * (wanted - len(EVENTS))]


def test_a_disturbed_run_ends_with_the_bytes_of_one_that_was_not(run, events, tmp_path):
    rng = np.random.default_rng(len(events))
    hits, left = [], list(rng.permutation(events))
    while left:
        folder = tmp_path / f"victim{len(hits)}"
        folder.mkdir()
        victim = Victim(copy_of_the_repository(folder), rng)
        with small_disk(victim.results, megabytes=500) as mounted:
            done = False
            while left and not done:
                event = str(left[-1])
                if event in OF_THE_DISK and not mounted:
                    left.pop()
                    continue
                done = not victim.disturb(event, START + rng.uniform(0, LONGEST))
                if not done:
                    left.pop()
            victim.finish()
            assert digests(victim.results) == digests(run.results)
        hits += victim.hits
    assert len(hits) >= len(events) - len(OF_THE_DISK)
    for hit in hits:
        busy = ", ".join(hit.jobs) or "no running job"
        print(f"{hit.event:40} after {hit.after:5.1f} s, {hit.lost:5.1f} s of work lost: {busy}")
