import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from salt.data.records import create_records, open_records
from salt.scores import metric, pseudo_label_scores
from salt.scores.known_masks import KnownMasks
from salt.scores.pseudo_label_scores import EDGES

SIDE = 8


@st.composite
def sets(draw):
    """Pseudo-masks, truth, confidences and selection of n tiles, the truth of the first k of them known."""
    count = draw(st.integers(1, 12))
    tile = st.sampled_from(["empty", "left", "half", "full"])
    masks, truth = (draw(st.lists(tile, min_size=count, max_size=count)) for _ in range(2))
    near = [edge + step for edge in EDGES for step in (-0.001, 0, 0.001) if 0 <= edge + step <= 1]
    confidence = draw(st.lists(st.sampled_from(near), min_size=count, max_size=count))
    selected = draw(st.lists(st.booleans(), min_size=count, max_size=count))
    return masks, truth, confidence, selected, draw(st.integers(1, count))


def painted(kinds):
    widths = {"empty": 0, "left": 3, "half": 4, "full": SIDE}
    return np.stack([np.broadcast_to(np.arange(SIDE) < widths[kind], (SIDE, SIDE)) for kind in kinds]).astype("u1")


@given(sets())
def test_each_class_has_the_mean_scores_of_its_tiles(tmp_path_factory, case):
    masks, truth, confidence, selected, count = case
    ids = [f"t{number}" for number in range(len(masks))]
    path = tmp_path_factory.mktemp("set") / "masks.npy"
    with create_records(path, ids[::-1], {"mask": np.uint8}, SIDE, SIDE) as records:
        records["mask"] = painted(masks)[::-1]
    labels = pd.DataFrame({"id": ids, "confidence": confidence, "selected": selected})
    labels["coverage"] = painted(masks).mean(axis=(1, 2))
    known = KnownMasks("true_test", np.array(ids[:count]), painted(truth)[:count])
    found = pseudo_label_scores.table(open_records(path), labels, known)

    scores = metric.score(painted(masks), painted(truth))
    rows = 0
    for low, high in itertools.pairwise(EDGES):
        for predicted in ("empty", "salt", "all"):
            chosen = [
                tile
                for tile in range(count)
                if low <= confidence[tile] < high or confidence[tile] == high == 1
                if predicted == "all" or (masks[tile] == "empty") == (predicted == "empty")
            ]
            own = found.query("low == @low and predicted == @predicted")
            assert len(own) == bool(chosen)
            for row in own.itertuples():
                rows += 1
                assert (row.labels, row.high, row.tiles) == ("true_test", high, len(chosen))
                assert row.score == pytest.approx(np.mean(scores[chosen]))
                taken = [tile for tile in chosen if selected[tile]]
                assert row.selected == len(taken)
                expected = np.mean(scores[taken]) if taken else np.nan
                assert row.selected_score == pytest.approx(expected, nan_ok=True)
    assert rows == len(found)
