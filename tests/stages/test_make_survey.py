import os
import subprocess
import sys

import pytest

from stages import make_survey

SETTINGS = '{"seed": 1, "sections": 1, "rows": [2, 2], "columns": [2, 3], "missing": 0.0, "tile": 64}'


def test_it_writes_the_survey_that_its_settings_describe(tmp_path):
    make_survey.main(["--settings", SETTINGS, "--out", str(tmp_path / "data")])
    assert {path.name for path in (tmp_path / "data").iterdir()} == {
        "train.csv",
        "train.zip",
        "test.zip",
        "depths.csv",
        "sample_submission.csv",
        "truth",
    }


@pytest.mark.parametrize("missing", ["--settings", "--out"])
def test_every_option_is_required(missing, tmp_path, capsys):
    options = {"--settings": SETTINGS, "--out": str(tmp_path)}
    del options[missing]
    with pytest.raises(SystemExit):
        make_survey.main([part for option in options.items() for part in option])
    assert missing in capsys.readouterr().err


def test_the_bytes_do_not_depend_on_the_number_of_threads(tmp_path):
    for threads in ("1", "2"):
        command = [sys.executable, "-m", "stages.make_survey", "--settings", SETTINGS]
        environment = {**os.environ, "OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
        done = subprocess.run([*command, "--out", tmp_path / threads], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "train and" in done.stdout
    files = [path for path in (tmp_path / "1").rglob("*") if path.is_file()]
    assert len(files) == 7
    for path in files:
        assert path.read_bytes() == (tmp_path / "2" / path.relative_to(tmp_path / "1")).read_bytes(), path.name
