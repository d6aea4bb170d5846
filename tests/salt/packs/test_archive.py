import hashlib
import json
import os
import re
import time
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from salt.packs import archive
from salt.packs.archive import Pack
from schemas.errors import UserError
from schemas.packs import Manifest

PREDICTION = {
    "tile": 32,
    "windows": {"overlap": 0.5},
    "models": {
        "one": {"network": {"name": "unet_plain", "width": 4, "levels": 3}, "input": {"channels": "ramp"}, "weight": 1}
    },
    "folds": 1,
    "postprocess": [{"name": "threshold", "above": 0.5}],
}
FILES = {"scores.csv": b"name\n", "models/one/fold0/snapshots/a.safetensors": bytes(range(256)) * 8}


def digest(content):
    return hashlib.sha256(content).hexdigest()


def write(folder, name="demo.pack.zip", files=FILES, listed=None):
    """A pack of some files, of which the manifest may list others."""
    sources = {}
    for number, (inside, content) in enumerate(files.items()):
        sources[inside] = folder / f"source{number}"
        sources[inside].write_bytes(content)
    digests = {inside: digest(content) for inside, content in (files if listed is None else listed).items()}
    manifest = Manifest.model_validate({"run": "demo", "ensemble": "one", "prediction": PREDICTION, "files": digests})
    archive.write(folder / name, manifest, sources)
    return folder / name


def fault(act):
    with pytest.raises(UserError) as error:
        act()
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def unpacked(path):
    folder = Pack(path).unpack().folder
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_a_pack_unpacks_to_its_files_in_a_folder_of_its_name(here):
    found = unpacked(write(here))
    assert (here / "results/demo.pack/scores.csv").is_file()
    assert {name: content for name, content in found.items() if name != "pack.json"} == FILES


def test_the_same_files_give_the_same_bytes_whenever_they_were_written(here):
    first = write(here).read_bytes()
    time.sleep(0.01)
    for path in here.glob("source*"):
        os.utime(path, (10**9, 10**9))
    assert write(here).read_bytes() == first


def test_weights_lie_in_the_file_as_they_are(here):
    content = FILES["models/one/fold0/snapshots/a.safetensors"]
    assert content in write(here).read_bytes()
    with zipfile.ZipFile(here / "demo.pack.zip") as opened:
        assert {entry.compress_type for entry in opened.infolist()} == {zipfile.ZIP_STORED}


def test_a_second_start_writes_only_what_is_missing_or_damaged(here):
    path = write(here)
    whole = unpacked(path)
    weights = here / "results/demo.pack/models/one/fold0/snapshots/a.safetensors"
    before = weights.stat().st_mtime_ns
    (here / "results/demo.pack/scores.csv").write_bytes(b"nam")
    assert unpacked(path) == whole
    assert weights.stat().st_mtime_ns == before
    weights.unlink()
    assert unpacked(path) == whole


@pytest.mark.parametrize("other", ["a run", "another pack"])
def test_a_folder_that_holds_something_else_is_left_alone(here, other):
    path = write(here)
    if other == "a run":
        (here / "results/demo.pack").mkdir(parents=True)
    else:
        unpacked(path)
        write(here, files=FILES | {"scores.csv": b"other\n"})
    text = fault(lambda: Pack(path).unpack())
    assert "Expected the folder results/demo.pack to be free" in text


def test_a_newer_format_says_to_update(here):
    path = write(here)
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(here / "new.zip", "w") as new:
        for name in old.namelist():
            content = old.read(name)
            newer = json.dumps({"format": 2, "anything": "else"}).encode()
            new.writestr(name, newer if name == "pack.json" else content)
    text = fault(lambda: Pack(here / "new.zip"))
    assert "format 1" in text and "found format 2" in text and "Update the program" in text  # noqa: PT018 (one text)


@pytest.mark.parametrize(
    "manifest", [b"", b"[]", b"{}", b"\xff", b'{"format": "1"}', b'{"format": 1}', b'{"format": true}', b"null"]
)
def test_a_manifest_of_another_form_is_refused(here, manifest):
    with zipfile.ZipFile(here / "x.zip", "w") as opened:
        opened.writestr("pack.json", manifest)
    assert "Expected the manifest of a pack" in fault(lambda: Pack(here / "x.zip"))


def test_other_files_are_refused(here):
    (here / "text").write_text("hello")
    with zipfile.ZipFile(here / "other.zip", "w") as opened:
        opened.writestr("a.png", b"1")
    for path, found in (("text", "not a zip"), ("none.zip", "No such file"), (".", "directory")):
        assert found in fault(lambda path=path: Pack(here / path))
    assert "a zip without pack.json" in fault(lambda: Pack(here / "other.zip"))


def test_files_that_the_manifest_does_not_list_and_listed_ones_that_lack_are_refused(here):
    assert "scores.csv" in fault(lambda: Pack(write(here, listed={"a": b""} | dict(list(FILES.items())[1:]))))
    assert "some missing: b" in fault(lambda: Pack(write(here, listed=FILES | {"b": b""})))


def test_a_file_that_was_changed_is_refused_by_its_digest(here):
    path = write(here, listed=FILES | {"scores.csv": b"better\n"})
    assert "Expected scores.csv in" in fault(lambda: Pack(path).unpack())
    assert not (here / "results/demo.pack/scores.csv").exists()


@pytest.mark.parametrize("name", ["../../climbed", "/tmp/climbed", "a/../../climbed", "C:climbed", "a\\..\\climbed"])  # noqa: S108
def test_names_that_lead_out_are_refused(here, name):
    path = write(here, files={name: b"1"})
    assert "names that are not paths inside the zip" in fault(lambda: Pack(path))
    assert not list(here.rglob("*climbed"))


@settings(max_examples=150)
@given(where=st.floats(0, 1, exclude_max=True), value=st.one_of(st.none(), st.integers(1, 255)))
def test_a_damaged_pack_is_refused_in_words_or_unpacks_to_the_same_files(tmp_path_factory, where, value):
    """value: the bits that are flipped in one byte; none: the file is cut there."""
    folder = tmp_path_factory.mktemp("damaged")
    path = write(folder)
    content = bytearray(path.read_bytes())
    place = int(where * len(content))
    if value is None:
        del content[place:]
    else:
        content[place] ^= value
    path.write_bytes(content)
    before = Path.cwd()
    os.chdir(folder)
    try:
        found = unpacked(path)
    except UserError as error:
        assert re.match(r"Expected .*found .*", str(error))  # noqa: PT017 (either is right)
        return
    finally:
        os.chdir(before)
    assert {name: content for name, content in found.items() if name != "pack.json"} == FILES
