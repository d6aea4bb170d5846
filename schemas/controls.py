"""The controls that `controls: true` adds to a config: the same effort without pseudo-labels.

Whoever reads a config finds them in it (`schemas.reading.check_config`). They are added anew each time, so a config
that holds them already stays as it is.
"""

from collections.abc import Iterator, Mapping
from typing import TypeVar

from schemas import rounds
from schemas.config import Config
from schemas.training import Model

T = TypeVar("T")


def added(config: Config) -> Config:
    """The config with the controls that it asks for, each right after its original."""
    models, ensembles = _models(config), _ensembles(config)
    return config.model_copy(
        update={"models": _beside(config.models, models), "ensembles": _beside(config.ensembles, ensembles)}
    )


def removed(config: Config) -> Config:
    """The config without the controls that `added` adds."""
    names = {rounds.control_name(name) for name in (*_models(config), *_ensembles(config))}
    models = {name: model for name, model in config.models.items() if name not in names}
    ensembles = {name: members for name, members in config.ensembles.items() if name not in names}
    return config.model_copy(update={"models": models, "ensembles": ensembles})


def taken(config: Config) -> Iterator[str]:
    """Faults, one a line: names of controls that the config gives to something else."""
    for original, control in (_models(config) | _ensembles(config)).items():
        name = rounds.control_name(original)
        for section, found in (("models", config.models), ("ensembles", config.ensembles)):
            if found.get(name, control) != control:
                yield (
                    f"{section}.{name}: expected another name, since controls: true gives this one to the control of "
                    f"{original}; rename it"
                )


def _models(config: Config) -> dict[str, Model]:
    """The controls of models, by the names of their originals."""
    return {
        name: model.model_copy(update={"control": True})
        for name, model in config.models.items()
        if config.controls and model.learns_from_unlabelled and not model.control
    }


def _ensembles(config: Config) -> dict[str, dict[str, float]]:
    """The controls of ensembles, by the names of their originals; members without a control stay."""
    learners = _models(config)
    return {
        name: {rounds.control_name(member) if member in learners else member: of for member, of in members.items()}
        for name, members in config.ensembles.items()
        if learners.keys() & members and not rounds.is_control(config, name)
    }


def _beside(originals: Mapping[str, T], controls: Mapping[str, T]) -> dict[str, T]:
    found: dict[str, T] = {}
    for name, original in originals.items():
        found[name] = original
        if name in controls:
            found[rounds.control_name(name)] = controls[name]
    return found
