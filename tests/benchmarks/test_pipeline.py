import json

from benchmarks import pipeline


def test_every_step_is_measured_beside_its_twin(tmp_path, capsys):
    words = ["--tiles", "30", "--part", "10", "--folder", str(tmp_path), "--json", str(tmp_path / "found.json")]
    assert pipeline.main(words) == 0
    rows = json.loads((tmp_path / "found.json").read_text())["rows"]
    assert [row["step"] for row in rows] == list(pipeline.STEPS)
    assert all(row["seconds"] > 0 and row["twin, s"] > 0 for row in rows)
    assert [path.name for path in tmp_path.iterdir()] == ["found.json"]
    assert "| mosaics | 30 |" in capsys.readouterr().out
