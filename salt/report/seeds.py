"""The differences between stages in runs that differ from this one only in seeds."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from salt.report.comparison import Comparison
from salt.runtime.paths import Run
from salt.scores import differences, verdict
from salt.scores.differences import Interval
from salt.scores.verdict import Difference
from schemas.config import Config

FEWEST = 3  # runs for an interval over seeds: of two, it would be too wide to tell anything


@dataclass(frozen=True)
class OverSeeds:
    """A difference in each of n runs.

    of: that of this run; values: (n,) of all runs, this one first; sd: their standard deviation
    interval: their mean and its interval over seeds; None with fewer than FEWEST runs
    """

    of: Difference
    values: list[float]
    sd: float
    interval: Interval | None

    @property
    def mean(self) -> float:
        """The mean over the runs."""
        return float(np.mean(self.values))


def over_runs(config: Config, run: Run, compared: Sequence[Comparison]) -> dict[str, list] | None:
    """The differences of masks as submitted in this run and in those of other seeds; None if there is no such run.

    runs: names of the folders; rows: OverSeeds of each difference that all runs have
    """
    folders = [run.folder, *(Path(other.folder) for other in compared if other.only_seeds)]
    if len(folders) == 1:
        return None
    found = [_by_pair(config, Run(folder)) for folder in folders]
    rows = []
    for pair, of in found[0].items():
        if all(pair in other for other in found):
            values = [other[pair].difference for other in found]
            interval = differences.interval(values) if len(values) >= FEWEST else None
            rows.append(OverSeeds(of, values, float(np.std(values, ddof=1)), interval))
    return {"runs": [folder.resolve().name for folder in folders], "rows": rows}


def _by_pair(config: Config, run: Run) -> dict[tuple[str, str, str], Difference]:
    """The differences of distinct pairs, by labels, name and than."""
    found = verdict.merged(verdict.as_submitted(config, verdict.load(run.differences)))
    return {(of.labels, of.name, of.than): of for of in found}
