"""Pack the Python packages that `benchmarks.gpu_check` needs on a machine with PyTorch and without a network.

    make gpu-packages                             # build/gpu-packages.tar.xz: about 4 minutes, 59 MiB
    mkdir site && tar -xJf gpu-packages.tar.xz -C site && export PYTHONPATH=$PWD/site:$PWD       # over there

The versions are those of requirements.lock: pure Python as it is installed here, the rest as wheels for the other
machine. Left out is what comes with PyTorch, what the check does not use, and a few large files. One archive for all,
because single wheels, opencv's of 58 MiB above all, compress worse.
"""

import argparse
import lzma
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from salt.runtime.paths import REPOSITORY

LOCK = REPOSITORY / "requirements.lock"
PYTHON = "3.12"
PLATFORMS = [f"manylinux_2_{minor}_x86_64" for minor in (39, 35, 34, 31, 28, 27, 24, 17)]
PLATFORMS += ["manylinux2014_x86_64", "manylinux2010_x86_64", "manylinux1_x86_64"]
LIMIT = 64 * 2**20  # bytes
USED = (
    *("segmentation-models-pytorch", "timm", "albumentations", "opencv-python-headless", "pandas", "safetensors"),
    *("pydantic", "pyyaml", "tqdm", "jinja2", "snakemake", "tensorboard", "pytest", "hypothesis"),
)
THERE = {  # where PyTorch is, by itself or beside the usual libraries for models
    *("torch", "torchvision", "triton", "numpy", "scipy", "pillow", "huggingface-hub", "setuptools", "filelock"),
    *("fsspec", "typing-extensions"),
}
UNUSED = {"grpcio", "tensorboard-data-server"}  # only TensorBoard's server needs them
FILTERS = [{"id": lzma.FILTER_X86}, {"id": lzma.FILTER_LZMA2, "preset": 6}]  # the first saves a twentieth of programs
UNUSED_FILES = (  # solvers of six platforms: the check lets Snakemake schedule greedily
    *(
        "pulp/solverdir",
        "pandas/tests",
        "tensorboard/webfiles.zip",
        "tensorboard/plugins/projector/tf_projector_plugin",
    ),
)


def needed(names: Iterable[str]) -> set[str]:
    """These packages and those that they require, as they are installed here, without what is there or not used."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name not in found | THERE | UNUSED:
            found.add(name)
            requirements = map(Requirement, metadata.requires(name) or [])
            waiting += [requirement.name for requirement in requirements if applies(requirement)]
    return found


def applies(requirement: Requirement) -> bool:
    """Whether a requirement holds on the other machine, without extras."""
    there = {"python_version": PYTHON, "python_full_version": f"{PYTHON}.0", "extra": "", "sys_platform": "linux"}
    return requirement.marker is None or requirement.marker.evaluate(there)


def locked(names: set[str], lock: str) -> Iterator[str]:
    """The entries of a lock for some packages, `name==version` with hashes and without markers."""
    for entry in lock.replace("\\\n", " ").splitlines():
        if entry.strip() and not entry.lstrip().startswith("#"):
            pin, _, hashes = entry.partition(" --hash=")
            requirement = Requirement(pin)
            if canonicalize_name(requirement.name) in names and applies(requirement):
                yield f"{requirement.name}{requirement.specifier} --hash={' '.join(hashes.split())}"


def is_pure(name: str) -> bool:
    """Whether a package as it is installed here serves any Python and machine."""
    return "Root-Is-Purelib: true" in (metadata.distribution(name).read_text("WHEEL") or "")


def copy(name: str, site: Path) -> None:
    """Copy an installed package: some have no wheel in the registry."""
    for file in metadata.files(name) or []:
        if ".." not in file.parts and file.suffix != ".pyc":
            target = site / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file.locate(), target)


def install(entries: Iterable[str], site: Path) -> None:
    """Install the wheels of entries of a lock for the other machine into a folder."""
    requirements = site.with_suffix(".txt")
    requirements.write_text("\n".join(entries) + "\n", encoding="utf-8")
    platforms = [word for platform in PLATFORMS for word in ("--platform", platform)]
    wheels = ["--only-binary=:all:", "--implementation", "cp", "--python-version", PYTHON, *platforms]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile", "--require-hashes"]
    command = [*pip, *wheels, "--target", str(site), "--requirement", str(requirements)]
    subprocess.run(command, check=True)  # noqa: S603 (of this module's words)


def pack(site: Path, out: Path) -> int:
    """Write a folder without the files that nobody uses as an archive; return its bytes."""
    for name in UNUSED_FILES:
        path = site / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    out.parent.mkdir(parents=True, exist_ok=True)
    with lzma.open(out, "w", filters=FILTERS) as compressed, tarfile.open(fileobj=compressed, mode="w") as archive:
        archive.add(site, ".")
    return out.stat().st_size


def main(argv: list[str] | None = None) -> int:
    """Run the program; returns 1 if the archive is too large."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, nargs="?", default=REPOSITORY / "build" / "gpu-packages.tar.xz")
    args = parser.parse_args(argv)
    names = needed(USED)
    with tempfile.TemporaryDirectory() as folder:
        site = Path(folder) / "site"
        install(locked({name for name in names if not is_pure(name)}, LOCK.read_text(encoding="utf-8")), site)
        for name in sorted(filter(is_pure, names)):
            copy(name, site)
        size = pack(site, args.out)
    print(f"{args.out}: {len(names)} packages, {size / 2**20:.1f} MiB of at most {LIMIT / 2**20:.0f}")
    return int(size > LIMIT)


if __name__ == "__main__":
    raise SystemExit(main())
