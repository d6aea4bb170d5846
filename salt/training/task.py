"""The task of a training: a network with its first weights, tiles, settings, a device and a seed."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from models import Network
from models.registry import create_network
from salt.data.network_input import Geometry
from salt.data.tiles import Tiles
from salt.inference.weight_files import load_weights
from salt.runtime import device
from salt.runtime.progress import say
from salt.training.checkpoints import fingerprint
from salt.training.loader import stable_seed
from schemas.config import Compute
from schemas.errors import UserError
from schemas.training import TrainSettings


@dataclass(frozen=True)
class Task:
    """Everything that determines the result of a training, and the machine that it runs on.

    tiles: to train on; draws: of a pass over them, as many as tiles, except for a control
    held_out: to validate on, None if nothing is held out
    unlabelled: tiles for consistency training, None if no phase has any
    seed: data order, augmentation, mixing and dropout are functions of (seed, phase, epoch, step, tile)
    """

    network: Network
    geometry: Geometry
    tiles: Tiles
    draws: int
    held_out: Tiles | None
    settings: TrainSettings
    compute: Compute
    device: torch.device
    seed: int
    unlabelled: Tiles | None = None

    @classmethod
    def create(
        cls,
        settings: TrainSettings,
        compute: Compute,
        tiles: Tiles,
        held_out: Tiles | None = None,
        fold: int | None = None,
        encoder_weights: Path | None = None,
        start_from: Path | None = None,
        unlabelled: Tiles | None = None,
        draws: int | None = None,
    ) -> Self:
        """Set the machine up and create the network.

        fold: gives the training its own seed
        encoder_weights, start_from: files with the first weights of the encoder, and of the whole network; weights in
            neither are random
        draws: of a pass; none: as many as tiles
        Raises UserError if weights, tiles or the input do not fit the network or its phases.
        """
        where = device.set_up(compute)
        seed = stable_seed(settings.seed, *([] if fold is None else [fold]))
        torch.manual_seed(seed)
        network = create_network(settings.network, settings.input.channel_count, encoder_weights)
        if start_from:
            load_weights(network, start_from)
        each_pass = f" in {draws} draws a pass" if draws not in (None, len(tiles)) else ""
        say(f"{len(tiles)} tiles to train on{each_pass}, {len(held_out or ())} held out, on {device.describe(where)}")
        if unlabelled:
            say(f"{len(unlabelled)} unlabelled tiles to learn from as well")
        geometry = Geometry.of(settings.input, *(some for some in (tiles, held_out, unlabelled) if some))
        return cls(network, geometry, tiles, draws or len(tiles), held_out, settings, compute, where, seed, unlabelled)

    def __post_init__(self) -> None:
        """Check what would fail later. Raises UserError."""
        if wrong := [side for side in self.geometry.shape if side % self.network.stride]:
            raise UserError(
                f"Expected the sides of this network's input to be multiples of {self.network.stride} px, found "
                f"{wrong[0]} px. Set `resize` or `pad` of the model's `input`."
            )
        if self.settings.learns_from_unlabelled and not self.unlabelled:
            raise UserError(
                "Expected unlabelled tiles that are not constant, for the model's `consistency`, found none. Add "
                "unlabelled tiles to the data, or remove `consistency` from the phases."
            )
        for number, phase in enumerate(self.settings.phases, 1):
            self._check_batch(number, phase.batch)

    def _check_batch(self, number: int, batch: int) -> None:
        """Refuse a batch larger than a pass; a pretraining only warns, since nobody knows its tiles in advance."""
        if batch <= self.draws:
            return
        text = f"Expected at least {batch} tiles to train on, the batch of phase {number}, found {self.draws}."
        if self.held_out is not None:
            raise UserError(f"{text} Lower `batch` of this phase.")
        say(f"Warning: {text} Each step takes all of them. Lower `batch`, or the set's `min_confidence`.")

    def fingerprint(self) -> str:
        """Digest of everything that determines the training's result."""
        arrays = [array for some in (self.tiles, self.held_out) if some for array in (*some.arrays, some.depths)]
        arrays += [] if self.tiles.weights is None else [self.tiles.weights]
        arrays += [self.unlabelled.images, self.unlabelled.depths] if self.unlabelled else []
        facts = f"{self.seed} {self.draws} {self.settings.model_dump_json()}"
        return fingerprint(facts, arrays, self.network.state_dict())

    def inputs(self, images: Tensor, depths: Tensor) -> Tensor:
        """The network's input (B, C, S, S) from images (B, H, W) or (B, H, W, 3) uint8 on its device."""
        return self.geometry.images(images, depths).contiguous(memory_format=torch.channels_last)

    def ids(self, rows: Iterable[int]) -> list[str]:
        """Ids of some training tiles."""
        return [self.tiles.ids[row] for row in rows]

    @property
    def facts(self) -> dict[str, Any]:
        """What the provenance records beside settings and inputs."""
        return {"device": device.describe(self.device), "threads": self.compute.threads, "seed": self.seed}
