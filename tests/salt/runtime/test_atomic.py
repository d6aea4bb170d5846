import os
import stat
import subprocess
import sys

import pytest

from salt.runtime.atomic import atomic_folder, atomic_path


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


def test_what_a_killed_program_left_is_overwritten(tmp_path):
    (tmp_path / ".file.partial.csv").write_text("half of an older, longer file")
    (tmp_path / ".folder.partial").mkdir()
    (tmp_path / ".folder.partial" / "rest").touch()
    with atomic_path(tmp_path / "file.csv") as path:
        path.write_text("whole")
    with atomic_folder(tmp_path / "folder") as folder:
        (folder / "new").touch()
    assert (tmp_path / "file.csv").read_text() == "whole"
    assert [entry.name for entry in (tmp_path / "folder").iterdir()] == ["new"]
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file.csv", "folder"]


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o002, 0o664)])
def test_files_follow_the_umask_whatever_wrote_them(tmp_path, umask, mode):
    """safetensors makes files that only their owner reads."""
    saves = (
        "import sys, numpy; from safetensors.numpy import save_file; "
        "from salt.runtime.atomic import atomic_folder, atomic_path\n"
        "with atomic_folder(sys.argv[1]) as folder, atomic_path(folder / 'w') as path:\n"
        "    save_file({'a': numpy.zeros(1)}, path)"
    )
    folder = tmp_path / "snapshots"
    subprocess.run([sys.executable, "-c", saves, folder], check=True, umask=umask)
    assert stat.S_IMODE(os.stat(folder / "w").st_mode) == mode
    assert stat.S_IMODE(os.stat(folder).st_mode) == 0o777 & ~umask
