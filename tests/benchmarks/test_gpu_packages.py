from importlib import metadata

from benchmarks import gpu_packages
from benchmarks.gpu_packages import LOCK, USED, is_pure, locked, needed

LOCKED = """\
numpy==2.4.6 ; python_full_version < '3.12' and (sys_platform == 'darwin' or sys_platform == 'linux') \\
    --hash=sha256:aa \\
    --hash=sha256:bb
    # via salt (pyproject.toml)
numpy==2.5.5 ; python_full_version >= '3.12' and (sys_platform == 'darwin' or sys_platform == 'linux') \\
    --hash=sha256:cc \\
    --hash=sha256:dd
torch==2.15.0 \\
    --hash=sha256:ee
"""


def test_what_is_needed_is_there_or_carried():
    names = needed(USED)
    assert names >= {"opencv-python-headless", "albucore", "snakemake", "snakemake-interface-common", "pydantic-core"}
    assert names.isdisjoint({"torch", "numpy", "nvidia-cudnn-cu13", "cuda-toolkit", "matplotlib", "grpcio"})


def test_entries_are_those_of_the_other_machines_python():
    assert list(locked({"numpy"}, LOCKED)) == ["numpy==2.5.5 --hash=sha256:cc --hash=sha256:dd"]


def test_every_package_that_is_not_pure_is_locked_once():
    names = {name for name in needed(USED) if not is_pure(name)}
    assert {"opencv-python-headless", "pydantic-core", "pandas"} <= names
    found = [entry.partition("==")[0] for entry in locked(names, LOCK.read_text())]
    assert sorted(found) == sorted(names)


def test_a_pure_package_is_copied_without_compiled_files(tmp_path):
    gpu_packages.copy("iniconfig", tmp_path)
    assert (tmp_path / "iniconfig" / "__init__.py").exists()
    assert not list(tmp_path.rglob("*.pyc"))
    assert [path.name for path in metadata.distributions(path=[str(tmp_path)])] == ["iniconfig"]


def test_an_archive_leaves_out_what_nobody_uses(tmp_path):
    for name in (*gpu_packages.UNUSED_FILES, "pandas/core.py"):
        (tmp_path / "site" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "site" / name).write_text("")
    gpu_packages.pack(tmp_path / "site", tmp_path / "new" / "one.tar.xz")
    with gpu_packages.tarfile.open(tmp_path / "new" / "one.tar.xz") as archive:
        assert "./pandas/core.py" in archive.getnames()
        assert {f"./{name}" for name in gpu_packages.UNUSED_FILES}.isdisjoint(archive.getnames())
