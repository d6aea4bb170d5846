import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from salt.data.records import create_records, open_records
from salt.data.tiles import Tiles, save_tiles
from salt.report import mosaic_page
from salt.runtime.paths import Run

SIDE = 10


def tiles(count, split):
    """Tiles with salt in their first four columns."""
    ids = [f"{split}{number}" for number in range(count)]
    table = pd.DataFrame({"id": ids, "split": split, "z": 0.0, "constant": False, "coverage": 0.4})
    masks = np.tile(np.arange(SIDE) < 4, (count, SIDE, 1)).astype(np.uint8)
    return Tiles(table, np.zeros((count, SIDE, SIDE), np.uint8), masks if split == "train" else None)


MOSAICS = pd.DataFrame(
    [("train0", 0, 0, 1), ("test1", 0, 1, 1), ("test0", 0, 2, 0), ("test2", 1, 0, 0), ("train1", 1, 0, 1)],
    columns=["id", "mosaic", "row", "column"],
)
CHANGES = pd.DataFrame(
    [("test1", "below a vertical tile", "train0", 7, "", "1 7")],
    columns=["id", "reason", "source", "pixels", "before", "after"],
)


def placed():
    return mosaic_page.with_mask_sources(MOSAICS, CHANGES, ["train0", "train1"])


@pytest.fixture
def masks(tmp_path):
    """Final masks of three test tiles, equal to the true ones, in another order."""
    with create_records(tmp_path / "masks.npy", ["test2", "test0", "test1"], {"mask": np.uint8}, SIDE, SIDE) as out:
        out["mask"] = np.arange(SIDE) < 4
    return open_records(tmp_path / "masks.npy")


def test_each_tile_of_a_mosaic_has_the_source_of_its_mask():
    assert placed()["kind"].tolist() == ["known", "changed", "final", "final", "known"]
    assert placed()["source"].tolist() == ["", "train0", "", "", ""]


def test_mosaics_are_drawn_of_both_splits_and_counted(masks):
    first, second = mosaic_page.pictures(placed(), tiles(2, "train"), tiles(3, "test"), masks)
    assert (first.number, first.size, first.labelled, first.covered, first.altered) == (0, (3, 2), 1, 1, 1)
    assert first.picture.outlines["salt"] == "M0 20h4M10 20h4M4 20v10M10 0v20M14 0v20"
    assert (second.size, second.labelled, second.covered, second.altered) == ((1, 2), 1, 0, 0)


def test_a_limit_makes_the_tiles_of_a_picture_smaller_and_never_larger(masks):
    def sides(limit):
        drawn = mosaic_page.pictures(placed(), tiles(2, "train"), tiles(3, "test"), masks, limit)
        return {(mosaic.tile_size[1], mosaic.picture.width, mosaic.picture.height) for mosaic in drawn}

    assert sides(4) == {(4, 8, 12), (4, 8, 4)}
    assert sides(1000) == {(10, 20, 30), (10, 20, 10)}


def test_ids_are_laid_out_as_the_tiles_are(masks):
    first, _ = mosaic_page.pictures(placed(), tiles(2, "train"), tiles(3, "test"), masks)
    assert [line.split() for line in first.ids.splitlines()] == [["·", "train0"], ["·", "test1"], ["test0", "·"]]
    assert first.ids.splitlines()[0].index("train0") == first.ids.splitlines()[1].index("test1")


@given(st.lists(st.integers(2, 90), max_size=30))
def test_every_mosaic_is_in_one_group_by_its_number_of_tiles(counts):
    drawn = [mosaic_page.MosaicPicture(n, pd.DataFrame(index=range(c)), None) for n, c in enumerate(sorted(counts))]
    groups = list(mosaic_page.by_size(drawn))
    assert sorted(mosaic.number for _, _, group in groups for mosaic in group) == list(range(len(counts)))
    for least, most, group in groups:
        assert group
        assert all(least <= len(mosaic.places) <= (most or 90) for mosaic in group)


@pytest.fixture
def run(tmp_path, masks):
    save_tiles(tmp_path / "tiles", tiles(2, "train"), tiles(3, "test"))
    MOSAICS.to_csv(tmp_path / "mosaics.csv", index=False)
    (tmp_path / "postprocess").mkdir()
    CHANGES.to_csv(tmp_path / "postprocess/changes.csv", index=False)
    (tmp_path / "masks.npy").rename(tmp_path / "postprocess/masks.npy")
    return tmp_path


def test_the_page_shows_every_mosaic_with_the_ids_of_its_tiles(run):
    page = mosaic_page.page(Run(run), in_report=1)
    assert "5 of 5 tiles have a neighbour and form 2 mosaics." in page
    assert re.findall("<title>(.*?)</title></rect>", page) == [
        "train0, labelled",
        "test1: below a vertical tile, train0",
        "test0",
        "test2",
        "train1, labelled",
    ]
    captions = [
        " ".join(re.sub("<[^>]*>", "", text).split()) for text in re.findall("(?s)<figcaption>(.*?)</figcaption>", page)
    ]
    assert captions == [
        "Mosaic 0 · 3 × 2 · 3 tiles · 1 labelled · jigsaw rule: 1 covered, 1 changed · also in the report",
        "Mosaic 1 · 1 × 2 · 2 tiles · 1 labelled",
    ]
    assert 'The jigsaw rule made masks in mosaic <a href="#mosaic-0">0</a>.' in page


def test_many_tiles_share_the_pixels_of_the_page(run, monkeypatch):
    monkeypatch.setattr(mosaic_page, "PIXELS", 5 * 4**2)
    assert set(re.findall(r'class="cells" transform="scale\((\d+ \d+)\)"', mosaic_page.page(Run(run), 0))) == {"4 4"}


def test_without_mosaics_the_page_says_so(run):
    MOSAICS[:0].to_csv(run / "mosaics.csv", index=False)
    CHANGES[:0].to_csv(run / "postprocess/changes.csv", index=False)
    page = mosaic_page.page(Run(run), 2)
    assert "No tile has a neighbour, so there are no mosaics." in page
    assert "<section" not in page
