import sys
from subprocess import run

import pytest

from salt.intake.sources import competition, fingerprint, image_paths, rows, sources
from schemas.data import Data
from schemas.errors import UserError
from tests.competition_files import write, zipped

WHOLE = "tgs-salt-identification-challenge.zip"


def make(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def found(root):
    return [path.relative_to(root).as_posix() for path in competition(root)]


def test_the_zips_as_they_are_downloaded(tmp_path):
    make(tmp_path, "train.csv", "depths.csv", "sample_submission.csv", "train.zip", "test.zip", "notes.txt")
    assert found(tmp_path) == ["train.csv", "depths.csv", "sample_submission.csv", "train.zip", "test.zip"]


def test_folders_are_taken_rather_than_zips(tmp_path):
    make(
        tmp_path,
        "train/images/a.png",
        "train/masks/a.png",
        "test/images/b.png",
        "train.zip",
        "test.zip",
        WHOLE,
    )
    assert found(tmp_path) == ["train/images", "train/masks", "test/images"]


def test_an_empty_folder_does_not_hide_the_zip(tmp_path):
    make(tmp_path, "train.zip", "test.zip")
    (tmp_path / "train" / "images").mkdir(parents=True)
    assert found(tmp_path) == ["train.zip", "test.zip"]


def test_the_one_zip_with_everything(tmp_path):
    make(tmp_path, WHOLE, "flamingo.zip")
    assert found(tmp_path) == [WHOLE]


def test_the_only_zip_may_have_any_name(tmp_path):
    make(tmp_path, "my tiles.zip")
    assert found(tmp_path) == ["my tiles.zip"]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ([], "found it empty"),
        (["a.zip", "b.zip"], "found a.zip, b.zip."),
        (["train.zip"], "expected test/images/*.png or test.zip in"),
        (["train.csv", "test.zip"], "expected train/images/*.png or train.zip in"),
    ],
)
def test_missing_data_are_said_with_the_way_to_get_them(tmp_path, names, said):
    make(tmp_path, *names)
    with pytest.raises(UserError) as error:
        competition(tmp_path)
    text = str(error.value)
    assert said in text
    for remedy in ("kaggle competitions download -c tgs-salt-identification-challenge", "rules", "make demo"):
        assert remedy in text
    assert "\n" not in text


def test_a_missing_folder_is_said(tmp_path):
    with pytest.raises(UserError, match="found no such folder"):
        competition(tmp_path / "nowhere")


def test_own_images_are_in_three_folders(tmp_path):
    data = Data(layout="folders", root=str(tmp_path))
    make(
        tmp_path, "train/images/a.jpg", "train/masks/a.png", "test/images/b.tif", "depths.csv", "notes.txt", "train.csv"
    )
    names = [path.relative_to(tmp_path).as_posix() for path in sources(data)]
    assert names == ["depths.csv", "train/images", "train/masks", "test/images"]


def test_without_own_images_the_folders_that_they_belong_into_are_said(tmp_path):
    make(tmp_path, "images/a.png")
    with pytest.raises(UserError) as error:
        sources(Data(layout="folders", root=str(tmp_path)))
    assert "expected the folders train/images/, train/masks/, test/images/ in" in str(error.value)
    assert "found images. data/README.md describes" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_broken_link_does_not_hinder_the_fingerprint(tmp_path):
    make(tmp_path, "a.png")
    data = Data(root=str(tmp_path))
    before = fingerprint(image_paths(data, [tmp_path]))
    (tmp_path / "b.png").symlink_to("gone.png")
    assert fingerprint(image_paths(data, [tmp_path])) != before


def test_rows_are_counted_in_the_one_zip_and_unknown_where_it_cannot_be_read(tmp_path):
    packed = zipped({"train.csv": b"id\na\nb\n"})
    write(tmp_path, {WHOLE: packed})
    assert (rows(tmp_path, "train.csv"), rows(tmp_path, "depths.csv")) == (2, None)
    for bad in (packed[:-9], zipped({"train.csv": b"id\na\n", "../evil": b""})):
        write(tmp_path, {WHOLE: bad})
        assert rows(tmp_path, "train.csv") is None


def test_asking_for_sources_imports_nothing_heavy():
    heavy = "{'numpy', 'pandas', 'cv2', 'torch'} & sys.modules.keys()"
    run([sys.executable, "-c", f"import sys, salt.intake.sources; assert not {heavy}"], check=True)
