"""The prediction of a fold: the mean of its snapshots, on its held-out tiles and on all test tiles."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from models.registry import create_network
from salt.data.network_input import Geometry
from salt.data.predictions import FIELDS
from salt.data.records import chunks, create_records
from salt.data.tiles import Tiles
from salt.inference.predictor import Predictor
from salt.inference.snapshots import Member
from salt.inference.weight_files import load_weights
from salt.runtime.progress import Ticker
from schemas.training import NetworkSettings


def load_predictor(
    settings: NetworkSettings, folder: Path, members: Sequence[Member], geometry: Geometry, device: torch.device
) -> Predictor:
    """The member snapshots from a folder, ready to predict. Raises UserError if one is missing."""
    networks = []
    for member in members:
        network = create_network(settings.network, settings.input.channel_count)
        load_weights(network, folder / member.file)
        networks.append(network.eval().to(device).to(memory_format=torch.channels_last))
    return Predictor(networks, [member.weight for member in members], geometry, device)


def predict(path: Path, tiles: Tiles, predictor: Predictor, batch: int, what: str) -> None:
    """Predict tiles batch by batch into records (id, plain, tta). what: names the tiles in the progress."""
    ticker = Ticker(what, len(tiles))
    height, width = tiles.images.shape[1:3]
    depths = tiles.depths
    with create_records(path, tiles.ids, {name: np.float16 for name in FIELDS}, height, width) as records:
        for rows in chunks(len(tiles), batch):
            prediction = predictor.predict(tiles.images[rows], depths[rows])
            records["plain"][rows], records["tta"][rows] = prediction.plain, prediction.tta
            ticker.tick(rows.stop)
