"""Encoders by name, and the weights that they start from.

The names and the weights are those of segmentation_models_pytorch; with `tu-` before them, timm's. Weights travel as
safetensors of the encoder's own names for 3 input channels. What cannot be had is an error, never a random start.
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

from models.states import State, misfit, read_state
from schemas.errors import UserError
from schemas.faults import suggestion
from schemas.networks import PretrainedEncoder

TIMM = "tu-"  # what segmentation_models_pytorch puts before timm's names


def create_encoder(name: str, channels: int = 3, weights: Path | None = None) -> Any:
    """An encoder of depth 5 for (B, channels, S, S), with the weights of a file of fetch_weights or random ones.

    Raises UserError where there is no such encoder.
    """
    try:
        encoder = smp.encoders.get_encoder(name, in_channels=channels, depth=5, weights=None)
    except Exception as error:
        raise encoder_error(name, error) from error
    if weights:
        load_encoder(encoder, weights, channels)
    return encoder


def load_encoder(encoder: nn.Module, path: Path, channels: int) -> None:
    """Put the weights of a file of fetch_weights into an encoder, adapted to its number of input channels.

    An encoder that was cut to fewer stages takes those that it has. Raises UserError where the file is another's.
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
            f"{fault or f'a file {wrong}'}. Give the file that fetch_weights made for this very encoder."
        )
    encoder.load_state_dict(adapted)


def fetch_encoder(pretrained: PretrainedEncoder) -> tuple[State, str]:
    """The state of an encoder for 3 input channels, and where it came from: a URL or a file.

    Raises UserError where the weights cannot be had.
    """
    if pretrained.file:
        return read_encoder(pretrained.encoder, Path(pretrained.file)), pretrained.file
    name = pretrained.encoder
    stay_offline_without_network()
    try:
        # timm has its tags of weights in the name itself: `tu-convnext_tiny.fb_in22k`.
        weights = True if name.startswith(TIMM) else pretrained.weights
        encoder = smp.encoders.get_encoder(name, depth=5, weights=weights)
    except Exception as error:
        create_encoder(name)  # raises where the encoder itself is what cannot be had
        raise _weights_error(pretrained, error) from error
    if name.startswith(TIMM):
        repository = encoder.model.pretrained_cfg["hf_hub_id"]
    else:
        repository = NATIVE[name]["pretrained_settings"][weights]["repo_id"]
    return encoder.state_dict(), f"{huggingface_hub.constants.ENDPOINT}/{repository}"


def must_be_known(pretrained: PretrainedEncoder) -> None:
    """Raises UserError where the library knows no weights of that name. timm has them in the encoder's."""
    known = NATIVE[pretrained.encoder]["pretrained_settings"] if pretrained.encoder in NATIVE else {}
    if known and not pretrained.file and pretrained.weights not in known:
        raise UserError(
            f"Expected weights of the encoder '{pretrained.encoder}', and found '{pretrained.weights}'; "
            f"{suggestion(pretrained.weights, known)}"
        )


def read_encoder(name: str, path: Path) -> State:
    """An encoder's state from a safetensors file: of its own names, or as timm and torchvision name them.

    What the encoder does not have, such as a classifier, is left out. Raises UserError where something is missing.
    """
    encoder = create_encoder(name)
    own = encoder.state_dict()
    state, fault = read_state(path)
    renamed = {_own_name(key, own): value for key, value in state.items()}
    # Files of before 2018 do not count batches, and nothing here reads the count.
    counts = {key: value for key, value in own.items() if key.endswith("num_batches_tracked")}
    found = counts | {key: value for key, value in renamed.items() if key in own}
    if wrong := misfit(own, found):
        raise _file_error(name, path, fault or f"a file {wrong}")
    return found


def _own_name(key: str, own: State) -> str:
    """The encoder's name for a key of a file: timm's features put `model.` before it and join its first two parts."""
    candidates = (key, f"model.{key}", f"model.{key.replace('.', '_', 1)}")
    return next((name for name in candidates if name in own), key)


def stay_offline_without_network() -> None:
    """Let huggingface_hub look into its cache alone where its server cannot be reached.

    By itself it tries again for a minute, and behind a firewall that drops packets for ten.
    """
    try:
        huggingface_hub.get_session().head(huggingface_hub.constants.ENDPOINT, timeout=5)
    except Exception:  # of its HTTP library, which changes with its version
        huggingface_hub.constants.HF_HUB_OFFLINE = True


def encoder_error(name: str, error: Exception) -> UserError:
    """One paragraph for an encoder that could not be made."""
    known = [*NATIVE, *(f"{TIMM}{network}" for network in timm.list_models())]
    if name in known:
        return UserError(f"The encoder '{name}' could not be made ({_reason(error)}). Choose another in the config.")
    close = ", ".join(difflib.get_close_matches(name, known)) or "resnet34, se_resnext50_32x4d, tu-convnext_tiny"
    return UserError(
        f"There is no encoder '{name}'. Expected a name of segmentation_models_pytorch, or `{TIMM}` and a name of "
        f"timm. Did you mean one of these: {close}?"
    )


def _file_error(name: str, path: Path, found: str) -> UserError:
    """One paragraph for a local file that does not hold the weights of an encoder."""
    return UserError(
        f"Expected {path} to hold the weights of the encoder '{name}' for 3 channels, and found {found}. Take the "
        "model.safetensors that Hugging Face has of this very encoder, or make the file on a connected machine: "
        f"{_recipe(PretrainedEncoder(encoder=name, weights='imagenet'))}"
    )


def _weights_error(pretrained: PretrainedEncoder, error: Exception) -> UserError:
    """One paragraph for weights that could not be had, with all remedies."""
    return UserError(
        f"The weights '{pretrained.weights}' of the encoder '{pretrained.encoder}' could not be had "
        f"({_reason(error)}). They are downloaded once: connect this machine to the network and type the same command "
        f"again. Or make a file of them on a connected machine, {_recipe(pretrained)}, and set `weights: "
        f"path/to/{pretrained.encoder}.safetensors` for this network. Or set `weights: none`, which trains the encoder "
        "from a random start and scores lower."
    )


def _recipe(pretrained: PretrainedEncoder) -> str:
    """The command that makes a file of an encoder's weights where there is a network."""
    name = pretrained.encoder
    weights = "True" if name.startswith(TIMM) else f"'{pretrained.weights}'"
    return (
        '`python -c "from safetensors.torch import save_file; import segmentation_models_pytorch as smp; '
        f"save_file(smp.encoders.get_encoder('{name}', weights={weights}).state_dict(), '{name}.safetensors')\"`"
    )


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]
