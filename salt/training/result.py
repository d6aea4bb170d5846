"""The result of a finished training, and its files."""

from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from salt.inference import snapshots
from salt.inference.snapshots import KeptSnapshot
from salt.inference.weight_files import State, save_weights
from salt.runtime import device
from salt.runtime.atomic import atomic_folder, atomic_path
from salt.runtime.paths import snapshot
from salt.runtime.timings import Timing, kind
from salt.training.state import TrainingState
from salt.training.task import Task


@dataclass(frozen=True)
class Fitted:
    """A task and the final state of its training."""

    task: Task
    state: TrainingState

    @property
    def best(self) -> State:
        """The best weights of the last phase; if nothing is held out, the latest."""
        return self.state.weights[self.state.best.key]

    @property
    def snapshots(self) -> dict[KeptSnapshot, State]:
        """The snapshots that the phases kept, with their weights."""
        return self.state.kept(self.task.settings.phases)

    @property
    def history(self) -> pd.DataFrame:
        """One row per epoch, with the columns of `salt.training.state.Epoch`."""
        return pd.DataFrame([asdict(epoch) for epoch in self.state.history])

    @property
    def timing(self) -> Timing:
        """What the training took, for estimates of others."""
        task, phases = self.task, self.task.settings.phases
        tiles = round(task.draws * sum(phases[epoch.phase - 1].work_per_epoch for epoch in self.state.history))
        weights = sum(value.nbytes for value in task.network.state_dict().values())
        where = device.describe(task.device)
        network = kind(task.settings.network)
        return Timing(network, task.geometry.shape, tiles, self.state.seconds, weights, where)

    def write_history(self, path: Path) -> None:
        """Write history.csv."""
        with atomic_path(path) as temporary:
            self.history.to_csv(temporary, index=False, float_format="%.6g")

    def write_snapshots(self, folder: Path, table: Path) -> None:
        """Write the folder of snapshots, one file each, and the table that lists them."""
        kept = self.snapshots
        with atomic_folder(folder) as temporary:
            for row, state in kept.items():
                save_weights(snapshot(temporary, row.name), state)
        snapshots.write_table(table, kept)
