"""The prediction of a fold: the mean of its snapshots, on its held-out tiles and on all test tiles."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from models.registry import create_network
from salt.data.network_input import Geometry
from salt.data.records import chunks, create_records
from salt.data.tiles import Tiles
from salt.inference.predictor import Predictor, ready
from salt.inference.snapshots import Member
from salt.inference.weight_files import load_weights
from salt.runtime.progress import Ticker
from schemas.training import NetworkSettings


def load_predictor(
    settings: NetworkSettings,
    folder: Path,
    members: Sequence[Member],
    geometry: Geometry,
    device: torch.device,
    dtype: torch.dtype,
) -> Predictor:
    """The member snapshots from a folder, ready to predict in `dtype`. Raises UserError if one is missing."""
    networks = []
    for member in members:
        network = create_network(settings.network, settings.input.channel_count)
        load_weights(network, folder / member.file)
        networks.append(ready(network, settings.input.channel_count, device, dtype))
    return Predictor(networks, [member.weight for member in members], geometry, device, dtype)


def predict(path: Path, tiles: Tiles, predictor: Predictor, batch: int, fields: Sequence[str], what: str) -> None:
    """Predict tiles batch by batch into records of id and fields.

    fields: some of salt.data.predictions.FIELDS; what: names the tiles in the progress
    """
    ticker = Ticker(what, len(tiles))
    height, width = tiles.images.shape[1:3]
    depths = tiles.depths
    with create_records(path, tiles.ids, dict.fromkeys(fields, np.float16), height, width) as records:
        for rows in chunks(len(tiles), batch):
            prediction = predictor.predict(tiles.images[rows], depths[rows])
            for name in fields:
                records[name][rows] = getattr(prediction, name)
            ticker.tick(rows.stop)


def shard(tiles: int, batch: int, number: int, count: int) -> slice:
    """The tiles of one of `count` shards; number: 1 to count. Shards are consecutive and differ by a batch at most.

    A shard begins where a batch of all tiles would: with other batches, the last bits of predictions may differ.
    """
    batches = -(-tiles // batch)
    start, stop = (batches * end // count * batch for end in (number - 1, number))
    return slice(min(start, tiles), min(stop, tiles))
