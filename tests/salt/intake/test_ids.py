import pytest

from salt.intake.faults import Faults
from salt.intake.ids import check_case, plain_ids
from schemas.errors import UserError


@pytest.mark.parametrize("name", ["575d24d81d", "0", "_", "tile_7-b.2", "NA", "CON", "x" * 100])
def test_plain_names_are_ids(name):
    faults = Faults()
    assert plain_ids([name], "train.csv", faults) == [name]
    faults.raise_if_any("")


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "a b",
        "a ",
        "a\n",
        "a/b",
        "..",
        ".hidden",
        "a\\b",
        "C:a",
        "=1+1",
        "+1",
        "-1",
        "@a",
        "a,b",
        '"',
        "\u00e4",
        "\uff10",
        "x" * 101,
        "\0",
    ],
)
def test_other_names_are_none(name):
    faults = Faults()
    assert plain_ids(["a", name, "b"], "train.csv", faults) == ["a", "b"]
    with pytest.raises(UserError, match=r"ids of train\.csv .* \(1\): "):
        faults.raise_if_any("")


def test_ids_that_differ_in_case_alone_are_said_together():
    faults = Faults()
    check_case(["a1", "B", "A1", "c", "c"], faults)
    with pytest.raises(UserError, match=r"case \(1\): A1 and a1\. Rename"):
        faults.raise_if_any("")
