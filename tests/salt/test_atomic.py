import pytest

from salt.atomic import atomic_folder, atomic_path


def test_a_file_appears_whole_when_the_block_ends(tmp_path):
    target = tmp_path / "new" / "file.csv"
    with atomic_path(target) as path:
        path.write_text("half")
        assert not target.exists()
        path.write_text("whole")
    assert target.read_text() == "whole"
    assert [entry.name for entry in target.parent.iterdir()] == ["file.csv"]


def test_an_error_leaves_the_old_file_and_no_rest(tmp_path):
    target = tmp_path / "file.csv"
    target.write_text("old")
    with pytest.raises(RuntimeError), atomic_path(target) as path:
        path.write_text("new")
        raise RuntimeError
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_replaces_the_old_one_whole(tmp_path):
    target = tmp_path / "snapshots"
    target.mkdir()
    (target / "old").touch()
    with atomic_folder(target) as folder:
        (folder / "new").touch()
        assert (target / "old").exists()
    assert [entry.name for entry in target.iterdir()] == ["new"]
    with pytest.raises(RuntimeError), atomic_folder(target) as folder:
        raise RuntimeError
    assert [entry.name for entry in tmp_path.iterdir()] == ["snapshots"]


def test_files_have_the_permissions_of_the_umask(tmp_path):
    with atomic_path(tmp_path / "a") as path:
        path.write_text("")
    (tmp_path / "b").write_text("")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode
