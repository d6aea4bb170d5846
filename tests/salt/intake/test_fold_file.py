import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from salt.intake.fold_file import read_folds
from schemas.errors import UserError

TABLE = pd.DataFrame({"id": ["a", "b", "c", "t"], "split": ["train", "train", "train", "test"]})


def read(tmp_path, text, count=3):
    path = tmp_path / "mine.csv"
    path.write_text(text)
    return read_folds(path, TABLE, count)


def test_each_labelled_tile_has_the_fold_of_its_row_whatever_their_order(tmp_path):
    assert read(tmp_path, "id,fold\nc,2\na,0\nb,1\n") == {"a": 0, "b": 1, "c": 2}


def test_rows_of_test_tiles_and_other_columns_do_not_matter(tmp_path):
    assert read(tmp_path, "fold,id,z\n1,a,306\n0,b,5\n1,c,7\n-1,t,8\n") == {"a": 1, "b": 0, "c": 1}


def test_all_faults_are_listed_at_once(tmp_path):
    with pytest.raises(UserError) as error:
        read(tmp_path, "id,fold\na,3\nx,0\nb,0\nb,1\ny,1\nt,9\n")
    assert str(error.value).splitlines() == [
        f"{tmp_path}/mine.csv cannot be used as folds (folds.file). The faults by kind, with their number, the first "
        "few and what to do:",
        "- ids that appear more than once in mine.csv (1): b. Keep the correct row.",
        "- ids without a tile (2): x, y. Remove their rows.",
        "- labelled tiles without a row (1): c. Add their rows.",
        "- folds other than 0 to 2 (1): a (3). Correct them, or set folds.count.",
        "Then type the same command again.",
    ]


@pytest.mark.parametrize("fold", ["-1", "1.0", "", "one", "٢", "1_0"])
def test_a_fold_is_a_plain_number(tmp_path, fold):
    with pytest.raises(UserError, match=r"folds other than 0 to 10 \(1\): b"):
        read(tmp_path, f"id,fold\na,0\nb,{fold}\nc,1\n", count=11)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "tables with missing columns"),
        ("id;fold\na;0\n", "with semicolons"),
        ("id,fold\n", "tables without rows"),
        ("id,fold\na,0,1\n", "lines of mine.csv without exactly 2 values"),
        ("id,fold\na,\0\n", "not UTF-8"),
    ],
)
def test_what_is_no_table_of_ids_and_folds_is_one_error(tmp_path, text, fault):
    with pytest.raises(UserError, match=fault) as error:
        read(tmp_path, text)
    assert len(str(error.value).splitlines()) == 3


def test_a_missing_file_is_an_error(tmp_path):
    for path in (tmp_path / "mine.csv", tmp_path / "nowhere" / "mine.csv"):
        with pytest.raises(UserError, match=rf"missing files \(1\): {path}\. Put them there, or correct folds\.file"):
            read_folds(path, TABLE, 3)


def test_files_beside_it_do_not_matter(tmp_path):
    (tmp_path / "broken").symlink_to("nowhere")
    assert read(tmp_path, "id,fold\na,0\nb,1\nc,0\n") == {"a": 0, "b": 1, "c": 0}


@given(st.dictionaries(st.sampled_from("abctxy"), st.integers(-1, 3)), st.integers(2, 3))
def test_a_file_is_read_as_it_is_or_refused(tmp_path_factory, rows, count):
    path = tmp_path_factory.mktemp("folds") / "mine.csv"
    pd.DataFrame({"id": list(rows), "fold": list(rows.values())}).to_csv(path, index=False)
    labelled = {name: fold for name, fold in rows.items() if name in "abc"}
    if set(rows) >= set("abc") and set(rows) <= set("abct") and all(0 <= fold < count for fold in labelled.values()):
        assert read_folds(path, TABLE, count) == labelled
    else:
        with pytest.raises(UserError):
            read_folds(path, TABLE, count)
