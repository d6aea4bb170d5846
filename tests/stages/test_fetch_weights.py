import hashlib
import logging
import socket

import pytest
import timm
from safetensors.torch import load_file, save_file

from models.pretrained import create_encoder
from salt.runtime import provenance
from schemas.errors import UserError
from schemas.networks import PretrainedEncoder
from schemas.packages import PACKAGES
from stages import fetch_weights


def start(folder, encoder, weights):
    settings = PretrainedEncoder(encoder=encoder, weights=str(weights)).model_dump_json()
    fetch_weights.main(["--settings", settings, "--out", f"{folder}/encoders/out.safetensors"])
    return load_file(folder / "encoders" / "out.safetensors")


def test_a_local_file_becomes_the_encoders_state_and_log_and_provenance_say_from_where(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    save_file(timm.create_model("test_resnet").state_dict(), tmp_path / "mine.safetensors")
    state = start(tmp_path, "tu-test_resnet", tmp_path / "mine.safetensors")
    own = create_encoder("tu-test_resnet").state_dict()
    assert {name: value.shape for name, value in state.items()} == {name: value.shape for name, value in own.items()}
    digest = hashlib.sha256((tmp_path / "encoders" / "out.safetensors").read_bytes()).hexdigest()
    assert f"tu-test_resnet from {tmp_path}/mine.safetensors" in caplog.text
    assert digest in caplog.text
    assert provenance.read(tmp_path / "encoders" / "out.safetensors")["source"] == f"{tmp_path}/mine.safetensors"


def test_weights_of_a_package_need_no_network_and_log_and_provenance_name_it(tmp_path, monkeypatch, caplog):
    def refuse(*_):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    caplog.set_level(logging.INFO)
    state = start(tmp_path, "tu-tf_efficientnet_lite0", "package")
    own = create_encoder("tu-tf_efficientnet_lite0").state_dict()
    assert {name: value.shape for name, value in state.items()} == {name: value.shape for name, value in own.items()}
    package = PACKAGES["tu-tf_efficientnet_lite0"]
    source = f"{package.name} {package.version}, {package.file}"
    assert f"tu-tf_efficientnet_lite0 from {source}" in caplog.text
    assert provenance.read(tmp_path / "encoders" / "out.safetensors")["source"] == source


@pytest.mark.parametrize("weights", ["imagenet", "nowhere.safetensors"])
def test_weights_that_cannot_be_had_leave_no_file(tmp_path, weights):
    with pytest.raises(UserError, match="on a connected machine"):
        start(tmp_path, "tu-test_convnext", weights)
    assert not (tmp_path / "encoders").exists()
