import json

import numpy as np
import pytest

from benchmarks import inference, recipe, tiles

SMALL = ["--device", "cpu", "--threads", "1", "--batch", "2", "--snapshots", "2", "--models", "stage2_lite"]


def test_both_ways_are_measured_and_the_whole_is_estimated(tmp_path, capsys):
    assert inference.main([*SMALL, "--tiles", "3", "--json", str(tmp_path / "found.json")]) == 0
    found = json.loads((tmp_path / "found.json").read_text())
    assert [(row["way"], row["tiles"], row["snapshots"]) for row in found["rows"]] == [("ours", 3, 2), ("plain", 3, 2)]
    assert all(row["passes/s"] > 0 and row["TFLOP/s"] > 0 for row in found["rows"])
    assert found["whole, min"]["ours"] == found["rows"][0]["whole, min"]
    assert "All 18000 tiles, min: ours " in capsys.readouterr().out


def test_the_final_blend_has_forty_snapshots():
    assert inference.FOLDS * sum(len(dict(recipe.read(name).members)) for name in recipe.final_blend()) == 40


def test_both_ways_predict_the_same(tmp_path):
    some = tiles.make(3, "test")
    compute = recipe.compute(inference.parse_args(SMALL)).model_copy(update={"predict_dtype": "float32"})
    job = inference.Job.of("stage2_lite", 1, some, tmp_path, compute)
    ours, plain = (job.predictor(way).predict(some.images, some.depths) for way in ("ours", "plain"))
    assert plain.plain == pytest.approx(ours.plain, abs=1e-3)
    assert plain.tta == pytest.approx(ours.tta, abs=1e-3)
    assert np.ptp(ours.tta) > 0
