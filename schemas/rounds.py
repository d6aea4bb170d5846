"""The rounds: which model learns from whose predictions.

A model names sets of pseudo-labels, a set names an ensemble, an ensemble names models. Nothing else decides what a
round learns from. All that follows from this graph is here; rounds count from 1.
"""

from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter

from schemas.config import Config


def predictors(config: Config, labels: str) -> dict[str, float]:
    """The models that make a set of pseudo-labels, by name in order, and their weights."""
    ensemble = config.pseudo_labels[labels].ensemble
    return dict(sorted(config.members(ensemble).items()))


def teachers(config: Config, model: str) -> list[str]:
    """The models whose predictions a model learns from, through any of its sets, sorted."""
    return sorted({teacher for labels in config.models[model].pseudo_labels for teacher in predictors(config, labels)})


def numbers(config: Config) -> dict[str, int]:
    """The round of each model: 1 without pseudo-labels, else one more than the latest of its teachers."""
    found: dict[str, int] = {}
    for model in _graph(config).static_order():
        found[model] = 1 + max((found[teacher] for teacher in teachers(config, model)), default=0)
    return {model: found[model] for model in config.models}


def circle(config: Config) -> list[str] | None:
    """Models that would learn from themselves, each followed by one it learns from, the first again at the end."""
    try:
        _graph(config).prepare()
    except CycleError as error:
        return error.args[1][::-1]
    return None


def first_ensemble(config: Config) -> str:
    """What a gain is measured from: the first ensemble of models of round 1, or the first such model."""
    number = numbers(config)
    for name, members in config.ensembles.items():
        if all(number[member] == 1 for member in members):
            return name
    return next(name for name in config.models if number[name] == 1)


def leaking(config: Config) -> list[str]:
    """Sets of pseudo-labels that a model learns from although models that saw its validation tiles made them."""
    used = {name for model in config.models.values() for name in model.pseudo_labels}
    return [name for name, labels in config.pseudo_labels.items() if name in used and labels.scope == "ensemble"]


def mixed_scopes(config: Config) -> Iterator[tuple[str, str, str]]:
    """Sets of scope fold whose models learned from a set of scope ensemble: the set, the model, what it learned from.

    One step back suffices: a set of scope fold that they learned from is looked at in its turn.
    """
    for name, labels in config.pseudo_labels.items():
        for model in predictors(config, name) if labels.scope == "fold" else ():
            for source in sorted(set(config.models[model].pseudo_labels)):
                if config.pseudo_labels[source].scope == "ensemble":
                    yield name, model, source


def pretrainings(config: Config, model: str) -> list[str]:
    """The folders of a model's pretraining: none, one that its folds share, or one each."""
    pretrain = config.models[model].pretrain
    return config.pseudo_labels[pretrain.pseudo_labels].folders(config.folds.count) if pretrain else []


def _graph(config: Config) -> TopologicalSorter[str]:
    return TopologicalSorter({model: teachers(config, model) for model in config.models})
