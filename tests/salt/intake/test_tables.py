import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from salt.intake.faults import Faults
from salt.intake.files import Folder
from salt.intake.tables import read_table
from schemas.errors import UserError
from tests.competition_files import write

GOOD = {"a": {"id": "a", "z": "1 2"}, "b": {"id": "b", "z": ""}}


class Memory:
    """A place with one table."""

    where, names = "memory", ["t.csv"]

    def __init__(self, content):
        self.content = content

    def read(self, name):
        return self.content


def read(content, columns=("id", "z")):
    """The rows of a table without fault, and what is warned of."""
    faults = Faults()
    table = read_table(Memory(content), "t.csv", columns, faults)
    faults.raise_if_any("")
    return table


@pytest.mark.parametrize(
    "content",
    [
        b"id,z\na,1 2\nb,\n",
        b"id,z\na,1 2\nb,",
        b"\xef\xbb\xbfid,z\r\na,1 2\r\nb,\r\n",
        b"id,z\ra,1 2\rb,\r",
        b'"id","z"\n"a","1 2"\n"b",""\n',
        b' id , z \n a, "1 2"\n b ,  \n',
        b"\n\nid,z\n\na,1 2\n , \n,\nb,\n\n",
    ],
    ids=[
        "plain",
        "no last end of line",
        "as Windows has it",
        "as the old Macintosh had it",
        "quotes",
        "spaces",
        "empty lines",
    ],
)
def test_what_programs_write_differently_is_the_same_table(content):
    assert read(content) == GOOD


def test_rows_stand_in_the_order_of_the_file_and_columns_in_any():
    table = read(b"z,id\n3,c\n1,a\n2,b\n")
    assert [(name, row["z"]) for name, row in table.items()] == [("c", "3"), ("a", "1"), ("b", "2")]


def test_an_absent_table_is_none_and_a_useless_one_empty(tmp_path):
    faults = Faults()
    write(tmp_path, {"t.csv": b"id\n"})
    assert read_table(Folder(tmp_path, faults), "s.csv", ["id"], faults) is None
    faults.raise_if_any("")
    assert read_table(Folder(tmp_path, faults), "t.csv", ["id"], faults) == {}
    with pytest.raises(UserError, match="without rows"):
        faults.raise_if_any("")


def test_columns_that_mean_nothing_and_rows_that_are_twice_and_agree_are_warned_of(caplog):
    caplog.set_level("INFO")
    faults = Faults()
    content = b"id,z,colour\na,1 2,red\na,1 2, red\n"
    assert list(read_table(Memory(content), "t.csv", ["id"], faults, optional=["z"])) == ["a"]
    faults.raise_if_any("")
    faults.report_warnings()
    assert caplog.messages == [
        "Warning: unknown columns in t.csv (1): colour. They are ignored.",
        "Warning: ids that appear more than once in t.csv, with equal rows (1): a. One of each is used.",
    ]


cells = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")).map(str.strip)


@given(st.dictionaries(cells.filter(bool), cells, min_size=1))
def test_what_was_written_is_read(rows):
    file = io.StringIO(newline="")
    csv.writer(file).writerows([("id", "z"), *rows.items()])
    assert {name: row["z"] for name, row in read(file.getvalue().encode()).items()} == rows


@settings(max_examples=300)
@given(st.binary() | st.text('id,z"\n\r \0;a').map(str.encode) | st.binary().map(lambda more: b"id,z\n" + more))
def test_any_bytes_are_a_table_or_faults(content):
    faults = Faults()
    table = read_table(Memory(content), "t.csv", ["id", "z"], faults)
    if not table:
        with pytest.raises(UserError, match=r"t\.csv"):
            faults.raise_if_any("")


def test_a_short_table_leaves_later_ones_their_long_fields():
    """The csv module has one limit for the whole process, and tables are read by others as well."""
    default = csv.field_size_limit()
    read(b"id\na\n", columns=["id"])
    assert csv.field_size_limit() >= default
    assert read(b"id,z\na," + b"1 1 " * default + b"\n") is not None
