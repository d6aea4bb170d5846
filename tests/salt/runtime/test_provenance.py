import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from salt.runtime import provenance
from schemas.errors import UserError

SHA256_OF_ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, B.1
needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")


def git(folder, *arguments):
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A repository with one module, whatever a user's git does, or a hook of git that started the tests."""
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    folder = tmp_path / "checkout"
    (folder / "salt").mkdir(parents=True)
    (folder / "salt" / "tiles.py").write_text("")
    (folder / "config.yaml").write_text("")
    (folder / ".gitignore").write_text("copies/\n")
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "first")
    return folder


@needs_git
def test_the_commit_that_is_checked_out_is_known(checkout):
    assert provenance.code(checkout) == (git(checkout, "rev-parse", "HEAD").strip(), False)


@needs_git
@pytest.mark.parametrize(
    ("edited", "changed"), [("salt/tiles.py", True), ("salt/new.py", True), ("config.yaml", False)]
)
def test_edited_and_new_code_counts_as_changed_and_an_edited_config_does_not(checkout, edited, changed):
    (checkout / edited).write_text("1\n")
    assert provenance.code(checkout)[1] is changed


@needs_git
def test_a_copy_inside_another_checkout_does_not_get_its_commit(checkout):
    copy = checkout / "copies" / "one"
    copy.mkdir(parents=True)
    assert provenance.code(copy) == ("unknown", None)


@needs_git
def test_the_commit_of_another_users_folder_is_unknown(checkout, monkeypatch):
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")  # git's own tests set it
    assert provenance.code(checkout) == ("unknown", None)


def test_without_git_the_commit_is_unknown(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert provenance.code(Path.cwd()) == ("unknown", None)


def test_a_file_has_its_sha256(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert provenance.sha256(tmp_path / "a") == SHA256_OF_ABC


def test_a_folder_has_the_sha256_of_the_list_of_its_files_without_hidden_ones(tmp_path):
    for name in ("b", "a", ".snakemake_timestamp"):
        (tmp_path / name).write_bytes(b"abc")
    listed = f"{SHA256_OF_ABC}  a\n{SHA256_OF_ABC}  b\n"  # what sha256sum prints
    assert provenance.sha256(tmp_path) == hashlib.sha256(listed.encode()).hexdigest()


@pytest.mark.parametrize("name", ["scores.csv", "snapshots"])
def test_what_is_left_beside_a_file_or_a_folder_is_read_again(tmp_path, name):
    (tmp_path / "tiles").write_bytes(b"abc")
    inputs = {"tiles": tmp_path / "tiles", "members": [tmp_path / "tiles"], "mosaics": None, "start_from": []}
    provenance.write(tmp_path / name, '{"threshold": 0.5}', inputs, device="CPU", seed=3)
    assert {path.name for path in tmp_path.iterdir()} == {"tiles", f"{name}.provenance.json"}
    found = provenance.read(tmp_path / name)
    read = {str(tmp_path / "tiles"): SHA256_OF_ABC}
    assert found["inputs"] == {"tiles": read, "members": read}
    assert (found["settings"], found["device"], found["seed"]) == ({"threshold": 0.5}, "CPU", 3)
    assert found["started"] <= found["ended"]


def test_all_outputs_are_recorded_by_paths_relative_to_the_record(tmp_path):
    (tmp_path / "snapshots" / "deep").mkdir(parents=True)
    for name in ("snapshots/a", "snapshots/.hidden", "snapshots/deep/b", "table.csv"):
        (tmp_path / name).write_bytes(b"abc")
    provenance.write([tmp_path / "snapshots", None, tmp_path / "table.csv"], None, {})
    written = {"sha256": SHA256_OF_ABC, "bytes": 3}
    names = ("snapshots/a", "snapshots/deep/b", "table.csv")
    assert provenance.read(tmp_path / "snapshots")["outputs"] == dict.fromkeys(names, written)
    moved = tmp_path.rename(tmp_path.with_name(f"{tmp_path.name}_moved"))
    assert [provenance.recorded_bytes(moved / name) for name in ("snapshots/a", "table.csv")] == [3, 3]
    assert provenance.recorded_bytes(moved / "snapshots" / ".hidden") is None


@given(data=st.data())
def test_any_change_of_a_record_is_noticed(data, tmp_path):
    (tmp_path / "table.csv").write_bytes(b"abc")
    provenance.write(tmp_path / "table.csv", {"threshold": 0.5}, {})
    record = provenance.path_of(tmp_path / "table.csv")
    text = record.read_text()
    where = data.draw(st.integers(0, len(text.rstrip()) - 1))
    other = data.draw(st.characters(min_codepoint=33, max_codepoint=126).filter(lambda sign: sign != text[where]))
    record.write_text(data.draw(st.sampled_from([text[:where], text[:where] + other + text[where + 1 :]])))
    try:
        found = provenance.load(record)
    except UserError as error:
        assert str(record) in str(error)  # noqa: PT017
    else:
        assert found == {key: value for key, value in json.loads(text).items() if key != provenance.SEAL}


def test_only_what_a_program_imported_has_a_version():
    prints_versions = (
        "import json, numpy; from salt.runtime import provenance; print(json.dumps(provenance.versions()))"
    )
    done = subprocess.run([sys.executable, "-c", prints_versions], check=True, capture_output=True, text=True)
    assert set(json.loads(done.stdout)) == {"python", "snakemake", "numpy"}


def test_a_result_without_provenance_is_of_unknown_code(tmp_path):
    assert provenance.read(tmp_path / "scores.csv")["commit"] == "unknown"


def test_the_code_is_asked_for_once(monkeypatch):
    first = provenance.origin()
    monkeypatch.setattr(provenance, "code", lambda root: 1 / 0)
    assert provenance.origin() == first
