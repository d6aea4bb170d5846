import io
import tracemalloc
import zipfile
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from salt.intake import files
from salt.intake.faults import Faults
from salt.intake.files import Archive, Folder, Unreadable
from schemas.errors import UserError
from tests.competition_files import make_files, write, zipped

WHOLE = zipped({"train.csv": b"id\na\n", "test.zip": zipped({"images/a.png": bytes(300), "images/": b""})})

contents = st.dictionaries(
    st.text("abc/._ \u00e9", min_size=1).filter(lambda name: not name.endswith("/")), st.binary()
)


@settings(max_examples=50)
@given(contents, st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))
def test_what_was_packed_is_read(packed, how):
    with suppress(Unreadable):  # `..` and `/a` lead out
        archive = Archive(zipped(packed, how), "x.zip")
        assert {name: archive.read(name) for name in archive.names} == packed


@settings(max_examples=300)
@given(st.data())
def test_any_bytes_are_a_zip_or_unreadable(data):
    start = data.draw(st.integers(0, len(WHOLE)))
    end = start + data.draw(st.integers(0, 8))
    changed = WHOLE[:start] + data.draw(st.binary(max_size=8)) + WHOLE[end:]
    with suppress(Unreadable):
        archive = Archive(changed, "x.zip")
        for name in archive.names:
            archive.read(name)
        inside = archive.zip("test.zip")
        for name in inside.names:
            inside.read(name)


def test_a_zip_in_a_zip_is_read_where_it_is(tmp_path):
    write(tmp_path, {"x.zip": WHOLE})
    inside = Folder(tmp_path, Faults()).zip("x.zip").zip("test.zip")
    assert (inside.where, inside.names) == (f"{tmp_path}/x.zip/test.zip", ["images/a.png"])
    assert inside.read("images/a.png") == bytes(300)
    assert [path.name for path in tmp_path.iterdir()] == ["x.zip"]


def test_never_more_is_unpacked_than_the_zip_tells():
    zeros = 50 * 2**20
    data = zipped({"a.png": bytes(zeros)})
    told = (1000).to_bytes(4, "little")
    archive = Archive(data.replace(zeros.to_bytes(4, "little"), told), "x.zip")
    tracemalloc.start()
    with pytest.raises(Unreadable, match="Bad CRC-32"):
        archive.read("a.png")
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def test_much_may_be_unpacked_from_little_where_it_is_harmless():
    archive = Archive(zipped({f"masks/{number}.bmp": bytes(2**20) for number in range(20)}), "x.zip")
    assert len(archive.read("masks/7.bmp")) == 2**20


def test_a_list_that_would_fill_the_memory_is_not_read(monkeypatch):
    monkeypatch.setattr(files, "MOST_MEMBERS", 2)
    outer = zipped({f"{count}.zip": zipped(dict.fromkeys(map(str, range(count)), bytes(200))) for count in (2, 3)})
    assert len(Archive(outer, "x.zip").zip("2.zip").names) == 2
    with pytest.raises(Unreadable, match=r"x\.zip/3\.zip \(expected at most 2 files\)"):
        Archive(outer, "x.zip").zip("3.zip")


def test_what_windows_and_macos_pack_is_read():
    """Their zips have no Unix modes, flags of other systems, names in UTF-8."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for system, attributes in ((0, 0x20), (19, 0o100644 << 16), (3, 0o100644 << 16)):
            info = zipfile.ZipInfo(f"images/\u00e4{system}.png")
            info.create_system, info.external_attr = system, attributes
            archive.writestr(info, b"x")
    assert len(Archive(file.getvalue(), "x.zip").names) == 3


def names(folder):
    """The names in a folder that has no fault."""
    faults = Faults()
    found = Folder(folder, faults).names
    faults.raise_if_any("")
    return found


def test_files_of_a_folder_are_sorted_and_hidden_ones_left_out(tmp_path):
    write(tmp_path, {"b": b"", "a/c/d": b"", ".hidden": b"", ".git/x": b"", "a/.DS_Store": b""})
    assert names(tmp_path) == ["a/c/d", "b"]


def test_links_are_followed_wherever_they_lead(tmp_path):
    data, elsewhere = tmp_path / "data", write(tmp_path / "disk", {"train/images/a.png": b"a", "b.png": b"b"})
    (data / "test/images").mkdir(parents=True)
    (data / "train").symlink_to(elsewhere / "train")
    (data / "test/images/b.png").symlink_to(elsewhere / "b.png")
    (tmp_path / "link").symlink_to(data)
    assert names(tmp_path / "link") == ["test/images/b.png", "train/images/a.png"]
    assert Folder(tmp_path / "link", Faults()).read("test/images/b.png") == b"b"


def test_folders_that_were_not_asked_for_are_not_looked_into(tmp_path):
    write(tmp_path, {"train/images/a": b"", "train/other/b": b"", "other/train/c": b"", "d": b""})
    (tmp_path / "other/broken").symlink_to("gone")
    faults = Faults()
    assert Folder(tmp_path, faults, below=["train"]).names == ["d", "train/images/a", "train/other/b"]
    faults.raise_if_any("")


def test_a_folder_is_walked_once(tmp_path):
    write(tmp_path, {f"{name}/file": b"" for name in "abcdef"})
    for name in "abcdef":  # without end, and 6 times as many at each level
        for other in "abcdef":
            (tmp_path / name / f"to_{other}").symlink_to(tmp_path / other)
    faults = Faults()
    assert len(Folder(tmp_path, faults).names) == 6
    with pytest.raises(UserError, match="links lead to more than once"):
        faults.raise_if_any("")


def test_a_file_that_is_gone_is_unreadable(tmp_path):
    folder = Folder(write(tmp_path, make_files()), Faults())
    (tmp_path / "train.csv").unlink()
    with pytest.raises(Unreadable, match=r"train\.csv \(No such file or directory\)"):
        folder.read("train.csv")
