from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from salt.runtime.makespan import Limits, Load, critical_path, makespan


def folds(count, seconds=10.0, **more):
    return {number: Load(seconds, gpus=1, **more) for number in range(count)}


@pytest.mark.parametrize(("gpus", "seconds"), [(1, 50), (2, 30), (4, 20), (5, 10), (8, 10)])
def test_five_folds_take_as_many_turns_as_the_gpus_need(gpus, seconds):
    assert makespan(folds(5), Limits(cores=64, gpus=gpus)) == seconds


def test_gpus_wait_if_there_are_fewer_cores():
    assert makespan(folds(4), Limits(cores=2, gpus=4)) == 20
    assert makespan(folds(4), Limits()) == 10


def test_the_longest_chain_begins_first_and_bounds_the_time():
    loads = {1: Load(3, gpus=1), 2: Load(3, gpus=1), 3: Load(2, gpus=1), 4: Load(6, gpus=1, after=frozenset({3}))}
    assert critical_path(loads) == 8
    assert makespan(loads, Limits(gpus=2)) == 8


def test_jobs_that_run_already_keep_their_places():
    loads = {1: Load(9, gpus=1), 2: Load(1, gpus=1, runs=True)}
    assert makespan(loads, Limits(gpus=1)) == 10
    assert makespan(loads | {3: Load(5, gpus=1, runs=True)}, Limits(gpus=2)) == 10


def test_a_job_that_needs_more_than_there_is_runs_alone_and_done_ones_are_not_waited_for():
    assert makespan({1: Load(2, cores=8), 2: Load(3, after=frozenset({99}))}, Limits(cores=4)) == 5
    assert makespan({}, Limits()) == critical_path({}) == 0


@pytest.mark.parametrize(
    ("limits", "size", "count"),
    [
        (Limits(cores=8, gpus=4), (1, 1), 4),
        (Limits(cores=2, gpus=4), (1, 1), 2),
        (Limits(cores=5, gpus=1), (2, 0), 2),
        (Limits(cores=1, gpus=1), (4, 0), 1),
        (Limits(), (1, 1), 6),
    ],
)
def test_as_many_jobs_run_at_once_as_cores_and_gpus_have_room_for(limits, size, count):
    assert limits.at_once([size] * 6) == count
    assert limits.at_once([]) == 0


@st.composite
def loads(draw):
    """Up to five jobs, each after some earlier ones."""
    jobs = {}
    for number in range(draw(st.integers(1, 5))):
        after = frozenset(draw(st.sets(st.sampled_from(range(number))))) if number else frozenset()
        jobs[number] = Load(draw(st.integers(0, 5)), draw(st.integers(1, 2)), draw(st.integers(0, 1)), after)
    return jobs


def best(jobs, limits):
    """The shortest time over all orders of the jobs; each starts as early as the ones before it allow."""
    found = []
    for order in permutations(jobs):
        placed, start = {}, 0
        for number in order:
            job = jobs[number]
            if not job.after <= placed.keys():
                break
            start = max([start, *(placed[other][1] for other in job.after)])
            while any(
                sum(getattr(jobs[other], what) for other, (_, end) in placed.items() if end > start)
                + getattr(job, what)
                > limit
                for what, limit in zip(("cores", "gpus"), limits, strict=True)
            ):
                start = min(end for _, end in placed.values() if end > start)
            placed[number] = (start, start + job.seconds)
        else:
            found.append(max(end for _, end in placed.values()))
    return min(found)


@given(loads(), st.integers(2, 4), st.integers(1, 3))
def test_the_time_lies_between_the_best_order_and_one_job_after_another(jobs, cores, gpus):
    limits = Limits(cores, gpus)
    found = makespan(jobs, limits)
    assert critical_path(jobs) <= best(jobs, limits) <= found <= sum(job.seconds for job in jobs.values())
    assert makespan(jobs, Limits()) == critical_path(jobs)
