import numpy as np
import pytest
import torch
from torch import nn

from salt.data.network_input import Geometry
from salt.inference.predictor import Predictor
from schemas.networks import Input

GEOMETRY = Geometry(Input(channels="grey3"), tile=(8, 8))
DEPTHS = np.full(3, np.nan, np.float32)  # unknown


class Left(nn.Module):
    """Says salt with `logit` in the left half, whatever it sees."""

    def __init__(self, logit):
        super().__init__()
        self.logit = logit

    def forward(self, x):
        mask = torch.zeros(len(x), 1, 8, 8)
        mask[..., :4] = self.logit
        return {"mask": mask}


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (3, 8, 8), dtype=np.uint8)


def test_tta_is_the_mean_of_the_tile_and_its_mirror_image_turned_back(images):
    found = Predictor([Left(40.0)], [1], GEOMETRY, torch.device("cpu")).predict(images, DEPTHS)
    assert found.plain[0, 0].tolist() == [1] * 4 + [0.5] * 4
    assert found.tta[0, 0].tolist() == [0.75] * 8


def test_snapshots_are_averaged_by_weight_as_probabilities(images):
    found = Predictor([Left(40.0), Left(-40.0)], [3, 1], GEOMETRY, torch.device("cpu")).predict(images, DEPTHS)
    assert found.plain[0, 0, 0] == pytest.approx(0.75)


def test_constant_tiles_hold_no_salt(images):
    images[1] = 7
    found = Predictor([Left(40.0)], [1], GEOMETRY, torch.device("cpu")).predict(images, DEPTHS)
    assert found.plain[1].max() == found.tta[1].max() == 0
    assert found.plain[2].max() == 1


def test_three_colours_are_predicted_as_one_mask(images):
    colours = np.repeat(images[..., None], 3, axis=3)
    colours[1] = (7, 200, 9)
    found = Predictor([Left(40.0)], [1], GEOMETRY, torch.device("cpu")).predict(colours, DEPTHS)
    assert found.tta.shape == (3, 8, 8)
    assert found.plain[1].max() == 0  # one colour all over
    assert found.plain[2].max() == 1
