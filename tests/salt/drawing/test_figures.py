import re

import numpy as np
import pandas as pd
import pytest

from salt.drawing import figures


def history(phases, score=True):
    """A history with a number of epochs per phase."""
    rows = [(phase, 1, epoch) for phase, count in enumerate(phases, 1) for epoch in range(1, count + 1)]
    table = pd.DataFrame(rows, columns=["phase", "cycle", "epoch"]).assign(lr=0.1, loss=np.linspace(1, 0, len(rows)))
    return table.assign(held_out_loss=table["loss"] if score else np.nan, score=1 - table["loss"] if score else np.nan)


@pytest.fixture(scope="module")
def scores():
    rows = [
        {"name": name, "tta": tta, "jigsaw": jigsaw, "score": 0.8, "sd_folds": np.nan}
        for name in ("zebra", "ant <1>", "final_$1$")
        for tta in (False, True)
        for jigsaw in ("none", "published", "extended")
    ]
    return pd.DataFrame(rows)


def test_names_stand_in_the_order_given_as_text(scores):
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", figures.scores(scores, "final_$1$", "published"))
    names = ["zebra", "ant &lt;1&gt;", "final_$1$"]
    assert [text for text in texts if text in names] == names


def test_a_chart_takes_the_pages_colours_and_nothing_from_outside(scores):
    svg = figures.scores(scores, "zebra", "extended")
    assert svg.startswith("<svg viewBox=")
    assert not [colour for colour in figures.COLOURS if colour in svg]
    assert "var(--ink)" in svg
    assert "http" not in svg
    assert "<style" not in svg


def test_the_same_numbers_give_the_same_bytes(scores):
    assert figures.scores(scores, "zebra", "extended") == figures.scores(scores, "zebra", "extended")


def test_a_prefix_keeps_the_ids_of_two_charts_apart():
    table = pd.DataFrame({"confidence": [0.2, 0.9], "coverage": [0.0, 0.5], "selected": [False, True]})
    svg = figures.pseudo_labels(table, 0.8)
    ids = set(re.findall(r'\bid="([^"]*)"', svg))
    assert ids
    other = figures.with_prefix(svg, "b-")
    assert set(re.findall(r'\bid="([^"]*)"', other)) == {f"b-{name}" for name in ids}
    referred = re.findall(r'url\(#([^)]*)\)|href="#([^"]*)"', other)
    assert referred
    assert all("".join(to).startswith("b-") for to in referred)


def test_folds_that_stopped_early_start_the_next_phase_with_the_others():
    placed, spans = figures.on_one_axis([history([4], score=False)], [history([2, 3]), history([5, 3])])
    assert [(span.label, span.start, span.end) for span in spans] == [("pre 1", 0, 4), ("1", 4, 9), ("2", 9, 12)]
    pretraining, short, long = (table["at"].tolist() for table in placed)
    assert pretraining == [1, 2, 3, 4]
    assert short == [5, 6, 10, 11, 12]
    assert long == [5, 6, 7, 8, 9, 10, 11, 12]


def test_pretrainings_of_the_folds_share_a_span():
    placed, spans = figures.on_one_axis([history([4], score=False)] * 2, [history([2]), history([3])])
    assert [(span.label, span.start, span.end) for span in spans] == [("pre 1", 0, 4), ("1", 4, 7)]
    assert [table["at"].tolist() for table in placed] == [[1, 2, 3, 4], [1, 2, 3, 4], [5, 6], [5, 6, 7]]


@pytest.mark.parametrize("pretrainings", [1, 2])
def test_pretraining_has_no_score_and_is_drawn_all_the_same(pretrainings):
    pretraining = [history([3, 2], score=False)] * pretrainings
    assert figures.training(pretraining, [history([1]), history([2])]).count("<text") > 5


def test_cycles_are_ruled_off_where_the_next_one_starts_and_early_stops_are_not():
    cycles = history([6]).assign(cycle=[1, 1, 1, 2, 2, 2])
    placed, _ = figures.on_one_axis([], [cycles, history([2])])
    assert [at for at in range(1, 7) if figures._ends_a_cycle(placed, at)] == [3]


def test_the_best_threshold_is_the_lowest_of_equals():
    curve = pd.DataFrame({"threshold": [0.2, 0.4, 0.6], "score": [0.5, 0.9, 0.9]})
    assert figures.best_threshold(curve) == (0.4, 0.9)
