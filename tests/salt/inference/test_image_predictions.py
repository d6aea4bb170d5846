import csv

import cv2
import numpy as np
import pytest

from salt.data import rle
from salt.data.predictions import ONE, in_16_bits
from salt.inference import image_predictions
from salt.inference.image_predictions import blended, mask_of, write_predictions
from salt.inference.input_images import Image
from salt.inference.sliding_window import SlidingWindow
from salt.inference.window_blocks import Blocks, Windows
from schemas.postprocess import FillHoles, Jigsaw, Postprocess, RemoveComponents, Threshold

SHAPES = {"tile": (8, 8), "line": (9, 21), "small": (3, 5)}
THRESHOLD = Postprocess((Threshold(above=0.4),))


class Echo:
    """An ensemble whose probabilities are the grey values."""

    def predict(self, tiles, ticker, before):
        return tiles.astype(np.float32) / 255


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    return {name: rng.integers(0, 256, shape, dtype=np.uint8) for name, shape in SHAPES.items()}


@pytest.fixture
def images(arrays):
    return [
        Image(name, lambda array=array: array, SlidingWindow(array.shape, (8, 8), 0.5), "type")
        for name, array in arrays.items()
    ]


@pytest.fixture
def blocks(tmp_path, images):
    (tmp_path / "blocks").mkdir()
    blocks = Blocks(tmp_path / "blocks", 3)
    blocks.predict(Windows(images), Echo())
    return blocks


def written(tmp_path, images, blocks, postprocess=THRESHOLD):
    """Masks, probabilities and run lengths by the name of the image."""
    folders = tmp_path / "masks", tmp_path / "probabilities"
    write_predictions(images, blocks, postprocess, *folders, tmp_path / "masks.csv")
    pictures = [
        {path.stem: cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), -1) for path in folder.iterdir()}
        for folder in folders
    ]
    rows = list(csv.reader((tmp_path / "masks.csv").read_text().splitlines()))
    assert rows[0] == ["id", "rle_mask"]
    return *pictures, dict(rows[1:])


def test_each_image_has_its_probabilities_its_mask_and_its_run_lengths(tmp_path, arrays, images, blocks):
    masks, probabilities, table = written(tmp_path, images, blocks)
    assert masks.keys() == probabilities.keys() == table.keys() == SHAPES.keys()
    for name, array in arrays.items():
        assert probabilities[name].dtype == np.uint16
        assert np.abs(probabilities[name] / ONE - array / 255).max() < 1e-4
        assert np.array_equal(masks[name], 255 * (probabilities[name] > 0.4 * ONE))
        assert np.array_equal(rle.decode(table[name], *array.shape), masks[name] // 255)


def test_a_kill_leaves_what_was_there(tmp_path, images, blocks, monkeypatch):
    before = written(tmp_path, images, blocks)[2]

    def killed(probabilities, postprocess):
        raise KeyboardInterrupt

    monkeypatch.setattr(image_predictions, "mask_of", killed)
    with pytest.raises(KeyboardInterrupt):
        written(tmp_path, images, blocks)
    monkeypatch.undo()
    assert written(tmp_path, images, blocks)[2] == before


def test_the_strips_of_an_image_are_put_side_by_side(images):
    line = images[1]
    predictions = [np.full((8, 8), 0.25, np.float32)] * len(line.windows)
    found = blended(line, predictions)
    assert found.shape == (9, 21)
    assert np.abs(found.astype(int) - in_16_bits(np.float32(0.25))).max() <= 1


def test_a_mask_is_made_by_all_steps_but_the_jigsaw_rule():
    probabilities = np.zeros((6, 7), np.uint16)
    probabilities[1:4, 1:4] = ONE
    probabilities[2, 2] = 0
    probabilities[5, 6] = ONE
    steps = Threshold(), FillHoles(smaller_than=2), RemoveComponents(smaller_than=2)
    for chosen in (steps, (*steps, Jigsaw(rule="extended"))):
        mask = mask_of(probabilities, Postprocess(chosen))
        assert np.argwhere(mask).tolist() == [[row, column] for row in (1, 2, 3) for column in (1, 2, 3)]
