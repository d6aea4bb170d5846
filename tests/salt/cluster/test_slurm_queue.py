import os
from types import SimpleNamespace

import pytest

from salt.cluster.slurm_queue import left_over, wait_for_left_over
from salt.workflow.snakemake_adapter import Engine

MAIN = Engine(SimpleNamespace(is_main_process=True))
RUN = ["--cores", "1", "--configfile", "recipes/demo.yaml"]


@pytest.fixture
def squeue(tmp_path, monkeypatch):
    """A queue: each look at it shows the next of some lists of lines, then nothing."""
    (tmp_path / "squeue").write_text(
        f'#!/bin/sh\nset -- {tmp_path}/look*\n[ -e "$1" ] && cat "$1" && rm "$1"\nexit 0\n'
    )
    (tmp_path / "squeue").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    folder = tmp_path / "run"
    folder.mkdir()
    monkeypatch.chdir(folder)

    def show(*looks):
        for number, lines in enumerate(looks):
            (tmp_path / f"look{number}").write_text("".join(f"{line}\n" for line in lines))
        return folder

    return show


def test_jobs_that_snakemake_submitted_from_this_folder_are_left_over_and_no_others(squeue):
    folder = squeue(
        [
            "11|rule_train_fold_wildcards_a_0|{}",
            "12_3|group_all|{}",
            "13|(null)|{}",
            "14|rule_train_fold_wildcards_a_0|{}/elsewhere",
            "15|rules|{}",
        ]
    )
    look = folder.parent / "look0"
    look.write_text(look.read_text().format(*[folder] * 5))
    assert left_over(folder) == ["11", "12_3"]


def test_a_run_waits_for_them_and_says_so_each_time_that_they_change(squeue, capsys):
    folder = squeue([])
    both, one = [f"11|rule_pretrain|{folder}", f"12|rule_blend|{folder}"], [f"12|rule_blend|{folder}"]
    squeue(both, both, one)
    wait_for_left_over(MAIN, RUN, pause=0)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split("queue: ")[1].split(".")[0] for line in lines] == ["11 12", "12"]
    assert lines[0].endswith("scancel 11 12")


def test_neither_a_dry_run_nor_a_job_waits(squeue):
    folder = squeue([])
    squeue([f"11|rule_pretrain|{folder}"])
    wait_for_left_over(MAIN, [*RUN, "-n"], pause=60)
    wait_for_left_over(Engine(SimpleNamespace(is_main_process=False)), RUN, pause=60)
    assert left_over(folder) == ["11"]


def test_a_queue_that_does_not_answer_holds_nothing_up(squeue, capsys):
    folder = squeue([])
    (folder.parent / "squeue").write_text("#!/bin/sh\necho cannot connect >&2\nexit 1\n")
    wait_for_left_over(MAIN, RUN, pause=60)
    assert capsys.readouterr().err == ""


def test_without_slurm_there_is_nothing_to_wait_for(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    wait_for_left_over(MAIN, RUN, pause=60)
