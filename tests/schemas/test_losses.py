import json

import pytest
from pydantic import TypeAdapter

from schemas.losses import Bce, BceDice, Dice, Losses, LovaszRelu, shown, terms

ADAPTER = TypeAdapter(Losses)


@pytest.mark.parametrize(
    ("written", "meant", "words"),
    [
        ("bce_dice", [BceDice()], "bce_dice"),
        ({"bce": 2}, [Bce(weight=2)], "2 bce"),
        ({"lovasz_relu": 0.9, "bce": 0.1}, [LovaszRelu(weight=0.9), Bce(weight=0.1)], "0.9 lovasz_relu + 0.1 bce"),
        ({"dice": {}}, [Dice()], "1 dice (smooth 1)"),
        (
            {"dice": {"weight": 0.5, "smooth": 10}, "bce": 0.5},
            [Dice(weight=0.5, smooth=10), Bce(weight=0.5)],
            "0.5 dice (smooth 10) + 0.5 bce",
        ),
    ],
)
def test_a_sum_of_losses_is_written_by_names_weights_or_parameters(written, meant, words):
    losses = ADAPTER.validate_python(written)
    assert terms(losses) == tuple(meant)
    assert shown(losses) == words
    assert terms(ADAPTER.validate_json(ADAPTER.dump_json(losses))) == tuple(meant)


@pytest.mark.parametrize("written", ["lovasz_elu", {"bce": 0.1, "lovasz_relu": 0.9}])
def test_losses_without_parameters_are_written_to_json_as_in_the_config(written):
    assert json.loads(ADAPTER.dump_json(ADAPTER.validate_python(written))) == written
