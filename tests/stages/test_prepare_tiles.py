import logging

import cv2
import numpy as np
import pytest

from salt.data.records import open_records
from salt.data.tiles import load_tiles
from schemas.errors import UserError
from stages import prepare_tiles
from tests import competition_files
from tests.own_images import HEIGHT, WIDTH, encoded, make_folders, write

SETTINGS = '{{"root": "{}", "tile": 4}}'


@pytest.fixture
def root(tmp_path):
    """Two training tiles, one constant and one with salt in its lower half, and two test tiles, in folders."""
    folders = {"train": ("images", "masks"), "test": ("images",)}
    for folder in (f"{split}/{kind}" for split, kinds in folders.items() for kind in kinds):
        (tmp_path / "data" / folder).mkdir(parents=True)
    root, ramp = tmp_path / "data", np.arange(16, dtype=np.uint8).reshape(4, 4)
    cv2.imwrite(root / "train/images/a.png", np.full((4, 4), 9, np.uint8))
    cv2.imwrite(root / "train/masks/a.png", np.zeros((4, 4), np.uint8))
    cv2.imwrite(root / "train/images/d.png", ramp[::-1])
    cv2.imwrite(root / "train/masks/d.png", np.where(ramp >= 8, 255, 0).astype(np.uint8))
    cv2.imwrite(root / "test/images/b.png", ramp)
    cv2.imwrite(root / "test/images/c.png", ramp.T)
    return root


def test_tiles_are_packed_and_summed_up(root, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    prepare_tiles.main(["--settings", SETTINGS.format(root), "--out", str(tmp_path / "tiles")])
    train, test = load_tiles(tmp_path / "tiles", "train"), load_tiles(tmp_path / "tiles", "test")
    assert (train.ids, test.ids) == (["a", "d"], ["b", "c"])
    np.testing.assert_array_equal(train.masks[1].sum(axis=1), [0, 0, 4, 4])
    np.testing.assert_array_equal(test.images[0], test.images[1].T)
    assert train.table.drop(columns=["z", "depth"]).to_dict("records") == [
        {"id": "a", "split": "train", "constant": True, "coverage": 0.0},
        {"id": "d", "split": "train", "constant": False, "coverage": 0.5},
    ]
    warning, *summary = caplog.messages
    assert warning.startswith("Warning: missing tables (1): depths.csv.")
    assert summary == ["train: 2 tiles, 1 constant, 1 without salt", "test: 2 tiles, 0 constant"]


def test_the_same_data_give_the_same_bytes(root, tmp_path):
    for out in ("once", "again"):
        prepare_tiles.main(["--settings", SETTINGS.format(root), "--out", str(tmp_path / out)])
    names = ["test_images.npy", "tiles.csv", "train_images.npy", "train_masks.npy"]
    for out in ("once", "again"):
        assert sorted(path.name for path in (tmp_path / out).iterdir()) == names
    for name in names:
        assert (tmp_path / "once" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_bad_data_leave_nothing_behind(root, tmp_path):
    (root / "train/masks/a.png").write_bytes(b"")
    with pytest.raises(UserError, match="content is not PNG"):
        prepare_tiles.main(["--settings", SETTINGS.format(root), "--out", str(tmp_path / "tiles")])
    assert not (tmp_path / "tiles").exists()


def test_own_images_are_packed_too(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    write(tmp_path / "data", make_folders())
    settings = f'{{"layout": "folders", "root": "{tmp_path / "data"}", "colour": "rgb"}}'
    prepare_tiles.main(["--settings", settings, "--out", str(tmp_path / "tiles")])
    train, test = load_tiles(tmp_path / "tiles", "train"), load_tiles(tmp_path / "tiles", "test")
    assert (train.ids, test.ids) == (["a", "b", "c"], ["x", "y"])
    assert (train.images.shape, train.masks.shape) == ((3, HEIGHT, WIDTH, 3), (3, HEIGHT, WIDTH))
    assert caplog.messages[-2:] == ["train: 3 tiles, 0 constant, 1 without salt", "test: 2 tiles, 0 constant"]


def more_labels(files, shape):
    """The files with eight more labelled tiles k0, k1 ..., images of noise with a row of salt."""
    rng = np.random.default_rng(5)
    for number in range(8):
        image, mask = rng.integers(0, 256, (2, *shape), np.uint8)
        mask[:], mask[number % 4] = 0, 255
        files[f"train/images/k{number}.png"] = encoded(image, ".png")
        files[f"train/masks/k{number}.png"] = encoded(mask, ".png")
    return files


COMPETITION = competition_files.without(competition_files.make_files(), "train.csv", "depths.csv")
LAYOUTS = {
    "competition": (more_labels(COMPETITION, (competition_files.SIDE,) * 2), f'"tile": {competition_files.SIDE}'),
    "folders": (more_labels(make_folders(), (HEIGHT, WIDTH)), '"layout": "folders"'),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_hidden_labels_leave_the_labelled_tiles_and_join_the_test_tiles_at_their_end(layout, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    files, keys = LAYOUTS[layout]
    write(tmp_path / "data", files)
    tiles = {}
    for out, hide in (("all", "null"), ("some", '{"share": 0.4, "seed": 2}')):
        settings = f'{{"root": "{tmp_path / "data"}", {keys}, "hide_labels": {hide}}}'
        masks = [] if hide == "null" else [str(tmp_path / out / "hidden" / "masks.npy")]
        prepare_tiles.main(["--settings", settings, "--out", str(tmp_path / out / "tiles"), "--hidden-masks", *masks])
        tiles[out] = [load_tiles(tmp_path / out / "tiles", split) for split in ("train", "test")]
    (train, test), (labelled, more) = tiles["all"], tiles["some"]
    hidden = open_records(tmp_path / "some" / "hidden" / "masks.npy")
    assert len(hidden) == round(0.4 * len(train)) == 4
    assert more.ids == test.ids + hidden["id"].tolist()
    assert [name for name in train.ids if name not in hidden["id"]] == labelled.ids
    for name, mask in zip(hidden["id"], hidden["mask"], strict=True):
        np.testing.assert_array_equal(mask, train.masks[train.ids.index(name)])
        np.testing.assert_array_equal(more.images[more.ids.index(name)], train.images[train.ids.index(name)])
    assert more.table["coverage"].isna().all()
    assert caplog.messages[-1].startswith("hidden: 4 tiles, ")
    assert not (tmp_path / "all" / "hidden").exists()


def test_too_few_labels_beside_the_hidden_ones_leave_nothing_behind(root, tmp_path):
    settings = SETTINGS.format(root)[:-1] + ', "hide_labels": {"share": 0.5}}'
    with pytest.raises(UserError, match=r"^Expected at least two tiles to learn from"):
        prepare_tiles.main(
            ["--settings", settings, "--out", f"{tmp_path}/tiles", "--hidden-masks", f"{tmp_path}/hidden.npy"]
        )
    assert not (tmp_path / "tiles").exists()
    assert not (tmp_path / "hidden.npy").exists()


def test_hidden_masks_need_a_file(root, tmp_path):
    settings = SETTINGS.format(root)[:-1] + ', "hide_labels": {"share": 0.5}}'
    with pytest.raises(SystemExit):
        prepare_tiles.main(["--settings", settings, "--out", f"{tmp_path}/tiles", "--hidden-masks"])
