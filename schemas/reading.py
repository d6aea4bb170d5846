"""Read and check the config of a run and the settings of a program.

`check_config` reads what Snakemake merged from workflow_config.yaml and the recipes on top of it. Stage programs get
one section of it as JSON and read that with `read_settings`.
"""

import copy
import functools
import operator
from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from schemas import consistency, controls, faults
from schemas.config import Config
from schemas.errors import UserError

S = TypeVar("S")


def read_settings(kind: type[S], text: str) -> S:
    """Read one section from the JSON that the workflow passes to a program. Raises UserError listing every fault."""
    try:
        return TypeAdapter(kind).validate_json(text)
    except ValidationError as error:
        raise UserError("\n".join(faults.messages(error, TypeAdapter(kind).json_schema()).values())) from None


def check_config(raw: Mapping[str, Any]) -> Config:
    """Check the merged config: first each section, then the sections together; add the controls that it asks for.

    A key set to null counts as absent, so that a recipe can remove what it inherits.
    Raises UserError listing every fault.
    """
    given = _drop_nulls(raw)
    try:
        config = Config.model_validate(given)
    except ValidationError as error:
        wrong = faults.messages(error, Config.model_json_schema())
        raise UserError("\n".join([*wrong.values(), *_misspelt_elsewhere(given, wrong)])) from None
    if found := consistency.faults(config):
        raise UserError("\n".join(found))
    return controls.added(config)


def _misspelt_elsewhere(given: Any, wrong: Collection[faults.Path]) -> list[str]:
    """Undefined names in an invalid config, if it is valid without its faulty keys.

    wrong: paths of the faults. None is searched for if a path is a model, an ensemble or a set: names would miss it.
    Nor if one is a phase's `keep`, which names snapshots.
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
