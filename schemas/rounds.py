"""The rounds: which model learns from whose predictions.

A model names sets of pseudo-labels, a set names an ensemble, an ensemble names models. This graph alone determines the
rounds, counted from 1. Everything derived from it is here.
"""

from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter

from schemas.config import Config
from schemas.results import Pair


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


def learned(config: Config, name: str) -> bool:
    """Whether any model of an ensemble learned from unlabelled tiles."""
    return any(config.models[member].learns_from_unlabelled for member in config.members(name))


def cycle(config: Config) -> list[str] | None:
    """A cycle of models, each followed by one that it learns from, with the first repeated at the end; None if none."""
    try:
        _graph(config).prepare()
    except CycleError as error:
        return error.args[1][::-1]
    return None


def first_ensemble(config: Config) -> str:
    """The baseline of gains: the first stage with only models of round 1, or else the first model of round 1."""
    return next(name for name in (*stages(config), *config.models) if not learned(config, name))


def comparisons(config: Config) -> tuple[Pair, ...]:
    """For each stage, what it is compared with: the stage before it, the baseline of gains, and its control."""
    order, first = stages(config), first_ensemble(config)
    found = []
    for number, name in enumerate(order):
        others = {"before": order[number - 1] if number else None, "first": first, "control": control_of(config, name)}
        found += [Pair(name=name, than=than, role=role) for role, than in others.items() if than not in (None, name)]
    return tuple(found)


def stages(config: Config) -> list[str]:
    """The ensembles that are no controls, in the order of their highest rounds, the submitted one last among equals.

    A model counts as the last stage if it is submitted in place of an ensemble.
    """
    number, submitted = numbers(config), config.submission.ensemble

    def order(name: str) -> tuple[int, bool]:
        return max(number[member] for member in config.ensembles[name]), name == submitted

    found = sorted((name for name in config.ensembles if not is_control(config, name)), key=order)
    model = submitted in config.models and not is_control(config, submitted)
    return [*found, submitted] if model else found


def control_name(name: str) -> str:
    """The name of the control of a model or an ensemble."""
    return f"{name}_control"


def control_of(config: Config, name: str) -> str | None:
    """The control of a model or an ensemble: the same effort without pseudo-labels; None if there is none."""
    control = control_name(name)
    return control if control in {*config.models, *config.ensembles} and is_control(config, control) else None


def is_control(config: Config, name: str) -> bool:
    """Whether a model is a control, or an ensemble has one among its members."""
    return any(member in config.models and config.models[member].control for member in config.members(name))


def seed(config: Config, model: str) -> int:
    """The seed of a model's trainings: the config's; for a control, one of its round.

    Models of two rounds differ by their pseudo-labels. Their controls would be the same training twice, and the mean
    of both no ensemble.
    """
    return config.seed + (numbers(config)[model] - 1 if config.models[model].control else 0)


def leaking(config: Config) -> list[str]:
    """Sets of pseudo-labels in use that were predicted by models trained on the learner's validation tiles."""
    used = {name for model in config.models.values() if not model.control for name in model.pseudo_labels}
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


def pretraining(config: Config, model: str, fold: int) -> str | None:
    """The folder of the pretraining that a fold of a model starts from; None if there is none.

    Controls are pretrained on labelled tiles, so a pretraining for all folds would see their validation tiles.
    """
    settings = config.models[model]
    if settings.pretrain is None:
        return None
    return f"fold{fold}" if settings.control else config.pseudo_labels[settings.pretrain.pseudo_labels].folder(fold)


def pretrainings(config: Config, model: str) -> list[str]:
    """The folders of a model's pretraining: none, one shared by its folds, or one per fold."""
    found = (pretraining(config, model, fold) for fold in range(config.folds.count))
    return list(dict.fromkeys(folder for folder in found if folder))


def _graph(config: Config) -> TopologicalSorter[str]:
    return TopologicalSorter({model: teachers(config, model) for model in config.models})
