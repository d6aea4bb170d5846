import re
from typing import get_args

import pytest
import yaml

from salt import report
from schemas import config
from schemas.config import check_config


def words():
    return yaml.safe_load((report.FOLDER / "words.yaml").read_text(encoding="utf-8"))


def choices(section, key):
    return set(get_args(section.model_fields[key].annotation))


def test_there_are_words_for_every_choice_of_the_config():
    known = words()
    assert set(known["loss"]) == choices(config.Phase, "loss")
    assert set(known["optimizer"]) == choices(config.Optimizer, "name")
    assert set(known["channels"]) == choices(config.Input, "channels")
    assert set(known["pad_mode"]) == choices(config.Input, "pad_mode")
    assert set(known["folds"]) == choices(config.Folds, "by")
    networks = get_args(get_args(config.Network)[0])
    transforms = config.RandomTransform.__subclasses__()
    assert set(known["transform"]) == {name for transform in transforms for name in choices(transform, "name")}
    assert set(known["network"]) == {name for network in networks for name in choices(network, "name")}


def test_the_words_for_a_transformation_tell_all_its_amounts():
    for kind in config.RandomTransform.__subclasses__():
        (name,) = choices(kind, "name")
        told = set(re.findall(r"{0\.(\w+)", words()["transform"][name]))
        assert told == set(kind.model_fields) - {"name", "p", "of"}


def test_the_winning_recipe_has_three_rounds_and_its_gain_is_over_stage_1():
    winning = check_config(yaml.safe_load((report.FOLDER.parent / "workflow_config.yaml").read_text(encoding="utf-8")))
    assert list(report.rounds(winning).values()) == [1, 1, 2, 2, 3, 3]
    assert report.first_round(winning) == "stage1"


def test_models_and_ensembles_take_the_order_of_the_scores():
    winning = check_config(yaml.safe_load((report.FOLDER.parent / "workflow_config.yaml").read_text(encoding="utf-8")))
    names = [*winning.models, *winning.ensembles]
    ordered = report.in_order(winning, names[::-1])
    assert [*ordered.ensembles, *ordered.models] == names[::-1]


@pytest.mark.parametrize(
    ("value", "shown"), [(0, "0"), (0.012, "0.012"), (0.001, "0.001"), (5e-5, "5 × 10⁻⁵"), (6.25e-6, "6.25 × 10⁻⁶")]
)
def test_small_rates_are_powers_of_ten(value, shown):
    assert report.rate(value).replace("\N{NO-BREAK SPACE}", " ") == shown


def test_scores_have_four_decimals_and_missing_ones_a_dash():
    assert (report.score(0.87654321), report.score(float("nan"))) == ("0.8765", "–")
    assert (report.percent(0.5), report.percent(float("nan"))) == ("50.0 %", "–")
