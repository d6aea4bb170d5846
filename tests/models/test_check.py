import json
import subprocess
import sys

import pytest

from models.check import faults
from schemas.base import variants
from schemas.networks import Network

SMALL = {"name": "res34_256", "encoder": "tu-test_resnet", "weights": "none"}


def fault(network, channels=3, side=256):
    return dict(faults({"it": {"network": network, "channels": channels, "sides": [side, side]}})).get("it")


TRIED = [(name, encoder) for name, section in variants(Network).items() for encoder in section.tried_encoders]


@pytest.mark.parametrize(("name", "encoder"), TRIED)
def test_what_is_not_tried_before_a_run_can_be_made(name, encoder):
    settings = {"name": name} if name == "unet_resnext50" else {"name": name, "encoder": encoder}
    assert fault(settings) is None


def test_the_published_decoder_can_be_made():
    assert fault({"name": "unet_resnext50", "decoder": "published"}) is None


def test_a_misspelt_encoder_is_reported_with_the_nearest():
    assert "Did you mean one of these: resnet34" in fault({"name": "unet", "encoder": "resnet43"})


def test_misspelt_weights_are_reported_with_the_nearest():
    assert "did you mean imagenet?" in fault({"name": "unet", "encoder": "resnet18", "weights": "imagnet"})
    assert "choose one of imagenet, ssl, swsl" in fault({"name": "unet", "encoder": "resnet18", "weights": "best"})


def test_files_of_weights_and_timms_names_are_left_to_fetch_weights():
    assert fault(SMALL | {"weights": "some/where.safetensors"}) is None
    assert fault(SMALL | {"weights": "imagenet"}) is None


def test_an_encoder_that_does_not_fit_is_reported():
    assert "does not fit the ResNet34 family" in fault(SMALL | {"encoder": "vgg11"})


def test_a_side_that_only_the_network_knows_it_cannot_take_is_reported():
    network = SMALL | {"encoder": "tu-test_convnext"}
    assert "divisible by 128, as this network needs, and found 192 px" in fault(network, side=192)


def test_the_program_prints_what_is_wrong_by_name():
    trials = {"a": {"network": SMALL, "channels": 1, "sides": [100, 64]}}
    command = [sys.executable, "-m", "models.check", json.dumps(trials)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1])["a"].startswith("Expected an input whose side is divisible by 64")
