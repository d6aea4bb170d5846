"""Averages of a network's weights during training: exponential (EMA), or over the ends of some epochs (SWA)."""

from collections.abc import Iterable

from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, update_bn

from salt.inference.weight_files import State
from salt.training.schedules import joins_average
from schemas.phases import Ema, Swa


class WeightAverage:
    """The network to validate and keep: an average of the weights, or the trained network itself."""

    def __init__(self, network: nn.Module, settings: Ema | Swa | None) -> None:
        self.trained, self.settings = network, settings
        self.average: AveragedModel | None = None
        if isinstance(settings, Ema):  # averages batch norm's statistics like the weights
            self.average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(settings.decay), use_buffers=True)
        elif isinstance(settings, Swa):
            self.average = AveragedModel(network)

    @property
    def network(self) -> nn.Module:
        """The average once it has begun; before that, the trained network."""
        return self.average.module if self.average is not None and self.average.n_averaged > 0 else self.trained

    def state(self) -> State:
        """The average's tensors, for a checkpoint."""
        return {} if self.average is None else self.average.state_dict()

    def load_state(self, tensors: State) -> None:
        """Restore what `state` returned."""
        if self.average is not None:
            self.average.load_state_dict(tensors)

    def restart(self) -> None:
        """Begin an exponential average anew, after a jump of the trained weights; a mean over epochs goes on."""
        if self.average is not None and isinstance(self.settings, Ema):
            self.average.n_averaged.zero_()

    def after_step(self) -> None:
        """Update the average; call this after each step of the optimizer."""
        if self.average is not None and isinstance(self.settings, Ema):
            self.average.update_parameters(self.trained)

    def after_epoch(self, epochs_done: int, inputs: Iterable[Tensor]) -> None:
        """Update the average; call this after each epoch of the phase.

        inputs: batches of the network's input, (B, C, S, S), from which batch norm's statistics are measured
            (Izmailov et al. 2018, section 3.2): averaged weights have seen no batch
        """
        if self.average is None or not isinstance(self.settings, Swa):
            return
        if joins_average(self.settings, epochs_done):
            self.average.update_parameters(self.trained)
            update_bn(inputs, self.average.module)
