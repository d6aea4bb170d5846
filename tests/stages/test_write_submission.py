import logging

import numpy as np
import pandas as pd
import pytest

from salt.data.records import create_records
from salt.data.tiles import Tiles, save_tiles
from schemas.errors import UserError
from stages import write_submission


def tiles_of(split, ids):
    table = pd.DataFrame({"id": ids, "split": split, "z": 1.0, "constant": False, "coverage": 0.0})
    images = np.zeros((len(ids), 3, 3), np.uint8)
    return Tiles(table, images, images)


def write(folder, ids):
    """Run the stage on the test tiles z, x, y and masks of `ids`, the first with one pixel of salt."""
    save_tiles(folder / "tiles", tiles_of("train", ["q"]), tiles_of("test", ["z", "x", "y"]))
    with create_records(folder / "masks.npy", ids, {"mask": np.uint8}, 3, 3) as masks:
        masks["mask"][0, 1, 2] = 1
    options = {"masks": "masks.npy", "tiles": "tiles", "out": "submission.csv"}
    write_submission.main([part for name, path in options.items() for part in (f"--{name}", str(folder / path))])


def test_every_test_tile_has_its_row_in_the_order_of_the_tiles(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    write(tmp_path, ["x", "y", "z"])
    assert (tmp_path / "submission.csv").read_text() == "id,rle_mask\nz,\nx,8 1\ny,\n"
    assert caplog.messages == [f"{tmp_path}/submission.csv: 3 tiles, 2 of them empty, 24 bytes"]


def test_masks_of_other_tiles_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"1 that are not test tiles \(q\)"):
        write(tmp_path, ["x", "y", "z", "q"])
