import numpy as np
import torch

from models.registry import create_network
from salt.curves.samples import LARGEST, SHOWN, Samples
from salt.data.network_input import Geometry
from salt.data.tiles import Tiles
from schemas.networks import Input, PlainUnet
from tests.easy_tiles import SIDE, easy_tiles

CPU = torch.device("cpu")


def pictures(tiles):
    torch.manual_seed(0)
    network = create_network(PlainUnet(name="unet_plain", width=4, levels=3)).eval()
    return Samples(tiles).pictures(network, Geometry.of(Input(channels="ramp"), tiles), CPU)


def test_a_picture_shows_a_tile_its_mask_and_its_probabilities_side_by_side(tiles):
    found = pictures(tiles)
    assert len(found) == SHOWN
    for name, picture in found.items():
        row = tiles.ids.index(name.rsplit("/", 1)[1])
        assert picture.shape == (SIDE, 3 * SIDE, 3)
        image, mask, predicted = np.split(picture[..., 0], 3, axis=1)
        assert np.array_equal(image, tiles.images[row])
        assert np.array_equal(mask, tiles.masks[row] * 255)
        assert predicted.std() > 0


def test_the_samples_have_salt_from_the_least_to_the_most(tiles):
    coverage = Samples(tiles).tiles.masks.mean(axis=(1, 2))
    salty = tiles.masks.mean(axis=(1, 2))[tiles.masks.any(axis=(1, 2))]
    assert coverage[0] == salty.min() > 0
    assert coverage[-1] == salty.max()
    assert (np.diff(coverage) >= 0).all()


def test_few_tiles_and_tiles_without_salt_are_shown_as_well():
    few = easy_tiles(3)
    assert len(pictures(few)) == 2  # the first one is empty
    assert len(pictures(Tiles(few.table, few.images, np.zeros_like(few.masks)))) == 3


def test_colours_stay_and_large_tiles_shrink():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (2, 300, 600, 3), dtype=np.uint8)
    masks = np.ones((2, 300, 600), np.uint8)
    large = Tiles(easy_tiles(2).table, images, masks)
    found = list(pictures_of_zeros(large).values())
    assert found[0].shape == (LARGEST // 2, 3 * LARGEST, 3)
    assert (found[0][..., 0] != found[0][..., 1]).any()


def pictures_of_zeros(tiles):
    """The pictures of a network that sees salt nowhere."""

    class Zeros(torch.nn.Module):
        def forward(self, images):
            return {"mask": torch.full_like(images[:, :1], -99)}

    return Samples(tiles).pictures(Zeros(), Geometry.of(Input(channels="ramp"), tiles), CPU)
