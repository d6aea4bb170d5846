"""Every mistake is named, where it is, with what was expected, what was found and what to do: one line a fault."""

import contextlib
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.augmentation import Transform
from schemas.base import variants
from schemas.data import Folds
from schemas.errors import UserError
from schemas.losses import Loss
from schemas.networks import Network
from schemas.postprocess import Step
from schemas.reading import check_config, read_settings
from schemas.snapshots import Keep, Rule
from tests.schemas.conftest import WINNING, merge

ROWS = yaml.safe_load(Path(__file__).with_name("bad_config.yaml").read_text())["rows"]
UNIONS = {
    "<losses>": Loss,
    "<networks>": Network,
    "<transforms>": Transform,
    "<steps>": Step,
    "<keeps>": Keep,
    "<members>": Rule,
}
JARGON = ("Input should", "Value error", "Field required", "pydantic", "validation", "literal[", "dict[")


def faults(raw):
    with pytest.raises(UserError) as error:
        check_config(raw)
    return str(error.value).splitlines()


def with_names(line):
    for mark, union in UNIONS.items():
        line = line.replace(mark, ", ".join(variants(union)))
    return line


@pytest.mark.parametrize("row", ROWS, ids=[row["wrong"] for row in ROWS])
def test_a_mistake_is_named_with_its_place_and_what_to_do(row):
    lines = faults(merge(WINNING, row["overlay"]))
    assert lines == [with_names(line) for line in row["says"]]
    assert not [word for line in lines for word in JARGON if word in line]


def test_names_are_checked_beside_what_is_wrong_elsewhere_but_not_where_it_hides_them():
    names = {"submission": {"ensemble": "finale"}}
    assert [line.split(":")[0] for line in faults(merge(WINNING, {"sead": 3} | names))] == [
        "sead",
        "submission.ensemble",
    ]
    hidden = {"models": {"stage2_resnet34": {"network": {"name": "res34_256"}}}}
    assert [line.split(":")[0] for line in faults(merge(WINNING, hidden | names))] == ["models.stage2_resnet34"]


def places(value, path=()):
    """Every path in a config."""
    yield path
    if isinstance(value, dict | list):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(part, (*path, key))


def replaced(value, path, by):
    if not path:
        return by
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], by)
    return copy


SCALARS = st.none() | st.booleans() | st.integers(-5, 300) | st.floats() | st.sampled_from(["", "x", "1e-3", "cosine"])
KEYS = st.sampled_from(["name", "lr", "loss", "x y", 3, "write_up", "bce", "stage1", "phases"])
VALUES = st.recursive(SCALARS, lambda part: st.lists(part, max_size=3) | st.dictionaries(KEYS, part, max_size=3))


@settings(max_examples=50)
@given(st.sampled_from([path for path in places(WINNING) if path]), VALUES)
def test_whatever_is_written_anywhere_is_valid_or_reported_in_plain_words(path, value):
    with contextlib.suppress(UserError):
        check_config(replaced(WINNING, path, value))
        return
    lines = faults(replaced(WINNING, path, value))
    assert lines
    assert not [word for word in JARGON if word in str(lines)]


def test_a_key_that_is_not_a_string_is_reported():
    assert faults(WINNING | {5: 6})[0].startswith("5: there is no such key; choose one of pathvars, seed")
    assert faults(merge(WINNING, {"ensembles": {"final": {1: 1}}})) == [
        "ensembles.final.1: expected a name (letters, digits and underscores, first a letter), found 1"
    ]


def test_a_program_reports_faults_of_its_settings_the_same_way():
    with pytest.raises(UserError, match=r"^cuont: there is no such key; did you mean count\?$"):
        read_settings(Folds, '{"cuont": 3}')
    for text in ("{", "[]"):
        with pytest.raises(UserError, match="the settings: expected a mapping with count, by, file, found"):
            read_settings(Folds, text)
