import json

import pytest

from benchmarks import gpu_check, inference, training
from benchmarks.gpu_check import Stage


def test_a_stage_leaves_its_result(tmp_path):
    (tmp_path / "given.json").write_text('{"rows": []}')
    words = ["json.tool", str(tmp_path / "given.json"), str(tmp_path / "out.json")]
    found = Stage("one", words, tmp_path / "out.json").run(60, tmp_path / "log")
    assert (found["status"], found["result"]) == ("passed", {"rows": []})


def test_a_stage_that_fails_leaves_the_end_of_its_output(tmp_path):
    found = Stage("one", ["json.tool", str(tmp_path / "missing.json")], tmp_path / "out.json").run(60, tmp_path / "log")
    assert (found["status"], found["result"]) == ("failed", None)
    assert "missing.json" in found["output"][-1]


def test_a_stage_that_takes_too_long_is_ended(tmp_path):
    found = Stage("one", ["http.server", "0"]).run(0.5, tmp_path / "log")
    assert found["status"] == "out of time"
    assert found["seconds"] < 30


@pytest.mark.parametrize("where", ["cpu", "cuda"])
def test_the_stages_start_programs_with_options_that_they_know(tmp_path, where):
    stages = {stage.name: stage for stage in gpu_check.stages(where, tmp_path)}
    assert list(stages) == list(gpu_check.SECONDS)
    programs = {"training": training, "deterministic": training, "inference": inference}
    for name, program in programs.items():
        module, *options = stages[name].words
        assert module == program.__name__
        args = program.parse_args(options)
        assert (args.device, args.json) == (where, stages[name].result)
    assert sum(gpu_check.SECONDS.values()) <= 8 * 60


def test_a_failing_stage_does_not_end_the_check_and_its_json_holds_all(tmp_path, monkeypatch, capsys):
    one, two = Stage("tests", ["json.tool", str(tmp_path / "missing.json")]), Stage("tiny run", ["this"])
    monkeypatch.setattr(gpu_check, "stages", lambda where, folder: [one, two])
    assert gpu_check.main(["--device", "cpu", "--folder", str(tmp_path), "--commit", "abc"]) == 1
    found = json.loads((tmp_path / "check.json").read_text())
    assert [stage["status"] for stage in found["stages"].values()] == ["failed", "passed"]
    assert found["machine"]["commit"] == "abc"
    assert found["missing"] == []
    assert "missing.json" in capsys.readouterr().out


def test_the_slowdown_of_deterministic_compares_the_same_models():
    rows = {"training": {"x": 10.0, "y": 3.0}, "deterministic": {"x": 4.0}}
    found = {
        name: {"result": {"rows": [{"model": model, "way": "ours", "images/s": rate} for model, rate in of.items()]}}
        for name, of in rows.items()
    }
    assert gpu_check.slowdown(found) == {"x": 2.5}
    assert gpu_check.slowdown({"training": {"result": None}}) == {}
