"""Every mistake is named, where it is, with what was expected, what was found and what to do: one line a fault."""

from pathlib import Path

import pytest
import yaml

from schemas.config import ConfigError, Folds, check_config, read_settings
from tests.schemas.conftest import WINNING, merge

ROWS = yaml.safe_load(Path(__file__).with_name("bad_config.yaml").read_text())["rows"]
JARGON = ("Input should", "Value error", "Field required", "pydantic", "validation", "literal[", "dict[", "None")


def faults(raw):
    with pytest.raises(ConfigError) as error:
        check_config(raw)
    return str(error.value).splitlines()


@pytest.mark.parametrize("row", ROWS, ids=[row["wrong"] for row in ROWS])
def test_a_mistake_is_named_with_its_place_and_what_to_do(row):
    told = faults(merge(WINNING, row["overlay"]))
    assert told == row["says"]
    assert not [word for line in told for word in JARGON if word in line]


def test_names_are_checked_beside_what_is_wrong_elsewhere_but_not_where_it_hides_them():
    names = {"submission": {"ensemble": "finale"}}
    assert [line.split(":")[0] for line in faults(merge(WINNING, {"sead": 3} | names))] == [
        "sead",
        "submission.ensemble",
    ]
    hidden = {"models": {"stage2_resnet34": {"network": {"name": "res34_256"}}}}
    assert [line.split(":")[0] for line in faults(merge(WINNING, hidden | names))] == ["models.stage2_resnet34"]


def test_a_key_that_is_no_text_is_told():
    assert faults(WINNING | {5: 6})[0].startswith("5: there is no such key; there are pathvars, seed")
    assert faults(merge(WINNING, {"ensembles": {"final": {1: 1}}})) == [
        "ensembles.final.1: expected a name of letters, digits and underscores that begins with a letter, found 1"
    ]


def test_a_program_tells_its_settings_the_same_way():
    with pytest.raises(ConfigError, match=r"^cuont: there is no such key; did you mean count\?$"):
        read_settings(Folds, '{"cuont": 3}')
    for text in ("{", "[]"):
        with pytest.raises(ConfigError, match="the settings: expected a mapping with count, by, found"):
            read_settings(Folds, text)
