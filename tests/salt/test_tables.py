import csv

from salt.faults import Faults
from salt.files import Folder
from salt.tables import read_table


def test_a_short_table_leaves_later_ones_their_long_fields(tmp_path):
    """The csv module has one limit for the whole process, and tables are read by others as well."""
    default = csv.field_size_limit()
    (tmp_path / "short.csv").write_text("id\na\n")
    (tmp_path / "long.csv").write_text(f"id,rle_mask\na,{'1 1 ' * default}\n")
    folder, faults = Folder(tmp_path), Faults()
    assert read_table(folder, "short.csv", ["id"], faults) is not None
    assert csv.field_size_limit() >= default
    assert read_table(folder, "long.csv", ["id", "rle_mask"], faults) is not None
    faults.raise_if_any("", "")
