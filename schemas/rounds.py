"""The rounds: which model learns from whose predictions.

A model names sets of pseudo-labels, a set names an ensemble, an ensemble names models. This graph alone determines the
rounds, counted from 1. Everything derived from it is here.
"""

from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter

from schemas.config import Config


def predictors(config: Config, labels: str) -> dict[str, float]:
    """The models that predict a set of pseudo-labels, sorted by name, with their weights."""
    ensemble = config.pseudo_labels[labels].ensemble
    return dict(sorted(config.members(ensemble).items()))


def teachers(config: Config, model: str) -> list[str]:
    """The models whose predictions a model learns from, through any of its sets of pseudo-labels, sorted."""
    return sorted({teacher for labels in config.models[model].pseudo_labels for teacher in predictors(config, labels)})


def numbers(config: Config) -> dict[str, int]:
    """The round of each model: 1 without pseudo-labels, otherwise one more than the highest round of its teachers."""
    found: dict[str, int] = {}
    for model in _graph(config).static_order():
        found[model] = 1 + max((found[teacher] for teacher in teachers(config, model)), default=0)
    return {model: found[model] for model in config.models}


def cycle(config: Config) -> list[str] | None:
    """A cycle of models, each followed by one that it learns from, with the first repeated at the end; None if none."""
    try:
        _graph(config).prepare()
    except CycleError as error:
        return error.args[1][::-1]
    return None


def first_ensemble(config: Config) -> str:
    """The baseline of gains: the first ensemble with only models of round 1, or else the first model of round 1."""
    number = numbers(config)
    for name, members in config.ensembles.items():
        if all(number[member] == 1 for member in members):
            return name
    return next(name for name in config.models if number[name] == 1)


def leaking(config: Config) -> list[str]:
    """Sets of pseudo-labels in use that were predicted by models trained on the learner's validation tiles."""
    used = {name for model in config.models.values() for name in model.pseudo_labels}
    return [name for name, labels in config.pseudo_labels.items() if name in used and labels.scope == "ensemble"]


def mixed_scopes(config: Config) -> Iterator[tuple[str, str, str]]:
    """Sets of scope fold predicted by a model that learned from a set of scope ensemble.

    Yields the set, the model, and the set that it learned from. One step back suffices: sets of scope fold that the
    model learned from are checked themselves.
    """
    for name, labels in config.pseudo_labels.items():
        for model in predictors(config, name) if labels.scope == "fold" else ():
            for source in sorted(set(config.models[model].pseudo_labels)):
                if config.pseudo_labels[source].scope == "ensemble":
                    yield name, model, source


def pretrainings(config: Config, model: str) -> list[str]:
    """The folders of a model's pretraining: none, one shared by its folds, or one per fold."""
    pretrain = config.models[model].pretrain
    return config.pseudo_labels[pretrain.pseudo_labels].folders(config.folds.count) if pretrain else []


def _graph(config: Config) -> TopologicalSorter[str]:
    return TopologicalSorter({model: teachers(config, model) for model in config.models})
