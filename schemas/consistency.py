"""Faults between sections of a config that are valid by themselves: undefined names, incompatible settings."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from schemas import controls, rounds
from schemas.config import Config
from schemas.faults import shown, suggestion
from schemas.packages import PACKAGE, no_package
from schemas.training import Model


def faults(config: Config) -> list[str]:
    """Every fault as one line. Checks that follow names run only if the names are defined."""
    wrong_alone = [*controls.taken(config), *misspelt(config), *_misfit(config)]
    complete = controls.added(config)
    return wrong_alone or list(_teaching_controls(complete)) or [*_circular(complete), *_leaking(complete)]


def misspelt(config: Config) -> Iterator[str]:
    """Names that the config uses but does not define."""
    complete = controls.added(config)
    ensembles = [*complete.ensembles, *complete.models]
    for name, model in config.models.items():
        if model.pretrain:
            key = f"models.{name}.pretrain.pseudo_labels"
            yield from _defined(key, model.pretrain.pseudo_labels, "pseudo-labels", config.pseudo_labels)
        if model.add_pseudo_labels:
            key = f"models.{name}.add_pseudo_labels"
            yield from _defined(key, model.add_pseudo_labels, "pseudo-labels", config.pseudo_labels)
        yield from _wrong_members(f"models.{name}.members", model)
    for name, members in config.ensembles.items():
        if name in config.models:
            yield f"ensembles.{name}: expected a unique name, found that of a model, itself an ensemble; rename it"
        for member in members:
            yield from _defined(f"ensembles.{name}", member, "a model", complete.models)
    for name, labels in config.pseudo_labels.items():
        yield from _defined(f"pseudo_labels.{name}.ensemble", labels.ensemble, "an ensemble or a model", ensembles)
    if Path(config.pathvars.results) in map(Path, config.report.compare):
        yield f"report.compare: expected other runs, found {config.pathvars.results}, which is this one; remove it"
    yield from _defined("submission.ensemble", config.submission.ensemble, "an ensemble or a model", ensembles)


def _wrong_members(place: str, model: Model) -> Iterator[str]:
    """Snapshots with a weight that its phases do not keep, or not in any case."""
    for member in model.members if isinstance(model.members, dict) else ():
        yield from _defined(place, member, "a snapshot of its phases", model.snapshots)
        if member in set(model.snapshots) - set(model.certain_snapshots):
            yield (
                f"{place}.{member}: expected a snapshot that is kept in any case, found one of an epoch that may not "
                "come, since a plateau may end early; name an earlier one, or give a rule: {name: equal}"
            )


def _defined(place: str, name: str, what: str, defined: Iterable[str]) -> Iterator[str]:
    if name not in (known := list(defined)):
        yield f"{place}: expected the name of {what}, found {shown(name)}; {suggestion(name, known)}"


def _misfit(config: Config) -> Iterator[str]:
    """Settings that are valid one by one, but not together."""
    for name, model in config.models.items():
        yield from _input_misfits(f"models.{name}.input", model, config)
        yield from _weights_misfits(f"models.{name}.network.weights", model)
    yield from _size_misfits(config)
    yield from _count_misfits(config)
    height, width = config.data.shape or (0, 1)
    if config.survey and (config.data.layout == "folders" or height != width):
        yield (
            "survey: expected data in the competition's layout with square tiles, found another layout or shape; "
            "remove data.layout and data.tile"
        )


def _size_misfits(config: Config) -> Iterator[str]:
    """Mask sizes of pseudo-labels that exceed a tile, if the tile size is known."""
    if config.data.shape is None:
        return
    height, width = config.data.shape
    for name, labels in config.pseudo_labels.items():
        for number, size in enumerate(labels.per_fold or ()):
            if size.pixels[1] > height * width:
                yield (
                    f"pseudo_labels.{name}.per_fold.{number}.pixels: expected at most the {height * width} px of a "
                    f"tile of {height} x {width} px (data.tile), found {size.pixels[1]}; lower it"
                )


def _count_misfits(config: Config) -> Iterator[str]:
    """Lists of pseudo-labels a fold that are too short for the folds."""
    for name, labels in config.pseudo_labels.items():
        for number, size in enumerate(labels.per_fold or ()):
            if not isinstance(size.count, int) and len(size.count) < config.folds.count:
                yield (
                    f"pseudo_labels.{name}.per_fold.{number}.count: expected {config.folds.count} counts, one for each "
                    f"fold (folds.count), found {len(size.count)}; add some, or write one number for all folds"
                )


def _input_misfits(place: str, model: Model, config: Config) -> Iterator[str]:
    """An input that does not fit its tiles or its network, as far as the config shows; a training checks the rest."""
    given, stride = model.input, model.network.stride
    if given.channels == "rgb" and config.data.colour != "rgb":
        yield f"{place}.channels: expected others than rgb, since data.colour drops colours; set data.colour: rgb"
    tile = config.data.shape or given.resize
    if tile is None:
        return
    if fault := given.misfit(tile):
        yield f"{place}.{fault}"
    elif wrong := [side for side in given.shape(tile) if side % stride]:
        nearest = max(stride, round(wrong[0] / stride) * stride)
        yield (
            f"{place}: expected a side divisible by {stride}, as {model.network.name} needs, found {wrong[0]} px; "
            f"set resize or pad to {nearest}"
        )


def _weights_misfits(place: str, model: Model) -> Iterator[str]:
    """Weights of a package that does not exist; a file other than safetensors, which would pass for a name."""
    pretrained = model.network.pretrained
    weights = pretrained.weights if pretrained else "none"
    if pretrained and weights == PACKAGE and not pretrained.package:
        yield f"{place}: {no_package(pretrained.encoder)}"
    looks_like_a_file = "/" in weights or weights.endswith((".pth", ".pt", ".bin", ".ckpt", ".h5", ".onnx"))
    if looks_like_a_file and not weights.endswith(".safetensors"):
        yield (
            f"{place}: expected a name of weights or a safetensors file, which holds no code, found "
            f"{shown(weights)}; convert it, or set weights: imagenet"
        )


def _teaching_controls(config: Config) -> Iterator[str]:
    """Sets of pseudo-labels from controls."""
    for name, labels in config.pseudo_labels.items():
        if rounds.is_control(config, labels.ensemble):
            yield (
                f"pseudo_labels.{name}.ensemble: expected no control, since controls are for comparison alone, found "
                f"{shown(labels.ensemble)}; name another ensemble or model"
            )


def _circular(config: Config) -> Iterator[str]:
    """A model that would learn from pseudo-labels of its own predictions."""
    if path := rounds.cycle(config):
        yield (
            f"models.{path[0]}: expected pseudo-labels of models that do not learn from it, found that it learns "
            f"from itself: {' <- '.join(path)}; take them from an ensemble of an earlier round"
        )


def _leaking(config: Config) -> Iterator[str]:
    """Sets of scope fold whose models saw all validation tiles through their own pseudo-labels."""
    for name, model, source in rounds.mixed_scopes(config):
        yield (
            f"pseudo_labels.{name}.scope: expected models that learn only from sets of scope fold, found "
            f"that {model} learns from {source}, made by models of all folds; set "
            f"pseudo_labels.{source}.scope: fold too"
        )
