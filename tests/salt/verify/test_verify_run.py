import fcntl
from pathlib import Path

import pytest

from salt.runtime import provenance
from salt.runtime.paths import LOCK, Run
from salt.verify import verify_run
from schemas.errors import UserError


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run that has made folds only, in a folder of results."""
    config = Path("workflow_config.yaml").read_text()
    monkeypatch.chdir(tmp_path)
    run = Run(Path("results", "mine"))
    run.folder.mkdir(parents=True)
    run.config.write_text(config)
    run.folds.write_text("id,fold\na,0\n")
    provenance.write(run.folds, None, {})
    return run


@pytest.mark.parametrize("name", ["", "other", "results/other"])
def test_an_unknown_run_is_answered_with_those_that_there_are(run, name):
    with pytest.raises(UserError, match=r"such as `make verify RUN=demo`, or its folder, found .* There are: mine\."):
        verify_run.main(["--run", name])


@pytest.mark.parametrize("content", ["", "- 1", "\0"])
def test_a_damaged_config_is_a_users_error(run, content):
    run.config.write_text(content)
    with pytest.raises(UserError, match=r"config.yaml: expected .* The command of the run writes it anew"):
        verify_run.main(["--run", "mine"])


@pytest.mark.parametrize("name", ["mine", "results/mine"])
def test_an_unfinished_run_is_intact_as_far_as_it_goes(run, name, capsys):
    assert verify_run.main(["--run", name]) == 0
    assert capsys.readouterr().out.startswith("results/mine: 1 of 1 files of 1 jobs (0.0 MB) are as they were written")


def test_each_kind_of_fault_is_listed_and_then_what_to_do(run, capsys):
    run.folds.write_text("id,fold\na,1\n")
    run.mosaics.write_text("id")
    assert verify_run.main(["--run", "mine"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("results/mine: 0 of 1 files")
    assert "  folds.csv: other bytes than those that were written, equally many: 12 (" in "\n".join(lines)
    assert lines[lines.index("Records that are missing or damaged: 1") + 1] == "  mosaics.csv.provenance.json"
    assert lines[lines.index("Foreign, in no record; left alone: 1") + 1] == "  mosaics.csv"
    assert "`make verify RUN=mine REPAIR=1` removes all outputs" in "\n".join(lines)
    assert run.folds.exists()


def test_a_repair_removes_and_says_what_to_type(run, capsys):
    run.folds.write_text("")
    assert verify_run.main(["--run", "mine", "--repair"]) == 0
    assert "Removed 1 files. Now type the command of the run, which makes them again." in capsys.readouterr().out
    assert not run.folds.exists()


def test_while_a_run_is_active_nothing_is_removed(run, capsys):
    run.folds.write_text("")
    LOCK.parent.mkdir()
    with LOCK.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="Expected no active run"):
            verify_run.main(["--run", "mine", "--repair"])
        assert verify_run.main(["--run", "mine"]) == 1
    assert capsys.readouterr().out.startswith("A run is active in this folder")
    assert run.folds.exists()
    assert verify_run.main(["--run", "mine", "--repair"]) == 0


def test_a_record_of_an_older_version_says_that_its_files_count_as_foreign(run, capsys):
    provenance.path_of(run.folds).write_text('{"commit": "abc", "settings": null}')
    assert verify_run.main(["--run", "mine"]) == 0
    words = capsys.readouterr().out
    assert "1 jobs ran before digests were recorded" in words
    assert "  1 jobs by abc" in words
