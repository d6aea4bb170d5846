"""The base class of config sections, and the types that several of them use."""

from typing import Annotated, Any, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer
from pydantic.config import JsonDict

from schemas import faults

NAME = "a name (letters, digits and underscores, first a letter)"  # it names a folder
Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$", json_schema_extra={"expected": NAME})]
FOLDER = "a path of letters, digits, underscores, dots, slashes and hyphens"  # it is part of commands
Folder = Annotated[str, Field(pattern=r"^[\w./-]+$", json_schema_extra={"expected": FOLDER})]
Text = Annotated[str, Field(min_length=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Shape = tuple[int, int]  # height and width, px
COMPETITION: Shape = (101, 101)  # size of the competition's tiles


def _shortest(shape: Shape) -> int | Shape:
    return shape[0] if shape[0] == shape[1] else shape


def _sized(least: int) -> tuple[Any, ...]:
    """Annotations of a (height, width) type, written `101` or `[64, 96]` in the config; `least`: px of a side."""
    expected = f"a side, or [height, width], of at least {least} px"

    def read(size: Any) -> Any:
        sides = (size, size) if isinstance(size, int) else size
        whole = isinstance(sides, list | tuple) and len(sides) == 2 and all(type(side) is int for side in sides)
        if not whole or min(sides) < least:
            raise ValueError(f"expected {expected}, found {faults.shown(size)}")
        return tuple(sides)

    return BeforeValidator(read), PlainSerializer(_shortest), Field(json_schema_extra={"expected": expected})


SIDES, INPUT_SIDES = _sized(1), _sized(16)
InputSide = Annotated[int, Field(ge=16)]
Size = Annotated[tuple[Count, Count], *SIDES]
InputSize = Annotated[tuple[InputSide, InputSide], *INPUT_SIDES]


def must_ascend(pair: tuple[float, float], words: str) -> None:
    """Raises ValueError if the first number exceeds the second; `words` name the pair."""
    first, second = pair
    if first > second:
        raise ValueError(f"expected {words}, found [{first:g}, {second:g}]; swap them")


def moved(**keys: str) -> JsonDict:
    """What the schema of a section says of keys that it had: what to write instead, by key. For `schemas.faults`."""
    return {"moved": dict(keys)}


class Section(BaseModel):
    """A section of the config: immutable, without unknown keys, without NaN or infinite numbers."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def variants(union: Any) -> dict[str, Any]:
    """The sections of a union, by the `name` that tells them apart."""
    sections = get_args(get_args(union)[0])
    return {name: section for section in sections for name in get_args(section.model_fields["name"].annotation)}
