"""What is odd about the data as a whole, and whether anything can be learnt from them."""

from collections import Counter

from salt.data.tiles import Tiles
from salt.intake.faults import Faults
from salt.intake.tables import Table


def check_tables(samples: Table | None, depths: Table | None, ids: set[str], faults: Faults) -> None:
    """Warn of what the tables hold and nothing reads. `ids` are those of all tiles."""
    if depths is None:
        faults.warn("tables that are missing", ["depths.csv"], "`folds.by: depth` and `channels: depth` need it.")
    strangers = [name for name in depths or {} if name not in ids]
    faults.warn("ids of depths.csv that are no tiles", strangers, "Their depths are not read.")
    masks = {name: row.get("rle_mask", "") for name, row in (samples or {}).items()}
    placeholders = [mask for mask, _ in Counter(masks.values()).most_common(1)]
    drawn = [name for name, mask in masks.items() if mask not in placeholders]
    faults.warn("masks in sample_submission.csv", drawn, "They are not read: of test tiles nothing is known.")


def check_tiles(train: Tiles, test: Tiles, faults: Faults) -> None:
    """Note as faults what leaves nothing to learn or to predict, and warn of what is seldom meant."""
    for split, tiles in (("train", train), ("test", test)):
        constant = tiles.table.loc[tiles.table["constant"], "id"].tolist()
        if len(constant) == len(tiles):
            remedy = "Look at the images: each is of a single grey value."
            faults.add(f"tiles of {split}, all of them constant", constant, remedy)
        elif len(constant) > len(tiles) / 2:
            remedy = "They are left out of the training, and predicted empty."
            faults.warn(f"tiles of {split}, more than half of them constant", constant, remedy)
    coverage = train.table.set_index("id")["coverage"]
    if not coverage.any():
        remedy = "Look at the masks: 0 is not salt, and one of 1, 255 and 65535 is."
        faults.add("labelled tiles, none of them with salt", coverage.index, remedy)
    full = coverage.index[coverage == 1]
    faults.warn("masks that are salt all over", full, "Look whether that is meant, or salt and the rest are swapped.")
    taught = coverage.index[train.table["constant"].to_numpy() & (coverage > 0)]
    faults.warn("constant tiles with salt in their masks", taught, "No training sees them.")
