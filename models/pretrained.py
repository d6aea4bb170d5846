"""Encoders with pretrained weights, by name; weights that cannot be had are an error, never a random start."""

from typing import Any

import segmentation_models_pytorch as smp

from schemas.config import ConfigError


def encoder_weights(weights: str) -> str | None:
    """What segmentation_models_pytorch wants for the config's `weights`: none becomes None."""
    return None if weights == "none" else weights


def create_encoder(name: str, weights: str, in_channels: int = 3) -> Any:
    """An encoder of segmentation_models_pytorch, depth 5. Raises ConfigError where its weights cannot be had."""
    try:
        return smp.encoders.get_encoder(name, in_channels=in_channels, depth=5, weights=encoder_weights(weights))
    except Exception as error:
        raise weights_error(name, weights, error) from error


def weights_error(name: str, weights: str, error: Exception) -> ConfigError:
    """One paragraph for a network that could not be made with its weights."""
    reason = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    if weights == "none":
        return ConfigError(f"The encoder '{name}' could not be made ({reason}). Choose another in the config.")
    return ConfigError(
        f"The encoder '{name}' with weights '{weights}' could not be made ({reason}). "
        "The first use of pretrained weights downloads them: connect this machine to the network once, or set "
        "`weights: none` for this network, which trains it from a random start and scores lower."
    )
