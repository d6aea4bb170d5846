import re
import shutil
from pathlib import Path

import cv2
import pytest

from salt.packs import predict
from schemas.errors import UserError
from stages import predict_images

COMPUTE = '{"device": "cpu", "threads": 1}'


@pytest.fixture
def images(small, tiles):
    folder = Path("my lines")
    folder.mkdir()
    for number, tile in enumerate(tiles):
        cv2.imwrite(str(folder / f"t{number}.png"), tile)
    return folder


@pytest.fixture
def started(monkeypatch):
    """The programs that were started; each runs here, in place of the test's process."""
    logs = []

    def become(command, log):
        logs.append(log)
        assert command[1:3] == ["-m", "stages.predict_images"]
        predict_images.main(command[3:])

    monkeypatch.setattr(predict, "become", become)
    return logs


def start(pack, images):
    predict.main(["--pack", str(pack), "--images", str(images), "--compute", COMPUTE])


def outputs(folder):
    found = Path(folder) / "predictions" / "my_lines"
    return {path.relative_to(found).as_posix(): path.read_bytes() for path in found.glob("*/*.png")}


def test_a_pack_predicts_without_its_run_and_once(packed, small, images, started, capsys):
    moved = Path("elsewhere.zip")
    packed.rename(moved)
    shutil.rmtree(small.folder)
    start(moved, images)
    assert started == [Path("results/elsewhere/logs/predict_images/my_lines.log")]
    assert len(outputs("results/elsewhere")) == 2 * 5
    start(moved, images)
    assert len(started) == 1
    assert "holds the predictions of my lines by this pack already" in capsys.readouterr().out
    (images / "t1.png").unlink()
    start(moved, images)
    assert len(outputs("results/elsewhere")) == 2 * 4


def test_weights_that_were_damaged_after_unpacking_are_mended(packed, images, started):
    start(packed, images)
    expected = outputs("results/small.pack")
    (weights,) = Path("results/small.pack/models/two/fold1/snapshots").glob("*cycle1.safetensors")
    weights.write_bytes(b"damaged")
    shutil.rmtree("results/small.pack/predictions")
    start(packed, images)
    assert outputs("results/small.pack") == expected


@pytest.mark.parametrize(
    ("pack", "folder", "text"),
    [
        ("", "my lines", "PACK: expected a path, found nothing. Type `make predict"),
        ("results/small/small.pack.zip", "", "IMAGES: expected a path, found nothing."),
        ("nowhere.zip", "my lines", "Expected a pack, one whole zip that `make pack` wrote, at nowhere.zip"),
        ("results/small/small.pack.zip", "nowhere", "found nothing there. Correct the path."),
    ],
)
def test_what_is_missing_is_named(packed, images, started, pack, folder, text):
    with pytest.raises(UserError, match=re.escape(text)):
        start(pack, folder)
    assert started == []


def test_other_images_of_the_same_name_are_not_replaced(packed, images, started):
    start(packed, images)
    shutil.copytree(images, "other/my lines")
    with pytest.raises(UserError, match="found there those of my lines, which has the same name"):
        start(packed, "other/my lines")
