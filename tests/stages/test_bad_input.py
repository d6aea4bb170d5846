"""Mistakes in the competition's files: all that prepare_tiles says about each is here, in full."""

import copy
import io
import json
import os
import shutil
import stat
import struct
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import pytest

from salt.runtime import program
from stages import prepare_tiles
from tests.competition_files import (
    SIDE,
    as_folders,
    as_one_zip,
    as_zips,
    make_files,
    png,
    table,
    without,
    write,
    zipped,
)

HEADING = (
    "Error: The data in {root} cannot be used. The faults by kind, with their number, the first few and what to do:"
)
CLOSING = "Then type the same command again."

Files = dict[str, bytes]


@dataclass
class Bad:
    """What is broken, and what is said.

    change: what becomes of files by their path: new content, a function of the old, or None where they are removed
    said: the list's lines as (what was expected, what was found, what to do), with {root} for the folder
    form: how the files are packed, after `change`
    afterwards: what is done to the folder in the end
    whole: the whole message, where it is no list
    """

    change: dict[str, bytes | Callable[[bytes], bytes] | None] = field(default_factory=dict)
    said: list[tuple[str, str, str]] = field(default_factory=list)
    form: Callable[[Files], Files] = as_folders
    afterwards: Callable[[Path], object] = lambda root: None
    whole: str = ""

    def make(self, root: Path) -> str:
        """Write the files below `root`; return the message that is expected."""
        files = make_files()
        for name, new in self.change.items():
            files[name] = new(files.get(name, b"")) if callable(new) else new
        write(root, self.form({name: data for name, data in files.items() if data is not None}))
        self.afterwards(root)
        lines = [HEADING, *(f"- {kind} {found}. {remedy}" for kind, found, remedy in self.said), CLOSING]
        return (self.whole or "\n".join(lines)).replace("{root}", str(root))


def cut(data):
    return data[:-20]


def more(text):
    return lambda data: data + text.encode()


def instead(old, new):
    return lambda data: data.replace(old, new)


def of_test(new):
    """The same for all images of test."""
    return {f"test/images/{name}.png": new for name in "zxy"}


GET = "Repair or replace them."
TRAIN, TEST, DEPTHS = "train.csv", "sample_submission.csv", "depths.csv"
GOOD = make_files()
SMALL = png(np.zeros((5, 7), np.uint8))
ALL_IMAGES = [f"train/images/{name}.png" for name in "cab"] + list(of_test(b""))
NO_MASKS = dict.fromkeys(f"train/masks/{name}.png" for name in "cab")

# --- image files

PNGS = "PNGs in {root} that cannot be used"
SIZES = "PNGs in {root} that are not 6 x 6 px (the config's data.tile)"
SET_SIZE = "Set data.tile to the size of your tiles; all must have the same size."
ADD_MASKS = "Add the masks, or remove the tiles."
THREE_VALUES = np.tile(np.array([0, 1, 255], np.uint8), (SIDE, 2))
COLOUR = np.eye(SIDE, SIDE * 3, dtype=np.uint8).reshape(SIDE, SIDE, 3)

PICTURES = {
    "text": Bad({"train/images/c.png": b"hello"}, [(PNGS, "(1): train/images/c.png (content is not PNG)", GET)]),
    "empty": Bad({"test/images/x.png": b""}, [(PNGS, "(1): test/images/x.png (content is not PNG)", GET)]),
    "a JPEG": Bad(
        {"train/images/c.png": cv2.imencode(".jpg", COLOUR)[1].tobytes()},
        [(PNGS, "(1): train/images/c.png (a JPEG, named .png)", GET)],
    ),
    "cut off": Bad({"test/images/x.png": cut}, [(PNGS, "(1): test/images/x.png (damaged PNG)", GET)]),
    "a signature and nothing else": Bad(
        {"train/masks/a.png": b"\x89PNG\r\n\x1a\n"}, [(PNGS, "(1): train/masks/a.png (damaged or unusual PNG)", GET)]
    ),
    "16-bit": Bad(
        {"train/images/c.png": png(np.zeros((SIDE, SIDE), np.uint16))},
        [(PNGS, "(1): train/images/c.png (16-bit, expected 8-bit)", GET)],
    ),
    "in colour": Bad(
        {"test/images/x.png": png(COLOUR)}, [(PNGS, "(1): test/images/x.png (in colour, expected grey)", GET)]
    ),
    "one of another size": Bad({"train/images/b.png": SMALL}, [(SIZES, "(1): train/images/b.png (5 x 7)", SET_SIZE)]),
    "all of another size": Bad(
        dict.fromkeys(ALL_IMAGES, SMALL),
        [(SIZES, "(6): " + ", ".join(f"{name} (5 x 7)" for name in ALL_IMAGES[:5]) + " and 1 more", SET_SIZE)],
    ),
    "of many sizes": Bad(
        {
            f"test/images/{name}.png": png(np.eye(side, dtype=np.uint8))
            for side, name in zip((5, 6, 9), "zxy", strict=True)
        },
        [(SIZES, "(2): test/images/z.png (5 x 5), test/images/y.png (9 x 9)", SET_SIZE)],
    ),
    "mask of another size": Bad({"train/masks/b.png": SMALL}, [(SIZES, "(1): train/masks/b.png (5 x 7)", SET_SIZE)]),
    "mask of three values": Bad(
        {"train/masks/b.png": png(THREE_VALUES)},
        [(PNGS, "(1): train/masks/b.png (values 0, 1, 255; expected 0 and one of 1, 255, 65535)", GET)],
    ),
    "mask that differs": Bad(
        {"train/masks/b.png": GOOD["train/masks/a.png"]},
        [("masks that differ between train.csv and their PNG", "(1): b (36 px)", "Keep the correct one.")],
    ),
    "mask without image": Bad(
        {"train/masks/q.png": GOOD["train/masks/a.png"]},
        [("masks in {root} without images/<id>.png", "(1): q", "Add the images, or remove the masks.")],
    ),
    "image without mask": Bad(
        {"train/masks/a.png": None}, [("labelled tiles without masks/<id>.png in {root}", "(1): a", ADD_MASKS)]
    ),
    "no mask at all": Bad(
        {**NO_MASKS, TRAIN: table("id", "cab")},
        [
            (
                "labelled tiles without masks/<id>.png in {root} or a column rle_mask in train.csv",
                "(3): c, a, b",
                ADD_MASKS,
            )
        ],
    ),
}

# --- ids

WITHOUT_IMAGE = "ids of {} without images/<id>.png in {{root}}".format
WITHOUT_ROW = "images in {{root}} without a row in {}".format
ADD_IMAGES, ADD_ROWS = "Add the images, or remove the rows.", "Add the rows, or remove the images."
NO_DEPTH = "tiles without a row in depths.csv"
ADD_DEPTHS = "Add their depths, or remove depths.csv and set `folds: {by: coverage}`."
NO_NAME = "ids of {} that are not 1 to 100 characters of A-Z a-z 0-9 . _ -, the first a letter, a digit or _".format
RENAME = "Rename these tiles wherever they appear."

IDS = {
    "without image": Bad(
        {"train/images/c.png": None, "test/images/y.png": None},
        [
            (WITHOUT_IMAGE(TRAIN) + "/train.zip", "(1): c", ADD_IMAGES),
            (WITHOUT_IMAGE(TEST) + "/test.zip", "(1): y", ADD_IMAGES),
        ],
        form=as_zips,
    ),
    "without row": Bad(
        {"train/images/new.png": GOOD["train/images/c.png"], DEPTHS: more("new,1\n")},
        [(WITHOUT_ROW(TRAIN), "(1): new", ADD_ROWS)],
    ),
    "twice": Bad(
        {TRAIN: more("c,\n"), DEPTHS: more("a,5\n")},
        [
            (f"ids that appear more than once in {name}", f"(1): {id_}", "Keep the correct row.")
            for name, id_ in ((TRAIN, "c"), (DEPTHS, "a"))
        ],
    ),
    "in train and test": Bad(
        {"test/images/a.png": GOOD["train/images/a.png"], TEST: more("a,1 1\n")},
        [("ids in both splits", "(1): a", "Remove each from one split.")],
    ),
    "foreign ones in the sample": Bad(
        {TEST: more("".join(f"q{number},1 1\n" for number in range(9)))},
        [
            (WITHOUT_IMAGE(TEST), "(9): q0, q1, q2, q3, q4 and 4 more", ADD_IMAGES),
            (NO_DEPTH, "(9): q0, q1, q2, q3, q4 and 4 more", ADD_DEPTHS),
        ],
    ),
    "paths, an empty one, formulas": Bad(
        {TEST: more("../x,\nd/e,\n,1 1\n=1+1,\n@x,\n-x,\n+x,\n")},
        [(NO_NAME(TEST), "(7): '../x', 'd/e', '', '=1+1', '@x' and 2 more", RENAME)],
    ),
    "spaces, other scripts, control characters, long ones": Bad(
        {TEST: more(f"a b,\nsel\u0142,\n\x1b[2J,\n.x,\n{'y' * 400},\n")},
        [
            (
                NO_NAME(TEST),
                rf"(5): 'a b', 'sel\u0142', '\x1b[2J', '.x', '{'y' * 50}'".replace(r"\u0142", "\u0142"),
                RENAME,
            )
        ],
    ),
    "names of files": Bad(
        {TEST: None, DEPTHS: None, "test/images/-rf.png": GOOD["test/images/x.png"]},
        [(NO_NAME("images in {root}"), "(1): '-rf'", RENAME)],
    ),
    "different in case alone": Bad(
        {"test/images/C.png": GOOD["test/images/x.png"], TEST: more("C,\n"), DEPTHS: more("C,3\n")},
        [("ids that differ only in upper and lower case", "(1): C and c", "Rename one of each pair.")],
    ),
    "of a PNG in two places": Bad(
        {"test/copy/images/x.png": GOOD["test/images/x.png"]},
        [("PNGs that appear more than once in {root}/test.zip", "(1): copy/images/x.png", "Keep one of each.")],
        form=as_zips,
    ),
}

# --- tables

COLUMNS = "tables with missing columns"
NAME_COLUMNS = "The first line must name the columns, separated by commas."
NO_TEXT = "tables that are not UTF-8 text"
SAVE = "Save them as CSV in UTF-8."
ZEROS = "(1): train.csv (zero bytes, as in UTF-16 or in a binary file)"

TABLES = {
    "depths that are missing": Bad(
        {DEPTHS: table("id,z", [(name, 1) for name in "abcz"])}, [(NO_DEPTH, "(2): x, y", ADD_DEPTHS)]
    ),
    "depths that are no numbers": Bad(
        {DEPTHS: table("id,z", [("a", "deep"), ("b", "nan"), ("c", ""), ("x", "inf"), ("y", 1), ("z", "1 2")])},
        [
            (
                "depths (z in depths.csv) that are not numbers",
                "(5): c (''), a ('deep'), b ('nan'), z ('1 2'), x ('inf')",
                "Write numbers such as 306 or 12.5.",
            )
        ],
    ),
    "no header": Bad(
        {TRAIN: instead(b"id,rle_mask\n", b"")},
        [(COLUMNS, "(1): train.csv (expected id; found c, 21 4 27 4 33 4)", NAME_COLUMNS)],
    ),
    "a header and nothing else": Bad(
        {TEST: b"id,rle_mask\r\n"},
        [
            (
                "tables without rows below their header",
                "(1): sample_submission.csv",
                "Replace or remove them.",
            )
        ],
    ),
    "nothing": Bad({DEPTHS: b""}, [(COLUMNS, "(1): depths.csv (expected id, z; found nothing)", NAME_COLUMNS)]),
    "named or packed otherwise": Bad(
        {DEPTHS: None, TRAIN: None, "Train.csv": GOOD[TRAIN], "depths.csv.zip": zipped({DEPTHS: GOOD[DEPTHS]})},
        [
            (
                "tables with another name or in a zip",
                "(2): Train.csv (expected train.csv), depths.csv.zip (expected depths.csv)",
                "Rename or unpack them.",
            )
        ],
    ),
    "a column missing": Bad(
        {DEPTHS: instead(b"id,z", b"id,depth")},
        [(COLUMNS, "(1): depths.csv (expected id, z; found id, depth)", NAME_COLUMNS)],
    ),
    "a column twice": Bad(
        {DEPTHS: table("id,z,z", [(name, 1, 2) for name in "abcxyz"])},
        [("columns that appear more than once in depths.csv", "(1): z", "Keep one of each.")],
    ),
    "semicolons": Bad(
        {DEPTHS: instead(b",", b";")},
        [(COLUMNS, "(1): depths.csv (expected id, z; found id;z, with semicolons)", NAME_COLUMNS)],
    ),
    "tabs": Bad(
        {TEST: instead(b",", b"\t")},
        [(COLUMNS, r"(1): sample_submission.csv (expected id; found id\trle_mask, with tabs)", NAME_COLUMNS)],
    ),
    "a very long line": Bad(
        {TRAIN: b"x" * 10**6}, [(COLUMNS, f"(1): train.csv (expected id; found {'x' * 80})", NAME_COLUMNS)]
    ),
    "lines of other lengths": Bad(
        {TEST: b"id,rle_mask\nz,\nx\ny,,\n"},
        [
            (
                "lines of sample_submission.csv without exactly 2 values",
                "(2): line 3 (1), line 4 (3)",
                "Write one value for each column.",
            )
        ],
    ),
    "an open quote": Bad(
        {TRAIN: b'id,rle_mask\n"a'},
        [
            (
                "tables that are not valid CSV",
                "(1): train.csv (unexpected end of data)",
                "Check the quotes around the values.",
            )
        ],
    ),
    "UTF-16": Bad({TRAIN: "id,rle_mask\nc,1 1\n".encode("utf-16")}, [(NO_TEXT, ZEROS, SAVE)]),
    "zeros": Bad({TRAIN: more("\0\0")}, [(NO_TEXT, ZEROS, SAVE)]),
    "another code page": Bad(
        {TRAIN: lambda data: data + b"\xe9,\n"}, [(NO_TEXT, "(1): train.csv (byte 40 is 0xe9)", SAVE)]
    ),
}

# --- run lengths


def run_lengths(text, why):
    """The tile c with this mask in train.csv, and no PNGs of masks."""
    rows = table("id,rle_mask", [("c", text), ("a", ""), ("b", "1 36")])
    return Bad(
        {TRAIN: rows, **NO_MASKS}, [("masks in train.csv that are not a run-length encoding", f"(1): c ({why})", GET)]
    )


DIGITS = "is not a whole number of at most 18 digits"

RUN_LENGTHS = {
    "an odd count": run_lengths("1 2 3", "3 values, but runs are pairs of a start and a length"),
    "negative": run_lengths("-4 2", "run 1 (-4 2) starts before pixel 1"),
    "zero": run_lengths("3 0", "run 1 (3 0) is shorter than one pixel"),
    "overlapping": run_lengths("1 5 3 1", "run 2 (3 1) overlaps the run before it or is not sorted"),
    "not sorted": run_lengths("9 1 1 1", "run 2 (1 1) overlaps the run before it or is not sorted"),
    "past the end": run_lengths("36 2", "run 1 (36 2) ends past the last pixel, 36"),
    "letters": run_lengths("1 x", f"'x' {DIGITS}"),
    "fractions": run_lengths("1 2.0", f"'2.0' {DIGITS}"),
    "huge": run_lengths(f"1 {10**25}", f"'{10**25}' {DIGITS}"),
    "endless": run_lengths("1 1 " * 10**5, "399999 characters, but 36 pixels need 1000 at most"),
}

# --- zips


def add(name, data=b"x", **attributes):
    """The form of zips, with one more member of train.zip, which has these attributes of a ZipInfo."""

    def form(files):
        packed = as_zips(files)
        file, info = io.BytesIO(packed["train.zip"]), zipfile.ZipInfo(name)
        for attribute, value in attributes.items():
            setattr(info, attribute, value)
        with zipfile.ZipFile(file, "a") as archive, warnings.catch_warnings(action="ignore"):  # of names that are twice
            archive.writestr(info, data, info.compress_type)
        return packed | {"train.zip": file.getvalue()}

    return form


def list_again(times):
    """The form of zips, with a file of 1 MB in train.zip under many names, all of the same bytes."""

    def form(files):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("images/a.png", bytes(2**20))
            for number in range(times):
                archive.filelist.append(copy.copy(archive.filelist[0]))
                archive.filelist[-1].filename = f"images/{number}.png"
        return as_zips(files) | {"train.zip": file.getvalue()}

    return form


def patch(offset, kind, value):
    """The form of zips, with another value in a field of the first entry that train.zip lists."""

    def form(files):
        packed = as_zips(files)
        data = bytearray(packed["train.zip"])
        struct.pack_into(kind, data, data.index(b"PK\x01\x02") + offset, value)
        return packed | {"train.zip": bytes(data)}

    return form


def dent(files):
    """The form of zips, with zeros among the bytes of the image x."""
    data = zipped({f"images/{name}.png": files[f"test/images/{name}.png"] for name in "zxy"}, zipfile.ZIP_STORED)
    start = data.index(b"IHDR", data.index(b"images/x.png"))
    return as_zips(files) | {"test.zip": data[:start] + b"\0\0\0" + data[start + 3 :]}


def wrap(files):
    return {"own.zip": zipped({f"tgs/{name}": data for name, data in files.items()})}


def damaged(form, why, place="{root}/train.zip"):
    return Bad(form=form, said=[("files that cannot be read", f"(1): {place} ({why})", GET)])


def without_images(form, place, found, splits=("train", "test")):
    expected = "folders or zips without images (expected {0}/images/<id>.png, or images/<id>.png in {0}.zip)".format
    said = [(expected(split), f"(1): {place} (found {found})", "Add the images there.") for split in splits]
    return Bad(form=form, said=said)


FLAGS, UNPACKED = (8, "<H"), (24, "<I")
BOMB = "expected contents of at most 50 times the zip's size, found a zip bomb"
NO_PATH = "expected names such as images/a.png, found names that are not paths inside the zip"

ZIPS = {
    "cut off": damaged(
        lambda files: (zips := as_zips(files)) | {"train.zip": cut(zips["train.zip"])}, "File is not a zip file"
    ),
    "dented": damaged(dent, "Bad CRC-32 for file 'images/x.png'", "{root}/test.zip/images/x.png"),
    "the one with everything, cut off": Bad(
        form=lambda files: {name: cut(data) for name, data in as_one_zip(files).items()},
        whole="Error: The zip with the data cannot be read: {root}/tgs-salt-identification-challenge.zip "
        "(File is not a zip file). Repack or replace it.",
    ),
    "a folder around everything": without_images(
        wrap, "{root}/own.zip", "tgs/train.csv, tgs/depths.csv, tgs/sample_submission.csv ..."
    ),
    "zips in a zip in a zip": without_images(
        lambda files: {"own.zip": zipped(as_one_zip(files))}, "{root}/own.zip", "tgs-salt-identification-challenge.zip"
    ),
    "no images": without_images(
        lambda files: as_zips(files) | {"test.zip": zipped({"x.png": b""})}, "{root}/test.zip", "x.png", ["test"]
    ),
    "a name that leads out": damaged(add("../../evil.png"), f"{NO_PATH} (1): ../../evil.png"),
    "a name from the root": damaged(add("/tmp/evil.png"), f"{NO_PATH} (1): /tmp/evil.png"),  # noqa: S108
    "a drive": damaged(add("C:/evil.png"), f"{NO_PATH} (1): C:/evil.png"),
    "backslashes": damaged(add("images\\a.png"), f"{NO_PATH} (1): images\\a.png"),
    "a link": damaged(
        add("images/l.png", b"/etc/passwd", external_attr=(stat.S_IFLNK | 0o777) << 16),
        "expected plain files, found links or devices (1): images/l.png",
    ),
    "LZMA": damaged(
        add("images/l.png", compress_type=zipfile.ZIP_LZMA),
        "expected stored or deflated files, found other compression (1): images/l.png",
    ),
    "a name twice": damaged(add("images/a.png"), "expected each name once, found duplicates (1): images/a.png"),
    "encrypted": damaged(
        patch(*FLAGS, 1), "expected a zip without a password, found encrypted files (1): images/c.png"
    ),
    "bomb": damaged(
        patch(*UNPACKED, 2**32 - 2),
        f"expected files of at most 50 times their compressed size, found zip bombs (1): images/c.png; {BOMB}",
    ),
    "bomb of shared bytes": damaged(list_again(80), BOMB),
}

# --- folders

MISSING = (
    "Error: The tiles' images are missing: expected {expected} in {{root}}, or tgs-salt-identification-challenge.zip "
    'with everything inside, and found {found}. The data are those of the Kaggle competition "TGS Salt Identification '
    'Challenge": accept its rules at https://www.kaggle.com/competitions/tgs-salt-identification-challenge, then run '
    "`kaggle competitions download -c tgs-salt-identification-challenge -p {{root}}` and leave the zip as it is. To "
    "try the whole workflow without them, on synthetic tiles, run `make demo`."
).format
BOTH, TEST_ALONE = "train/images/*.png or train.zip and test/images/*.png or test.zip", "test/images/*.png or test.zip"
NO_FILE = "names that are not files (broken links, pipes, devices)"


def link(name, target):
    return lambda root: (root / name).symlink_to(target)


FOLDERS = {
    "missing": Bad(afterwards=lambda root: shutil.rmtree(root), whole=MISSING(expected=BOTH, found="no such folder")),
    "empty": Bad(
        afterwards=lambda root: (shutil.rmtree(root), root.mkdir()), whole=MISSING(expected=BOTH, found="it empty")
    ),
    "a file": Bad(
        afterwards=lambda root: (shutil.rmtree(root), root.touch()),
        whole=MISSING(expected=BOTH, found="a file of that name"),
    ),
    "no test tiles": Bad(
        of_test(None),
        whole=MISSING(expected=TEST_ALONE, found="depths.csv, sample_submission.csv, train, train.csv"),
    ),
    "other files than images": without_images(
        lambda files: without(files, "test/") | {"test/images/x.txt": b""},
        "{root}",
        "depths.csv, sample_submission.csv, test/images/x.txt ...",
        ["test"],
    ),
    "two zips": Bad(
        form=lambda files: {"a.zip": zipped(files), "b.zip": zipped(files)},
        whole=MISSING(expected=BOTH, found="a.zip, b.zip"),
    ),
    "a pipe": Bad(
        {TRAIN: None},
        [(NO_FILE, "(1): {root}/train.csv", "Remove them.")],
        afterwards=lambda root: os.mkfifo(root / TRAIN),
    ),
    "a device": Bad(
        said=[(NO_FILE, "(1): {root}/train/images/d.png", "Remove them.")],
        afterwards=link("train/images/d.png", "/dev/zero"),
    ),
    "a link to nowhere": Bad(
        said=[(NO_FILE, "(1): {root}/train/images/d.png", "Remove them.")],
        afterwards=link("train/images/d.png", "gone.png"),
    ),
    "a link to itself": Bad(
        said=[(NO_FILE, "(1): {root}/train/images/d.png", "Remove them.")],
        afterwards=link("train/images/d.png", "d.png"),
    ),
    "a circle": Bad(
        said=[("folders that links lead to more than once", "(1): {root}/train/again", "Remove these links.")],
        afterwards=link("train/again", "../train"),
    ),
}

# --- all tiles together

LOOK = "Check the images: each holds a single grey value."
NO_SALT = (
    "labelled tiles, none of them with salt",
    "(3): c, a, b",
    "Check the masks: 0 is not salt, and one of 1, 255 and 65535 is.",
)

TOGETHER = {
    "no salt": Bad({**NO_MASKS, TRAIN: table("id,rle_mask", [(name, "") for name in "cab"])}, [NO_SALT]),
    "all constant": Bad(
        dict.fromkeys(ALL_IMAGES, GOOD["train/images/a.png"]),
        [
            ("tiles of train, all of them constant", "(3): c, a, b", LOOK),
            ("tiles of test, all of them constant", "(3): z, x, y", LOOK),
        ],
    ),
    "faults of many kinds": Bad(
        {"train/images/c.png": b"", DEPTHS: b"", "test/images/y.png": None, TRAIN: more("=x,\n")},
        [
            (COLUMNS, "(1): depths.csv (expected id, z; found nothing)", NAME_COLUMNS),
            (NO_NAME(TRAIN), "(1): '=x'", RENAME),
            (WITHOUT_IMAGE(TEST), "(1): y", ADD_IMAGES),
            (PNGS, "(1): train/images/c.png (content is not PNG)", GET),
        ],
    ),
}

KINDS = {
    "picture": PICTURES,
    "id": IDS,
    "table": TABLES,
    "run lengths": RUN_LENGTHS,
    "zip": ZIPS,
    "folder": FOLDERS,
    "together": TOGETHER,
}
ROWS = [pytest.param(bad, id=f"{kind}: {name}") for kind, rows in KINDS.items() for name, bad in rows.items()]


def options(tmp_path):
    settings = json.dumps({"root": str(tmp_path / "data"), "tile": SIDE})
    return ["--settings", settings, "--out", str(tmp_path / "run" / "tiles")]


@pytest.mark.parametrize("bad", ROWS)
def test_a_mistake_is_reported_in_full_and_leaves_nothing_behind(tmp_path, bad):
    expected = bad.make(tmp_path / "data")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(SystemExit) as end:
        program.run(lambda: prepare_tiles.main(options(tmp_path)))
    assert end.value.code == expected  # of a text, Python prints it and exits with 1
    assert sorted(tmp_path.rglob("*")) == before


def start(tmp_path, *before):
    command = [*before, sys.executable, "-m", "stages.prepare_tiles", *options(tmp_path)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("bad", [ZIPS["a name that leads out"], FOLDERS["a pipe"], TOGETHER["faults of many kinds"]])
def test_the_program_shows_its_command_and_the_message_alone_and_exits_with_one(tmp_path, bad):
    expected = bad.make(tmp_path / "data")
    done = start(tmp_path)
    (command,) = done.stdout.splitlines()
    assert "-m stages.prepare_tiles --settings" in command
    assert (done.returncode, done.stderr) == (1, f"{expected}\n")
    assert not (tmp_path / "run").exists()


SHUT = (
    "Error: The data in {{root}} cannot be used: expected a readable folder, found that {{root}}/{} is not "
    "(Permission denied). Make it readable."
).format
CLOSED = {
    "train/images/c.png": Bad(
        said=[("files that cannot be read", "(1): {root}/train/images/c.png (Permission denied)", GET)]
    ),
    "train/masks": Bad(
        said=[("folders that cannot be opened", "(1): {root}/train/masks (Permission denied)", "Make them readable.")]
    ),
    "train/images": Bad(whole=SHUT("train/images")),
    "test": Bad(whole=SHUT("test/images")),
}


@pytest.mark.parametrize("name", CLOSED)
def test_unreadable_files_are_reported(tmp_path, name):
    hindered = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
    if hindered and not shutil.which("setpriv"):
        pytest.skip("root may read everything, and cannot be hindered without setpriv")
    expected = CLOSED[name].make(tmp_path / "data")
    (tmp_path / "data" / name).chmod(0)
    done = start(tmp_path, *hindered)
    (tmp_path / "data" / name).chmod(0o755)
    assert (done.returncode, done.stderr) == (1, f"{expected}\n")
    assert not (tmp_path / "run").exists()
