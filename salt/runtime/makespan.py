"""How long jobs take side by side, on limited cores and GPUs: list scheduling, the longest chain first."""

import heapq
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter
from typing import NamedTuple


class Limits(NamedTuple):
    """What jobs share: cores, and places for jobs on GPUs. Infinite where nothing limits them."""

    cores: float = math.inf
    gpus: float = math.inf

    def at_once(self, sizes: Collection[tuple[int, int]]) -> int:
        """How many jobs run side by side if there are as many as sizes, (cores, gpus), and each is as large as one."""
        if not sizes:
            return 0
        room = min(min(self.cores / cores, self.gpus / gpus if gpus else math.inf) for cores, gpus in sizes)
        return max(1, math.floor(min(len(sizes), room)))


@dataclass(frozen=True)
class Load:
    """What a job takes. seconds: until its end; after: the jobs that it waits for; runs: it has started already."""

    seconds: float
    cores: int = 1
    gpus: int = 0
    after: frozenset[int] = frozenset()
    runs: bool = False


def critical_path(loads: Mapping[int, Load]) -> float:
    """Seconds of the longest chain of jobs, by number: more GPUs do not shorten it."""
    return max(_chains(loads).values(), default=0)


def makespan(loads: Mapping[int, Load], limits: Limits) -> float:
    """Seconds until all jobs are done if, of those that can start, the one with the longest chain starts first.

    On n equal machines at most 2 - 1/n times the best (Graham 1969). A job that takes more than the limits runs alone,
    as in Snakemake. Jobs to wait for that are not among the loads count as done.
    """
    chains = _chains(loads)
    rank = {number: (not load.runs, -chains[number], number) for number, load in loads.items()}
    waits = {number: load.after & loads.keys() for number, load in loads.items()}
    (cores, gpus), now = limits, 0.0
    running: list[tuple[float, int]] = []  # ends of jobs, the first one first
    while waits or running:
        for number in sorted((number for number, others in waits.items() if not others), key=rank.__getitem__):
            load = loads[number]
            if (load.cores <= cores and load.gpus <= gpus) or not running:
                cores, gpus = cores - load.cores, gpus - load.gpus
                heapq.heappush(running, (now + load.seconds, number))
                del waits[number]
        now, done = heapq.heappop(running)
        cores, gpus = cores + loads[done].cores, gpus + loads[done].gpus
        waits = {number: others - {done} for number, others in waits.items()}
    return now


def _chains(loads: Mapping[int, Load]) -> dict[int, float]:
    """Seconds from the start of each job to the end of the longest chain that begins with it."""
    chains = {number: load.seconds for number, load in loads.items()}
    after = {number: load.after & loads.keys() for number, load in loads.items()}
    for number in reversed(list(TopologicalSorter(after).static_order())):  # the last jobs first
        for other in after[number]:
            chains[other] = max(chains[other], loads[other].seconds + chains[number])
    return chains
