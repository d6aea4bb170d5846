"""What a training adds to its event file after each epoch: values, speed and, now and then, sample masks."""

from collections.abc import Iterable
from pathlib import Path

import torch
from torch import nn

from salt.curves.event_file import EventFile, Scalars
from salt.curves.samples import Samples
from salt.data.network_input import Geometry
from salt.data.tiles import Tiles


class Curves:
    """The curves of one training. They read its state and change nothing in it."""

    def __init__(
        self,
        folder: Path | None,
        epochs: Iterable[Scalars],
        held_out: Tiles | None,
        geometry: Geometry,
        device: torch.device,
    ) -> None:
        """Begin with the finished epochs. Without a folder, nothing is written."""
        self.file = EventFile(folder, epochs) if folder else None
        self.samples = Samples(held_out) if folder and held_out else None
        self.geometry, self.device = geometry, device

    def add(self, values: Scalars, speed: float, network: nn.Module, epoch: int, ends_cycle: bool) -> None:
        """Add an epoch: its values by tag, images/s, the network in eval mode.

        Samples are shown after the epochs 1, 2, 4, 8 ... of a phase and at the ends of cycles, so that they take
        little room. epoch: of the phase, from 1
        """
        if self.file:
            due = self.samples and (ends_cycle or epoch.bit_count() == 1)
            pictures = self.samples.pictures(network, self.geometry, self.device) if self.samples and due else {}
            self.file.add(values, {"images per second": speed}, pictures)
