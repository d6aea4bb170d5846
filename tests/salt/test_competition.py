import io
import zipfile
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from salt import rle
from salt.competition import read_competition
from salt.program import UserError

SIDE = 6
SIZE = (SIDE, SIDE)
REAL = Path(__file__).parents[3] / "shared" / "data" / "tgs"


def png(pixels):
    return cv2.imencode(".png", pixels)[1].tobytes()


def table(header, rows):
    return "\n".join([header, *(",".join(map(str, row)) for row in rows), ""]).encode()


def zipped(files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for (
            name,
            data,
        ) in files.items():  # ZipInfo has a fixed time, so that the same files are the same bytes
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


@pytest.fixture
def pixels():
    """Six tiles by id: three of train, not sorted, one constant; three of test, not sorted either."""
    rng = np.random.default_rng(1)
    images = {name: rng.integers(0, 256, (SIDE, SIDE), np.uint8) for name in ("c", "a", "b", "z", "x", "y")}
    images["a"][:] = 7
    return images


@pytest.fixture
def masks(pixels):
    masks = {name: np.zeros((SIDE, SIDE), np.uint8) for name in "cab"}
    masks["c"][2:, 3:] = 1
    masks["b"][:] = 1
    return masks


@pytest.fixture
def files(pixels, masks):
    """The competition in small, as folders: content by relative path."""
    tables = {
        "train.csv": table("id,rle_mask", [(name, rle.encode(mask)) for name, mask in masks.items()]),
        "depths.csv": table("id,z", [(name, 100 + row) for row, name in enumerate("abcxyz")]),
        "sample_submission.csv": table("id,rle_mask", [(name, "1 1") for name in "zxy"]),
    }
    images = {f"{'train' if name in masks else 'test'}/images/{name}.png": png(image) for name, image in pixels.items()}
    return tables | images | {f"train/masks/{name}.png": png(mask * np.uint16(65535)) for name, mask in masks.items()}


def as_folders(files):
    return files


def as_zips(files):
    """Each split's folders in a zip of their own, as Kaggle gives them out."""
    packed = {name: data for name, data in files.items() if "/" not in name}
    for split in ("train", "test"):
        inside = {name.removeprefix(f"{split}/"): data for name, data in files.items() if name.startswith(f"{split}/")}
        packed[f"{split}.zip"] = zipped(inside)
    return packed


def as_one_zip(files):
    return {"tgs-salt-identification-challenge.zip": zipped(as_zips(files))}


def as_one_zip_of_folders(files):
    return {"own.zip": zipped(files)}


def write(root, files):
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


def fault(root, files):
    """What is said about the data, as lines of the list."""
    with pytest.raises(UserError) as error:
        read_competition(write(root, files), SIZE)
    first, *lines, last = str(error.value).splitlines()
    assert str(root) in first
    assert last.startswith("Mend")
    assert all(line.startswith("- ") for line in lines)
    return [line.removeprefix("- ") for line in lines]


@pytest.mark.parametrize("form", [as_folders, as_zips, as_one_zip, as_one_zip_of_folders])
def test_every_form_of_the_data_gives_the_same_tiles(tmp_path, files, pixels, masks, form):
    train, test = read_competition(write(tmp_path, form(files)), SIZE)
    assert train.ids == ["c", "a", "b"]  # in the order of train.csv
    assert test.ids == ["z", "x", "y"]  # in the order of sample_submission.csv
    np.testing.assert_array_equal(train.images, [pixels[name] for name in train.ids])
    np.testing.assert_array_equal(train.masks, [masks[name] for name in train.ids])
    np.testing.assert_array_equal(test.images, [pixels[name] for name in test.ids])
    assert test.masks is None
    assert train.table["z"].tolist() == [102, 100, 101]
    assert train.table["constant"].tolist() == [False, True, False]
    assert train.table["coverage"].tolist() == pytest.approx([12 / 36, 0, 1])
    assert test.table["z"].tolist() == [105, 103, 104]
    assert test.table["coverage"].isna().all()


def test_nothing_is_written_where_the_data_are(tmp_path, files):
    write(tmp_path, as_one_zip(files))
    read_competition(tmp_path, SIZE)
    assert [path.name for path in tmp_path.rglob("*")] == ["tgs-salt-identification-challenge.zip"]


def without(files, *prefixes):
    return {name: data for name, data in files.items() if not name.startswith(prefixes)}


def test_masks_come_from_pngs_where_train_csv_has_none(tmp_path, files, masks):
    files["train.csv"] = table("id", [("c",), ("a",), ("b",)])
    train, _ = read_competition(write(tmp_path, files), SIZE)
    np.testing.assert_array_equal(train.masks, [masks[name] for name in "cab"])


def test_without_tables_tiles_are_in_the_order_of_their_ids(tmp_path, files, masks):
    pngs = without(files, "train.csv", "sample", "depths")
    train, test = read_competition(write(tmp_path, pngs), SIZE)
    assert (train.ids, test.ids) == (["a", "b", "c"], ["x", "y", "z"])
    np.testing.assert_array_equal(train.masks, [masks[name] for name in "abc"])
    assert train.table["z"].isna().all()


def test_masks_come_from_train_csv_where_there_are_no_pngs(tmp_path, files, masks):
    train, _ = read_competition(write(tmp_path, as_zips(without(files, "train/masks"))), SIZE)
    np.testing.assert_array_equal(train.masks, [masks[name] for name in "cab"])


@pytest.mark.parametrize("salt", [1, 255, 65535])
def test_masks_may_be_of_8_or_16_bits(tmp_path, files, masks, salt):
    kind = np.uint16 if salt > 255 else np.uint8
    files["train/masks/c.png"] = png(masks["c"].astype(kind) * kind(salt))
    train, _ = read_competition(write(tmp_path, files), SIZE)
    np.testing.assert_array_equal(train.masks[0], masks["c"])


@pytest.mark.parametrize("channels", [3, 4])
def test_images_of_equal_colours_are_grey(tmp_path, files, pixels, channels):
    image = np.full((SIDE, SIDE, channels), 255, np.uint8)
    image[..., :3] = pixels["x"][..., None]
    files["test/images/x.png"] = png(image)
    _, test = read_competition(write(tmp_path, files), SIZE)
    np.testing.assert_array_equal(test.images[1], pixels["x"])


def test_what_an_archiver_adds_is_ignored(tmp_path, files):
    files["train/__MACOSX/images/._a.png"] = b"?"
    files["train/images/.DS_Store"] = b"?"
    train, _ = read_competition(write(tmp_path, as_zips(files)), SIZE)
    assert len(train) == 3


def test_ids_and_depths_are_texts_and_numbers_as_they_stand(tmp_path, files):
    names = {"c": "007", "z": "NA"}
    for old, new in names.items():
        for name in [name for name in files if name.endswith(f"/{old}.png")]:
            files[name.replace(f"/{old}.", f"/{new}.")] = files.pop(name)
        for name in ("train.csv", "depths.csv", "sample_submission.csv"):
            files[name] = files[name].replace(f"\n{old},".encode(), f"\n{new},".encode())
    train, test = read_competition(write(tmp_path, files), SIZE)
    assert (train.ids[0], test.ids[0]) == ("007", "NA")


# --- faults


def test_ids_without_an_image_are_said(tmp_path, files):
    del files["train/images/c.png"], files["test/images/y.png"]
    train, test = fault(tmp_path, as_zips(files))
    assert train == f"ids of train.csv without images/<id>.png in {tmp_path}/train.zip (1): c"
    assert test == f"ids of sample_submission.csv without images/<id>.png in {tmp_path}/test.zip (1): y"


def test_images_without_a_row_are_said(tmp_path, files):
    files["train/images/new.png"] = files["train/images/c.png"]
    files["test/images/newer.png"] = files["test/images/x.png"]
    files["depths.csv"] += b"new,1\nnewer,2\n"
    train, test = fault(tmp_path, files)
    assert train.endswith("without a row in train.csv (1): new")
    assert test.endswith("without a row in sample_submission.csv (1): newer")


def test_ids_that_come_twice_are_said(tmp_path, files):
    files["train.csv"] += b"c,\n"
    files["depths.csv"] += b"a,5\n"
    assert fault(tmp_path, files)[:2] == [
        "ids that train.csv has more than once (1): c",
        "ids that depths.csv has more than once (1): a",
    ]


def test_ids_in_both_splits_are_said(tmp_path, files):
    files["test/images/a.png"] = files["train/images/a.png"]
    files["sample_submission.csv"] += b"a,\n"
    assert fault(tmp_path, files) == ["ids in both splits (1): a"]


def test_a_png_that_a_zip_has_twice_is_said(tmp_path, files):
    files["test/copy/images/x.png"] = files["test/images/x.png"]
    (line,) = fault(tmp_path, as_zips(files))
    assert line.startswith("PNGs that are more than once in")


def test_tiles_without_depth_are_said(tmp_path, files):
    files["depths.csv"] = table("id,z", [("a", 1), ("b", "deep"), ("c", "nan"), ("z", "")])
    no_number, missing = fault(tmp_path, files)
    assert missing == "tiles without a row in depths.csv (2): x, y"
    assert no_number == "depths (z in depths.csv) that are no numbers (3): c ('nan'), b ('deep'), z ('')"


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("train/images/a.png", b"hello", "are not what they should be (1): train/images/a.png (no PNG)"),
        ("train/images/a.png", b"", "(no PNG)"),
        ("train/masks/a.png", b"\x89PNG\r\n\x1a\n", "train/masks/a.png (damaged or unusual PNG)"),
        ("train/images/a.png", png(np.zeros((SIDE, SIDE), np.uint16)), "(16-bit, expected 8-bit)"),
        (
            "test/images/x.png",
            png(np.eye(SIDE, SIDE * 3, dtype=np.uint8).reshape(SIDE, SIDE, 3)),
            "(in colour",
        ),
        (
            "train/images/a.png",
            png(np.zeros((5, 7), np.uint8)),
            "are not 6 x 6 px (the config's data.tile) (1)",
        ),
        ("train/masks/a.png", png(np.zeros((5, 7), np.uint8)), "train/masks/a.png (5 x 7)"),
        (
            "train/masks/a.png",
            png(np.eye(SIDE, dtype=np.uint8) * 128),
            "(values 0, 128; expected 0 and one of 1",
        ),
        (
            "train/masks/b.png",
            png(np.zeros((SIDE, SIDE), np.uint8)),
            "differ between train.csv and their PNG (1): b",
        ),
    ],
    ids=["text", "empty", "damaged", "16-bit", "colour", "size", "mask-size", "mask-values", "mask-differs"],
)
def test_pngs_that_are_not_what_they_should_be_are_said(tmp_path, files, name, data, said, capfd):
    assert said in fault(tmp_path, files | {name: data})[0]


def test_a_truncated_png_is_said(tmp_path, files):
    files["test/images/x.png"] = files["test/images/x.png"][:-20]
    assert "test/images/x.png (damaged PNG)" in fault(tmp_path, files)[0]


def test_bad_run_lengths_are_said_with_their_tile(tmp_path, files):
    files["train.csv"] = table("id,rle_mask", [("c", "1 2 3"), ("a", "1 37"), ("b", "1 36")])
    (line,) = fault(tmp_path, without(files, "train/masks"))
    assert line == (
        "masks of train.csv that are no run-length encoding (2): "
        "c (3 values, but runs are pairs of a start and a length), "
        "a (run 1 (1 37) ends past the last pixel, 36)"
    )


def test_tiles_without_a_label_are_said(tmp_path, files):
    del files["train/masks/a.png"]
    (line,) = fault(tmp_path / "some", files)
    assert line == f"labelled tiles without masks/<id>.png in {tmp_path}/some (1): a"
    (line,) = fault(tmp_path / "none", without(files, "train/masks", "train.csv"))
    assert "nor a column rle_mask in train.csv (3): a, b, c" in line


def test_masks_without_a_tile_are_said(tmp_path, files):
    files["train/masks/q.png"] = files["train/masks/a.png"]
    assert "of tiles that are not there (1): q" in fault(tmp_path, files)[0]


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        (
            "train.csv",
            b"name,rle_mask\na,\n",
            "lack a column (1): train.csv (expected id; found name, rle_mask)",
        ),
        ("depths.csv", b"id;z\na;1\n", "depths.csv (expected id, z; found id;z)"),
        ("depths.csv", b"", "found none"),
        ("sample_submission.csv", b"id,rle_mask\nz,\nx\ny,,\n", "that are not 2 values (2): line 3, line 4"),
        ("train.csv", b'id,rle_mask\n"a', "no CSV (1): train.csv (unexpected end of data)"),
        ("train.csv", b"\xff\xfe\x00", "no CSV (1): train.csv ('utf-8' codec can't decode"),
    ],
    ids=["no-id", "semicolons", "empty", "lines", "quotes", "encoding"],
)
def test_bad_tables_are_said(tmp_path, files, name, data, said):
    assert said in fault(tmp_path, files | {name: data})[0]


def test_a_split_without_tiles_is_said(tmp_path, files):
    packed = as_zips(without(files, "sample")) | {"test.zip": zipped({"pictures/a.png": b""})}
    assert fault(tmp_path, packed) == [f"splits without tiles (expected images/<id>.png) (1): {tmp_path}/test.zip"]


def test_damaged_zips_are_said_all_at_once(tmp_path, files):
    packed = as_zips(files)
    packed["train.zip"] = packed["train.zip"][:-40]
    member = packed["test.zip"].index(b"images/x.png") + 40
    packed["test.zip"] = packed["test.zip"][:member] + b"\0\0\0" + packed["test.zip"][member + 3 :]
    (line,) = fault(tmp_path, packed)
    assert line.startswith("files that cannot be read (2): ")
    assert f"{tmp_path}/train.zip (File is not a zip file)" in line
    assert f"{tmp_path}/test.zip/images/x.png (" in line


def test_a_damaged_or_foreign_whole_zip_is_said(tmp_path, files):
    (tmp_path / "own.zip").write_bytes(b"PK")
    with pytest.raises(UserError, match=r"own\.zip \(File is not a zip file\)"):
        read_competition(tmp_path, SIZE)
    (line,) = fault(tmp_path, {"own.zip": zipped({"readme.txt": b""})})
    assert "There is no item named 'train.zip' in the archive" in line


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_damage_anywhere_is_an_error_of_the_user_or_harmless(tmp_path_factory, files, data):
    form = data.draw(st.sampled_from([as_folders, as_zips, as_one_zip]))
    packed = dict(form(files))
    name = data.draw(st.sampled_from(sorted(packed)))
    start = data.draw(st.integers(0, len(packed[name]) - 1))
    end = start + data.draw(st.integers(0, 20))
    packed[name] = packed[name][:start] + data.draw(st.binary(max_size=3)) + packed[name][end:]
    with suppress(UserError):
        read_competition(write(tmp_path_factory.mktemp("data"), packed), SIZE)


def test_many_faults_of_a_kind_are_counted_and_the_first_shown(tmp_path, files):
    files["train.csv"] += b"".join(b"m%d,\n" % number for number in range(9))
    line = fault(tmp_path, without(files, "train/masks", "depths"))[0]
    assert line.endswith("(9): m0, m1, m2, m3, m4 ...")


def test_missing_data_are_said(tmp_path):
    with pytest.raises(UserError, match="make demo"):
        read_competition(tmp_path, SIZE)


@pytest.mark.skipif(not REAL.is_dir(), reason="the competition's tiles are not at ../shared/data/tgs")
def test_the_real_tiles_are_as_their_description_says():
    train, test = read_competition(REAL, (101, 101))
    assert (len(train), len(test)) == (3201, 1999)
    assert (train.table["constant"].sum(), test.table["constant"].sum()) == (63, 17)
    assert train.images.shape == train.masks.shape == (3201, 101, 101)
    assert not train.table["z"].isna().any()
