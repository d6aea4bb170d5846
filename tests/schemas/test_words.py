from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from schemas import faults
from schemas.words import Node, nearest


class Thing(BaseModel):
    """A thing."""

    model_config = ConfigDict(extra="forbid")

    span: Literal["all"] | tuple[float, float] | None = Field(None, description="Least and most.")
    share: Annotated[float, Field(ge=0, le=1)] = Field(0.5, gt=0, description="A share.")
    flags: list[bool] = Field([], max_length=2, description="Flags.")


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("span", "all, or a list of 2, each a number"),
        ("share", "a number above 0 and of at most 1"),
        ("flags", "a list of 0 to 2, each true or false"),
    ],
)
def test_what_is_expected_is_said_in_words(key, words):
    assert Node.of(Thing.model_json_schema()).keys[key].words == words


@pytest.mark.parametrize(
    ("raw", "lines"),
    [
        ({"span": "al"}, ['span: expected all, or a list of 2, each a number, found "al"; did you mean all?']),
        ({"span": [1]}, ["span: expected a list of 2, each a number, found [1]"]),
        ({"span": [1, 2, 3]}, ["span: expected all, or a list of 2, each a number, found [1, 2, 3]"]),
        ({"span": [1, "x"]}, ['span.1: expected a number, found "x"']),
        ({"flags": [True, "maybe"]}, ['flags.1: expected true or false, found "maybe"']),
        ({"flag": [], "share": 0}, ["share: expected a number above 0 and of at most 1, found 0", "flag: there is no"]),
    ],
)
def test_of_a_union_the_intended_part_is_reported(raw, lines):
    with pytest.raises(ValidationError) as error:
        Thing.model_validate(raw)
    found = list(faults.messages(error.value, Thing.model_json_schema()).values())
    assert len(found) == len(lines)
    assert all(text.startswith(line) for text, line in zip(found, lines, strict=True))


def test_the_nearest_word_is_found_whatever_its_case_and_none_where_all_are_far():
    assert nearest("Lovasz_Relu", ["bce", "lovasz_relu", "lovasz_elu"]) == "lovasz_relu"
    assert nearest("gpu", ["auto", "cpu", "cuda"]) is None
    assert nearest(3, ["3d"]) is None
