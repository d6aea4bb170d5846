import numpy as np
import pandas as pd
import pytest

from salt.report.pseudo_label_quality import together


def test_classes_count_together_by_their_tiles_and_by_those_selected():
    rows = [(30, 0.9, 10, 0.8), (10, 0.5, 0, np.nan), (20, 0.3, 5, 0.2)]
    found = together(pd.DataFrame(rows, columns=["tiles", "score", "selected", "selected_score"]))
    assert found == pytest.approx({"tiles": 60, "score": 38 / 60, "selected": 15, "selected_score": 0.6})


def test_no_tiles_have_no_score():
    found = together(pd.DataFrame(columns=["tiles", "score", "selected", "selected_score"], dtype=float))
    assert (found["tiles"], found["selected"]) == (0, 0)
    assert np.isnan([found["score"], found["selected_score"]]).all()
