import numpy as np
import pytest

from benchmarks import pipeline, plain_twins, tiles
from salt.data import rle
from salt.data.records import open_records
from salt.ensembles import blending
from salt.scores import metric


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return pipeline.World(40, tmp_path_factory.mktemp("world"))


def test_masks_are_encoded_and_decoded_alike(world):
    assert [plain_twins.encode(mask) for mask in world.masks] == world.texts
    assert all(np.array_equal(plain_twins.decode(text), rle.decode(text, *pipeline.SIZE)) for text in world.texts)


def test_scores_are_alike(world):
    predicted = world.masks[::-1]
    assert plain_twins.score(predicted > 0, world.masks) == pytest.approx(metric.score(predicted, world.masks).tolist())


def test_images_and_blends_are_alike(world):
    assert np.array_equal(plain_twins.unpack(world.archives / "test.zip", 20), world.tiles.images[20:])
    out = world.folder / "twin.npy"
    plain_twins.average(world.predictions, 40, out)
    blending.blend([open_records(path) for path in world.predictions], (1, 1), world.out)
    assert np.load(out) == pytest.approx(open_records(world.out)["tta"], abs=1e-3)


def test_pseudo_labels_are_alike(world):
    table = pipeline.label(world, 40)
    twins = plain_twins.label(world.predictions, 40)
    assert table["confidence"].tolist() == pytest.approx([sure for _, sure, _ in twins], abs=1e-3)
    assert table["pixels"].tolist() == [pixels for _, _, pixels in twins]


def test_the_right_neighbour_matches_best():
    row = tiles.make(20).images  # of one section, side by side
    assert [best for best, _ in plain_twins.match(row)[:19]] == list(range(1, 20))
