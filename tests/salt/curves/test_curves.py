import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from models.registry import create_network
from salt.curves.curves import Curves
from salt.data.network_input import Geometry
from schemas.networks import Input, PlainUnet

NETWORK = PlainUnet(name="unet_plain", width=4, levels=3)


def shown(folder, tiles, held_out, ends=()):
    network, geometry = create_network(NETWORK).eval(), Geometry.of(Input(channels="ramp"), tiles)
    curves = Curves(folder, [], held_out, geometry, torch.device("cpu"))
    for epoch in range(1, 11):
        curves.add({"loss": 1.0}, 50.0, network, epoch, epoch in ends)
    found = EventAccumulator(str(folder), {"images": 0}).Reload()
    tags = found.Tags()
    assert sorted(tags["scalars"]) == ["images per second", "loss"]
    return [[image.step for image in found.Images(tag)] for tag in tags["images"]]


@pytest.mark.parametrize(("ends", "steps"), [((), [1, 2, 4, 8]), ((6, 10), [1, 2, 4, 6, 8, 10])])
def test_samples_are_shown_at_first_ever_more_rarely_and_at_the_ends_of_cycles(tmp_path, tiles, ends, steps):
    assert shown(tmp_path, tiles, tiles, ends) == [steps] * 4


def test_without_held_out_tiles_there_are_no_samples(tmp_path, tiles):
    assert shown(tmp_path, tiles, None) == []


def test_without_a_folder_nothing_is_written(tiles):
    geometry = Geometry.of(Input(channels="ramp"), tiles)
    curves = Curves(None, [], tiles, geometry, torch.device("cpu"))
    curves.add({"loss": 1.0}, 50.0, create_network(NETWORK), 1, True)
    assert (curves.file, curves.samples) == (None, None)
