"""From what a user wrote to a checked config, and from a program's option to its settings.

`check_config` reads what Snakemake merged from workflow_config.yaml and the recipes on top of it. Stage programs get
one section of it, as JSON, and read it with `read_settings`.
"""

import copy
import functools
import operator
from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from schemas import consistency, faults
from schemas.config import Config
from schemas.errors import UserError

S = TypeVar("S")


def read_settings(kind: type[S], text: str) -> S:
    """Read one section from the JSON that the workflow hands to a program. Raises UserError where it is wrong."""
    try:
        return TypeAdapter(kind).validate_json(text)
    except ValidationError as error:
        raise UserError("\n".join(faults.told(error, TypeAdapter(kind).json_schema()).values())) from None


def check_config(raw: Mapping[str, Any]) -> Config:
    """Check the merged config: shape first, then what its parts say of each other.

    A key set to null is as if it were not there, so that a recipe can take out what it inherits.
    Raises UserError with every fault found.
    """
    given = _drop_nulls(raw)
    try:
        config = Config.model_validate(given)
    except ValidationError as error:
        wrong = faults.told(error, Config.model_json_schema())
        raise UserError("\n".join([*wrong.values(), *_misspelt_besides(given, wrong)])) from None
    if found := consistency.faults(config):
        raise UserError("\n".join(found))
    return config


def _misspelt_besides(given: Any, wrong: Collection[faults.Path]) -> list[str]:
    """Faults of names in a config whose shape is wrong elsewhere, where the rest is a config.

    wrong: paths of the faults. Where one is a model's, an ensemble's or a set's, its name would be missed; where one is
    of what a phase keeps, the names of snapshots.
    """
    named = ("models", "ensembles", "pseudo_labels")
    if any((len(path) == 2 and path[0] in named) or "keep" in path for path in wrong):
        return []
    rest = copy.deepcopy(given)
    for *above, key in sorted(wrong, key=len, reverse=True):
        section = functools.reduce(operator.getitem, above, rest)
        if isinstance(section, dict):
            section.pop(key, None)
    try:
        return list(consistency.misspelt(Config.model_validate(rest)))
    except ValidationError:
        return []


def _drop_nulls(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _drop_nulls(item) for key, item in value.items() if item is not None}
    return value
