import fcntl
import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from salt.training.checkpoints import Checkpoints, fingerprint, newest_facts


def state(value):
    return {"a": torch.full((3, 2), value), "steps": torch.tensor(7)}


def saved(folder, *values, owner="mine"):
    """A folder with a checkpoint for each value."""
    with Checkpoints(folder, owner) as checkpoints:
        for value in values:
            checkpoints.save({"value": value}, {"weights": state(value), "none": {}})
    return folder / owner


def loaded(folder, owner="mine"):
    with Checkpoints(folder, owner) as checkpoints:
        found = checkpoints.load()
    if found is None:
        return None
    facts, states = found
    assert states["none"] == {}
    assert torch.equal(states["weights"]["a"], state(facts["value"])["a"])
    assert states["weights"]["steps"] == 7
    return facts["value"]


def test_the_newest_checkpoint_comes_back_and_the_one_before_is_kept(tmp_path):
    files = saved(tmp_path, 1.0, 2.0, 3.0)
    assert loaded(tmp_path) == 3.0
    assert sorted(path.name for path in files.glob("*.json")) == ["000002.json", "000003.json"]
    assert len(list(files.glob("*.safetensors"))) == 3  # two sets of weights, and the empty one


def test_where_there_is_none_there_is_none(tmp_path):
    assert loaded(tmp_path) is None


@settings(max_examples=60)
@given(data=st.data(), damage=st.sampled_from(["cut", "flip", "delete"]))
def test_whatever_is_damaged_the_one_before_comes_back_and_never_a_wrong_one(tmp_path_factory, data, damage):
    folder = tmp_path_factory.mktemp("damaged")
    files = saved(folder, 1.0, 2.0)
    newest = json.loads((files / "000002.json").read_text().split("\n", 1)[1])
    victim = data.draw(st.sampled_from(["000002.json", f"{newest['states']['weights']}.safetensors"]))
    content = bytearray((files / victim).read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    if damage == "delete":
        (files / victim).unlink()
    elif damage == "cut":
        (files / victim).write_bytes(content[:place])
    else:
        content[place] ^= data.draw(st.integers(1, 255))
        (files / victim).write_bytes(content)
    assert loaded(folder) == 1.0
    saved(folder, 4.0)
    assert loaded(folder) == 4.0


def test_a_damaged_checkpoint_is_logged(tmp_path, caplog):
    files = saved(tmp_path, 1.0, 2.0)
    (files / "000002.json").write_text("")
    with caplog.at_level("INFO"):
        assert loaded(tmp_path) == 1.0
    assert f"warning: skipped a damaged checkpoint: {files}/000002.json has changed since it was written" in caplog.text


def test_of_two_damaged_ones_none_comes_back(tmp_path):
    for file in saved(tmp_path, 1.0, 2.0).glob("*.safetensors"):
        file.write_bytes(b"")
    assert loaded(tmp_path) is None


def test_what_a_killed_program_left_half_written_is_no_checkpoint(tmp_path):
    files = saved(tmp_path, 1.0)
    (files / ".000002.partial.json").write_text("{")
    (files / ".abc.partial.safetensors").write_text("half")
    assert loaded(tmp_path) == 1.0
    saved(tmp_path, 2.0)
    assert not list(files.glob(".abc*"))


def test_the_checkpoint_of_another_training_is_kept_and_logged(tmp_path, caplog):
    saved(tmp_path, 1.0, owner="other")
    with caplog.at_level("INFO"):
        assert loaded(tmp_path) is None
    assert f"{tmp_path}/other holds a checkpoint of other settings or tiles: it stays there" in caplog.text
    assert loaded(tmp_path, owner="other") == 1.0


HOLDER = """
import sys
from pathlib import Path
import torch
from salt.training.checkpoints import Checkpoints

with Checkpoints(Path(sys.argv[1]), "mine") as checkpoints:
    print("held", flush=True)
    what = sys.stdin.readline().strip()
    checkpoints.save({"value": 2.0}, {"weights": {"a": torch.full((3, 2), 2.0), "steps": torch.tensor(7)}, "none": {}})
    if what == "finish":
        checkpoints.remove()
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that has the folder and, when told to, saves a checkpoint and finishes or fails."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "a")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def waits_in(folder, caplog):
    """A thread that loads the checkpoint of a folder which another process has; returns once it waits."""
    pool = ThreadPoolExecutor(1)
    with caplog.at_level("INFO"):
        found = pool.submit(loaded, folder)
        while "another process trains this model and fold" not in caplog.text:
            time.sleep(0.01)
    pool.shutdown(wait=False)
    return found


@pytest.mark.parametrize("what", ["finish", "fail"])
def test_a_second_training_waits_and_takes_over_what_the_first_left(holder, tmp_path, caplog, what):
    found = waits_in(tmp_path / "a", caplog)
    assert not found.done()
    holder.communicate(f"{what}\n")
    assert found.result(timeout=60) == 2.0


def test_a_killed_training_frees_its_folder_at_once(holder, tmp_path, caplog):
    saved(tmp_path / "b", 1.0)
    found = waits_in(tmp_path / "a", caplog)
    holder.kill()
    assert found.result(timeout=60) is None


def test_a_lock_file_that_its_holder_deleted_locks_nothing(tmp_path, monkeypatch):
    with Checkpoints(tmp_path / "a", "mine") as first:
        first.save({}, {"none": {}})
        opened = []

        def delete_after_opening(file, how):
            opened.append(how)
            if len(opened) == 1:  # `waiting` is open, `lock` is not yet
                first.remove()
                first.__exit__()

        flock = fcntl.flock
        monkeypatch.setattr(fcntl, "flock", lambda file, how: (delete_after_opening(file, how), flock(file, how))[1])
        with Checkpoints(tmp_path / "a", "mine") as second:
            assert (second.root / "lock").exists()
            assert len(opened) > 3  # it tried again
            second.save({}, {"none": {}})


def test_a_finished_training_leaves_no_checkpoints(tmp_path):
    saved(tmp_path / "a", 1.0)
    saved(tmp_path / "b", 1.0, owner="other")
    for name in ("a", "b"):
        with Checkpoints(tmp_path / name, "mine") as checkpoints:
            checkpoints.remove()
    assert [path.name for path in tmp_path.iterdir()] == ["b"]
    assert loaded(tmp_path / "b", owner="other") == 1.0


def test_a_state_that_did_not_change_is_written_once(tmp_path):
    constant, written = state(5.0), []
    with Checkpoints(tmp_path, "mine") as checkpoints:
        for value in (1.0, 2.0, 3.0):
            checkpoints.save({}, {"best": constant, "weights": state(value)})
            written.append({path: path.stat().st_mtime_ns for path in checkpoints.folder.glob("*.safetensors")})
    always = set.intersection(*(set(files.items()) for files in written))
    assert len(always) == 1


def test_the_fingerprint_changes_with_settings_tiles_and_weights():
    tiles, weights = np.zeros((2, 3), np.uint8), {"a": torch.zeros(2)}
    prints = [
        fingerprint("{}", [tiles], weights),
        fingerprint("{1}", [tiles], weights),
        fingerprint("{}", [tiles + 1], weights),
        fingerprint("{}", [tiles.reshape(3, 2)], weights),
        fingerprint("{}", [tiles], {"a": torch.ones(2)}),
    ]
    assert len(set(prints)) == 5
    assert prints[0] == fingerprint("{}", [tiles.copy()], {"a": torch.zeros(2)})


def test_a_reader_beside_a_training_sees_the_newest_facts_and_locks_nothing(tmp_path):
    assert newest_facts(tmp_path) is None
    with Checkpoints(tmp_path, "mine") as checkpoints:
        for value in (1.0, 2.0):
            checkpoints.save({"value": value}, {"none": {}})
        facts, written = newest_facts(tmp_path)
        assert facts == {"value": 2.0}
        assert abs(written - (checkpoints.folder / "000002.json").stat().st_mtime) < 1
        (checkpoints.folder / "000002.json").write_text("half of")
        assert newest_facts(tmp_path)[0] == {"value": 1.0}
