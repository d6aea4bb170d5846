import numpy as np
import pytest

from salt.inference.input_images import Image
from salt.inference.sliding_window import SlidingWindow
from salt.inference.window_blocks import Blocks, Windows
from schemas.results import PredictImagesSettings

SHAPES = ((8, 8), (5, 20), (30, 17), (8, 8))


class Echo:
    """An ensemble whose probabilities are the grey values; the blocks that it saw."""

    def __init__(self):
        self.seen = []

    def predict(self, tiles, ticker, before):
        self.seen.append((before, len(tiles)))
        return tiles.astype(np.float32) / 255


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, shape, dtype=np.uint8) for shape in SHAPES]


def images(arrays, reads):
    def read(number):
        reads.append(number)
        return arrays[number]

    return [
        Image(str(number), lambda number=number: read(number), SlidingWindow(array.shape, (8, 8), 0.5), "type")
        for number, array in enumerate(arrays)
    ]


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_blocks_of_any_size_give_each_image_the_predictions_of_its_windows(tmp_path, arrays, size):
    reads = []
    windows, blocks, echo = Windows(images(arrays, reads)), Blocks(tmp_path, size), Echo()
    blocks.predict(windows, echo)
    assert sum(count for _, count in echo.seen) == len(windows)
    assert max(count for _, count in echo.seen) == min(size, len(windows))
    assert reads == [0, 1, 2, 3]  # each image once, though blocks end within them
    for number, image in enumerate(windows.images):
        found = np.concatenate(list(image.windows.blend(blocks.read(windows.of(number)))), axis=1)
        assert np.abs(found - arrays[number] / 255).max() < 1e-4


def test_blocks_that_are_there_are_not_predicted_again_nor_their_images_read(tmp_path, arrays):
    windows, blocks, echo = Windows(images(arrays, [])), Blocks(tmp_path, 2), Echo()
    blocks.predict(windows, echo)
    last = max(tmp_path.iterdir(), key=lambda path: int(path.stem.split("_")[1]))
    last.unlink()
    reads = []
    again = Echo()
    blocks.predict(Windows(images(arrays, reads)), again)
    assert again.seen == [(0, len(windows) % 2 or 2)]
    assert reads == [2, 3] if len(windows) % 2 == 0 else reads == [3]


def prediction(**changed):
    known = {"images": "lines", "pictures": "", "weights": "", "tile": 8, "windows": {}, "models": {}, "folds": 2}
    return PredictImagesSettings.model_validate(known | {"postprocess": [{"name": "threshold"}]} | changed)


def test_a_prediction_has_blocks_of_its_own_and_other_steps_have_the_same(tmp_path):
    first = Blocks.of(tmp_path, prediction(), "cpu")
    (first.folder / "kept").touch()
    other_steps = prediction(postprocess=[{"name": "threshold", "above": 0.4}])
    assert Blocks.of(tmp_path, other_steps, "cpu").folder == first.folder
    assert (first.folder / "kept").exists()
    other_images = Blocks.of(tmp_path, prediction(pictures="changed"), "cpu")
    assert list(tmp_path.iterdir()) == [other_images.folder]


def test_a_block_has_at_least_one_window_however_large_the_tile(tmp_path):
    assert Blocks.of(tmp_path, prediction(), "cpu").size == 2**20 // 64
    assert Blocks.of(tmp_path, prediction(tile=5000), "cpu").size == 1


def test_blocks_of_another_size_are_other_blocks(tmp_path, arrays):
    windows, echo = Windows(images(arrays, [])), Echo()
    Blocks(tmp_path, 2).predict(windows, Echo())
    Blocks(tmp_path, 4).predict(windows, echo)
    assert sum(count for _, count in echo.seen) == len(windows)
