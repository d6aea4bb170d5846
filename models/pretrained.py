"""Create encoders by name, and fetch their pretrained weights.

Names and weights are those of segmentation_models_pytorch, or timm's with the prefix `tu-`. Weights are stored as
safetensors with the encoder's own names, for 3 input channels. Unavailable weights are an error, never a random start.
"""

import difflib
from pathlib import Path
from typing import Any

import huggingface_hub
import segmentation_models_pytorch as smp
import timm
from segmentation_models_pytorch.encoders import encoders as NATIVE
from timm.models import adapt_input_conv
from torch import nn

from models.packaged import read_packaged
from models.state_dicts import State, misfit, read_state
from schemas.errors import UserError
from schemas.faults import suggestion
from schemas.networks import PretrainedEncoder
from schemas.packages import PACKAGE, PACKAGES, no_package

TIMM = "tu-"  # segmentation_models_pytorch's prefix of timm's names


def create_encoder(name: str, channels: int = 3, weights: Path | None = None) -> Any:
    """An encoder of depth 5 for (B, channels, S, S), with weights from a file of fetch_weights, else random ones.

    Raises UserError if there is no such encoder.
    """
    try:
        encoder = smp.encoders.get_encoder(name, in_channels=channels, depth=5, weights=None)
    except Exception as error:
        raise encoder_error(name, error) from error
    if weights:
        load_encoder(encoder, weights, channels)
    return encoder


def load_encoder(encoder: nn.Module, path: Path, channels: int) -> None:
    """Load a file of fetch_weights into an encoder, adapted to its number of input channels.

    An encoder with fewer stages ignores the weights of the others. Raises UserError if the file belongs to another one.
    """
    (state, fault), own = read_state(path), encoder.state_dict()
    adapted = {
        name: adapt_input_conv(channels, state[name])
        if state[name].shape[1:2] == (3,) != value.shape[1:2]
        else state[name]
        for name, value in own.items()
        if name in state
    }
    if (wrong := misfit(own, adapted)) or fault:
        raise UserError(
            f"Expected {path} to hold the weights of this network's encoder, a {type(encoder).__name__}, and found "
            f"{fault or f'a file {wrong}'}. Give the file that fetch_weights wrote for this encoder. "
            "`make verify RUN=NAME` tells how to mend one in a run."
        )
    encoder.load_state_dict(adapted)


def fetch_encoder(pretrained: PretrainedEncoder) -> tuple[State, str]:
    """The state of an encoder for 3 input channels, and its source: a URL, a file, or a package with its version.

    Raises UserError if the weights are unavailable.
    """
    if pretrained.file:
        return read_encoder(pretrained.encoder, Path(pretrained.file)), pretrained.file
    name = pretrained.encoder
    if pretrained.weights == PACKAGE:
        return _read_package(name)
    stay_offline_without_network()
    try:
        # timm's names include the tag of the weights: `tu-convnext_tiny.fb_in22k`.
        weights = True if name.startswith(TIMM) else pretrained.weights
        encoder = smp.encoders.get_encoder(name, depth=5, weights=weights)
    except Exception as error:
        create_encoder(name)  # raises if the encoder itself is the problem
        raise _weights_error(pretrained, error) from error
    if name.startswith(TIMM):
        repository = encoder.model.pretrained_cfg["hf_hub_id"]
    else:
        repository = NATIVE[name]["pretrained_settings"][weights]["repo_id"]
    return encoder.state_dict(), f"{huggingface_hub.constants.ENDPOINT}/{repository}"


def must_be_known(pretrained: PretrainedEncoder) -> None:
    """Raises UserError if the library knows no weights of that name; timm's are part of the encoder's name."""
    known = NATIVE[pretrained.encoder]["pretrained_settings"] if pretrained.encoder in NATIVE else {}
    if known and not pretrained.file and pretrained.weights not in known:
        raise UserError(
            f"Expected weights of the encoder '{pretrained.encoder}', and found '{pretrained.weights}'; "
            f"{suggestion(pretrained.weights, known)}"
        )


def read_encoder(name: str, path: Path) -> State:
    """An encoder's state from a safetensors file with its own names, or with those of timm or torchvision.

    Weights that the encoder does not have, such as a classifier's, are left out. Raises UserError if any is missing.
    """
    state, fault = read_state(path)
    return _encoder_state(name, state, path, fault)


def _read_package(name: str) -> tuple[State, str]:
    """An encoder's state from the package that holds its weights, and its source. Raises UserError without one."""
    if name not in PACKAGES:
        raise UserError(f"weights: {no_package(name)}")
    state, source = read_packaged(PACKAGES[name], name.removeprefix(TIMM))
    return _encoder_state(name, state, source), source


def _encoder_state(name: str, state: State, source: Path | str, fault: str | None = None) -> State:
    """The part of a state that an encoder has, under its names. Raises UserError with `fault` if any is missing."""
    own = create_encoder(name).state_dict()
    renamed = {_own_name(key, own): value for key, value in state.items()}
    # Files from before 2018 have no batch counts, and nothing here reads them.
    counts = {key: value for key, value in own.items() if key.endswith("num_batches_tracked")}
    found = counts | {key: value for key, value in renamed.items() if key in own}
    if wrong := misfit(own, found):
        raise _file_error(name, source, fault or f"a file {wrong}")
    return found


def _own_name(key: str, own: State) -> str:
    """The encoder's name for a key of a file: timm's features add the prefix `model.` and join the first two parts."""
    candidates = (key, f"model.{key}", f"model.{key.replace('.', '_', 1)}")
    return next((name for name in candidates if name in own), key)


def stay_offline_without_network() -> None:
    """Restrict huggingface_hub to its cache if its server cannot be reached.

    Otherwise it retries for a minute, or for ten behind a firewall that drops packets.
    """
    try:
        huggingface_hub.get_session().head(huggingface_hub.constants.ENDPOINT, timeout=5)
    except Exception:  # its HTTP library, and so the type, varies with the version
        huggingface_hub.constants.HF_HUB_OFFLINE = True


def encoder_error(name: str, error: Exception) -> UserError:
    """The error for an encoder that could not be created, in one paragraph."""
    known = [*NATIVE, *(f"{TIMM}{network}" for network in timm.list_models())]
    if name in known:
        return UserError(f"The encoder '{name}' could not be created ({_reason(error)}). Choose another in the config.")
    close = ", ".join(difflib.get_close_matches(name, known)) or "resnet34, se_resnext50_32x4d, tu-convnext_tiny"
    return UserError(
        f"There is no encoder '{name}'. Expected a name of segmentation_models_pytorch, or `{TIMM}` and a name of "
        f"timm. Did you mean one of these: {close}?"
    )


def _file_error(name: str, source: Path | str, found: str) -> UserError:
    """The error for a file without the weights of an encoder, in one paragraph."""
    return UserError(
        f"Expected {source} to hold the weights of the encoder '{name}' for 3 channels, and found {found}. Take the "
        "model.safetensors of this encoder from Hugging Face, or make the file on a connected machine: "
        f"{_recipe(PretrainedEncoder(encoder=name, weights='imagenet'))}"
    )


def _weights_error(pretrained: PretrainedEncoder, error: Exception) -> UserError:
    """The error for unavailable weights with all remedies, in one paragraph."""
    return UserError(
        f"The weights '{pretrained.weights}' of the encoder '{pretrained.encoder}' could not be fetched "
        f"({_reason(error)}). They are downloaded once: connect this machine to the network and type the same command "
        f"again. Or make a file of them on a connected machine with {_recipe(pretrained)}, and set `weights: "
        f"path/to/{pretrained.encoder}.safetensors` for this network. Or set `weights: none`, which trains the encoder "
        "from a random start and scores lower."
    )


def _recipe(pretrained: PretrainedEncoder) -> str:
    """The command that makes a file of an encoder's weights on a connected machine."""
    name = pretrained.encoder
    weights = "True" if name.startswith(TIMM) else f"'{pretrained.weights}'"
    return (
        '`python -c "from safetensors.torch import save_file; import segmentation_models_pytorch as smp; '
        f"save_file(smp.encoders.get_encoder('{name}', weights={weights}).state_dict(), '{name}.safetensors')\"`"
    )


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]
