import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from salt.report import front_page
from salt.report.front_page import rounds_chart
from salt.runtime.paths import Run
from salt.scores.verdict import Difference
from schemas.errors import UserError
from schemas.reading import check_config


def test_the_chart_shows_each_stage_and_those_with_a_control_beside_it():
    scores = pd.Series({"stage1": 0.5, "stage2": 0.6, "final": 0.65})
    controls = [
        Difference("true_test", "none", name, f"{name}_control", "control", 0.03, 0.01, 0.05, 100)
        for name in ("stage2", "final")
    ]
    svg = rounds_chart(scores, controls)
    assert [name for name in scores.index if f">{name}<" in svg] == list(scores.index)
    places = re.findall(r'<use [^>]*x="([\d.]+)" y="([\d.]+)"[^>]*var\(--blue\)', svg)
    assert len(places) == 3 + 1


def test_a_chart_without_controls_shows_the_stages():
    assert ">stage1<" in rounds_chart(pd.Series({"stage1": 0.5, "final": np.nan}), [])


def test_a_run_on_other_tiles_than_a_surveys_is_refused(tmp_path):
    run = Run(tmp_path)
    config = check_config(yaml.safe_load(Path("workflow_config.yaml").read_text()))
    run.config.write_text(yaml.safe_dump(config.model_dump(mode="json")))
    pd.DataFrame(columns=["id", "mosaic", "row", "column"]).to_csv(run.mosaics, index=False)
    with pytest.raises(UserError, match="expected a run of a synthetic survey"):
        front_page.page(run)
