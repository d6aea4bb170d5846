"""Pictures of mosaics: the largest for the report, all of them for a separate page."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from salt.data.records import Records, open_records
from salt.data.tiles import Tiles, load_tiles
from salt.drawing.pictures import LARGEST, Picture, draw_mosaic
from salt.mosaics.layout import load_mosaics
from salt.postprocess.jigsaw import load_changes
from salt.report import rendering
from salt.runtime.paths import Run

PIXELS = 25e6  # of all pictures of the page together: 10 MB as JPEG, measured on real tiles
SIZES = (50, 20, 5, 3, 2)  # the page groups mosaics by size; these are the fewest tiles of each group


@dataclass(frozen=True)
class MosaicPicture:
    """A mosaic and its picture; places: the mosaic's rows of the table that `with_mask_sources` returns."""

    number: int
    places: pd.DataFrame
    picture: Picture

    @property
    def tiles(self) -> Iterator[Any]:
        """Each tile as a named tuple of the columns of `places`."""
        return self.places.itertuples(index=False)

    @property
    def size(self) -> tuple[int, int]:
        """Number of rows and of columns."""
        return self.places["row"].max() + 1, self.places["column"].max() + 1

    @property
    def tile_size(self) -> tuple[int, int]:
        """Height and width of a tile in the picture, px."""
        rows, columns = self.size
        return self.picture.height // rows, self.picture.width // columns

    @property
    def labelled(self) -> int:
        """Number of tiles with a known mask."""
        return int((self.places["kind"] == "known").sum())

    @property
    def covered(self) -> int:
        """Number of tiles whose mask the jigsaw rule made."""
        return int((self.places["kind"] == "changed").sum())

    @property
    def altered(self) -> int:
        """Number of tiles whose mask from the jigsaw rule differs from the prediction."""
        return int((self.places["pixels"] > 0).sum())

    @property
    def ids(self) -> str:
        """The ids of the tiles as text, in the layout of the tiles; a dot marks a gap."""
        grid = np.full(self.size, "·", dtype=object)
        grid[self.places["row"], self.places["column"]] = self.places["id"]
        widest = max(map(len, self.places["id"]))
        return "\n".join(" ".join(name.ljust(widest) for name in row).rstrip() for row in grid)


def with_mask_sources(mosaics: pd.DataFrame, changes: pd.DataFrame, labelled: Collection[str]) -> pd.DataFrame:
    """The tiles of all mosaics with the sources of their masks.

    mosaics: id, mosaic, row, column; changes: id, reason, source, pixels (changes.csv); labelled: ids
    Returns id, mosaic, row, column, reason, source, pixels ("", "" and 0 unless the jigsaw rule made the mask) and
    kind: "known" (true mask), "final" (predicted mask) or "changed" (mask made by the jigsaw rule).
    """
    placed = mosaics.merge(changes[["id", "reason", "source", "pixels"]], on="id", how="left")
    placed = placed.fillna({"reason": "", "source": "", "pixels": 0})
    known, changed = placed["id"].isin(labelled), placed["reason"] != ""
    return placed.assign(kind=np.where(known, "known", np.where(changed, "changed", "final")))


def pictures(
    placed: pd.DataFrame, train: Tiles, test: Tiles, masks: Records, limit: int = LARGEST
) -> list[MosaicPicture]:
    """A picture of each mosaic: true masks on the training tiles, final masks on the test tiles.

    placed: from `with_mask_sources`; masks: records (id, mask) of the test tiles
    limit: the longest side of a tile in a picture, px
    """
    train_at = {name: row for row, name in enumerate(train.ids)}
    test_at = {name: row for row, name in enumerate(test.ids)}
    mask_at = {name: row for row, name in enumerate(masks["id"].tolist())}
    _, true = train.arrays
    drawn = []
    for _, places in placed.groupby("mosaic"):
        images = [train.images[train_at[i]] if i in train_at else test.images[test_at[i]] for i in places["id"]]
        shown = [true[train_at[i]] if i in train_at else masks["mask"][mask_at[i]] for i in places["id"]]
        picture = draw_mosaic(places, images, shown, limit)
        drawn.append(MosaicPicture(int(places["mosaic"].iloc[0]), places, picture))
    return drawn


def page(run: Run, in_report: int) -> str:
    """The page with all mosaics of a run, as HTML; in_report: how many of the largest are in its report."""
    train, test = load_tiles(run.tiles.folder, "train"), load_tiles(run.tiles.folder, "test")
    placed = with_mask_sources(load_mosaics(run.mosaics), load_changes(run.changes), train.ids)
    limit = int(np.sqrt(PIXELS / max(1, len(placed))))
    drawn = pictures(placed, train, test, open_records(run.masks), limit)
    context = {
        "title": run.folder.resolve().name,
        "tiles": {"placed": len(placed), "all": len(train) + len(test)},
        "mosaics": drawn,
        "groups": list(by_size(drawn)),
        "in_report": in_report,
    }
    return rendering.render("mosaics.html", context)


def by_size(drawn: list[MosaicPicture]) -> Iterator[tuple[int, int | None, list[MosaicPicture]]]:
    """Mosaics in groups by number of tiles: the fewest and the most of a group (None: no limit), and its mosaics."""
    most = None
    for least in SIZES:
        group = [mosaic for mosaic in drawn if least <= len(mosaic.places) and (not most or len(mosaic.places) <= most)]
        if group:
            yield least, most, group
        most = least - 1
