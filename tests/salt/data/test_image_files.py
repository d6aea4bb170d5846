import io
import pickle
import re
import struct
import zlib
from contextlib import suppress

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from salt.data.image_files import grey, has_colour, read, rgb, size, to_bytes

RNG = np.random.default_rng(4)
GREY = RNG.integers(0, 256, (7, 9), np.uint8)
COLOURS = RNG.integers(0, 256, (7, 9, 3), np.uint8)


def encoded(pixels, suffix):
    """As OpenCV writes it; colours are red, green, blue here and the other way round there."""
    return cv2.imencode(suffix, pixels[..., ::-1] if pixels.ndim == 3 else pixels)[1].tobytes()


def saved(image, kind, **options):
    """As Pillow writes it."""
    image.save(buffer := io.BytesIO(), kind, **options)
    return buffer.getvalue()


def npy(array, **options):
    np.save(buffer := io.BytesIO(), array, **options)
    return buffer.getvalue()


def claiming(height, width):
    """A whole PNG of a few bytes whose header claims a size."""
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)), (b"IDAT", zlib.compress(b"")))
    body = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".tiff", ".bmp"])
@pytest.mark.parametrize("pixels", [GREY, COLOURS], ids=["grey", "colours"])
def test_formats_without_loss_give_what_was_written(suffix, pixels):
    np.testing.assert_array_equal(read(encoded(pixels, suffix), f"folder/a{suffix.upper()}"), pixels)


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg"])
def test_jpegs_give_about_what_was_written_in_its_order_of_colours(suffix):
    red = np.zeros((16, 16, 3), np.uint8)
    red[..., 0] = 200
    assert np.abs(read(encoded(red, suffix), f"a{suffix}").astype(int) - red).max() < 4
    assert read(encoded(GREY, suffix), f"a{suffix}").shape == GREY.shape


@pytest.mark.parametrize(
    ("suffix", "kind", "pixels"),
    [
        (".png", np.uint16, GREY),
        (".png", np.uint16, COLOURS),
        (".tif", np.uint16, GREY),
        (".tif", np.uint16, COLOURS),
        (".tif", np.float32, GREY),
        (".npy", np.uint16, COLOURS),
        (".npy", np.float32, COLOURS),
    ],
)
def test_types_are_kept(suffix, kind, pixels):
    wide = pixels.astype(kind) * kind(257)
    found = read(npy(wide) if suffix == ".npy" else encoded(wide, suffix), f"a{suffix}")
    assert found.dtype == kind
    np.testing.assert_array_equal(found, wide)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (bool, np.uint8),
        (np.uint8, np.uint8),
        (">u2", np.uint16),
        (np.int8, np.float32),
        (np.int16, np.float32),
        (np.int64, np.float32),
        (np.uint32, np.float32),
        (np.float16, np.float32),
        (np.float64, np.float32),
        (">f8", np.float32),
    ],
)
def test_other_types_become_one_of_three_and_keep_their_values(kind, expected):
    array = np.array([[0, 1, 1], [1, 0, 0]]).astype(kind)
    for order in ("C", "F"):
        found = read(npy(np.asarray(array, order=order)), "a.npy")
        assert found.dtype == expected
        np.testing.assert_array_equal(found, array)


def test_an_npy_of_one_channel_is_grey():
    assert read(npy(GREY[..., None]), "a.npy").shape == GREY.shape


@pytest.mark.parametrize("pixels", [GREY, COLOURS], ids=["grey", "colours"])
def test_opaque_alpha_is_dropped(pixels):
    image = Image.fromarray(pixels).convert("LA" if pixels.ndim == 2 else "RGBA")
    np.testing.assert_array_equal(grey(read(saved(image, "PNG"), "a.png")), grey(pixels))
    np.testing.assert_array_equal(read(npy(np.dstack([rgb(pixels), np.full_like(GREY, 255)])), "a.npy"), rgb(pixels))


def test_palettes_and_single_bits_are_what_they_show():
    palette = Image.fromarray(GREY).convert("P")
    np.testing.assert_array_equal(grey(read(saved(palette, "PNG"), "a.png")), GREY)
    for kind in ("PNG", "TIFF", "BMP"):
        bits = read(saved(Image.fromarray(GREY > 99), kind), f"a.{kind[:3].lower()}")
        np.testing.assert_array_equal(grey(bits) > 0, GREY > 99)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".bmp", ".npy"])
@pytest.mark.parametrize("pixels", [GREY, COLOURS], ids=["grey", "colours"])
def test_the_size_is_read_from_the_header_alone(suffix, pixels):
    whole = npy(pixels) if suffix == ".npy" else encoded(pixels, suffix)
    assert size(whole, f"a{suffix}") == (7, 9)
    if suffix in (".png", ".jpg", ".npy"):  # a TIFF's header comes last
        assert size(whole[:-5], f"a{suffix}") == (7, 9)


SEE_THROUGH = Image.fromarray(np.dstack([COLOURS, GREY]))
UPSIDE_DOWN = Image.Exif()
UPSIDE_DOWN[0x0112] = 3

BAD = {
    "empty file": (b"", "a.png", "content is not PNG"),
    "text": (b"hello", "a.tif", "content is not TIFF"),
    "unknown suffix": (b"GIF89a", "a.gif", "content is not an image"),
    "another suffix": (encoded(GREY, ".jpg"), "a.png", "a JPEG, named .png"),
    "no suffix": (encoded(GREY, ".png"), "images/a", "a PNG, named without suffix"),
    "signature alone": (b"\x89PNG\r\n\x1a\n", "a.png", "damaged or unusual PNG"),
    **{
        f"truncated {suffix}": (encoded(COLOURS, suffix)[:-20], f"a{suffix}", "damaged")
        for suffix in (".png", ".jpg", ".tif", ".bmp")
    },
    "truncated npy": (npy(GREY)[:-1], "a.npy", "damaged NPY"),
    "npy without header": (npy(GREY)[:30], "a.npy", "damaged NPY"),
    "npy of another version": (b"\x93NUMPY\x09\x00", "a.npy", "damaged NPY"),
    "transparent": (saved(SEE_THROUGH, "PNG"), "a.png", "with transparency, expected none"),
    "transparent grey": (saved(SEE_THROUGH.convert("LA"), "PNG"), "a.png", "with transparency"),
    "a transparent shade": (saved(Image.fromarray(GREY), "PNG", transparency=7), "a.png", "with transparency"),
    "transparent tiff": (saved(SEE_THROUGH.convert("LA"), "TIFF"), "a.tif", "with transparency"),
    "transparent npy": (npy(np.dstack([COLOURS, GREY])), "a.npy", "with transparency"),
    "huge": (claiming(60_000, 50_000), "a.png", "size 60000 x 50000, expected 1 to 536870912 px"),
    "huge npy": (npy(GREY).replace(b"(7, 9), }     ", b"(70000, 90000)}"), "a.npy", "size 70000 x 90000"),
    "npy without pixels": (npy(np.zeros((0, 5))), "a.npy", "size 0 x 5"),
    "pages": (
        saved(Image.fromarray(GREY), "TIFF", save_all=True, append_images=[Image.fromarray(GREY)]),
        "a.tif",
        "2 pages",
    ),
    "cmyk": (saved(SEE_THROUGH.convert("RGB").convert("CMYK"), "JPEG"), "a.jpg", "in CMYK, expected grey or RGB"),
    "turned": (saved(Image.fromarray(GREY), "PNG", exif=UPSIDE_DOWN), "a.png", "by its Exif orientation, 3; save"),
    "unread tiff": (encoded(GREY.astype(np.float64), ".tiff"), "a.tiff", "damaged or unusual TIFF"),
    "objects": (npy(np.array([[{}]]), allow_pickle=True), "a.npy", "an NPY of objects, expected numbers"),
    "texts": (npy(np.array([["a"]])), "a.npy", "an NPY of <U1, expected numbers"),
    "complex numbers": (npy(np.ones((2, 2), complex)), "a.npy", "an NPY of complex128"),
    "records": (npy(np.zeros((2, 2), [("a", int)])), "a.npy", "expected numbers"),
    "a line": (npy(np.ones(5)), "a.npy", "shape (5,), expected (height, width)"),
    "two channels": (npy(np.ones((5, 4, 2))), "a.npy", "shape (5, 4, 2)"),
    "many channels": (npy(np.ones((5, 4, 9))), "a.npy", "size 5 x 4 x 9"),
    "nan": (npy(np.array([[np.nan, 1], [np.inf, 0]])), "a.npy", "2 pixels that are not numbers"),
    "beyond float32": (npy(np.array([[1e300, 1]])), "a.npy", "1 pixels that are not numbers"),
    "beyond exact floats": (npy(np.array([[2**40, 1]])), "a.npy", "integers up to 1099511627776, expected"),
    "pickle": (pickle.dumps(GREY), "a.npy", "content is not NPY"),
}


@pytest.mark.parametrize(("data", "name", "said"), BAD.values(), ids=BAD)
def test_what_is_no_image_of_numbers_is_said(data, name, said, capfd):
    with pytest.raises(ValueError, match=re.escape(said)):
        read(data, name)
    assert capfd.readouterr() == ("", "")


@settings(max_examples=300)
@given(st.data())
def test_damage_anywhere_is_a_value_error_or_harmless(data):
    suffix = data.draw(st.sampled_from([".png", ".jpg", ".tif", ".bmp", ".npy"]))
    whole = npy(COLOURS) if suffix == ".npy" else encoded(COLOURS, suffix)
    start = data.draw(st.integers(0, len(whole) - 1))
    damaged = whole[:start] + data.draw(st.binary(max_size=4)) + whole[start + data.draw(st.integers(0, 8)) :]
    with suppress(ValueError):
        assert read(damaged, f"a{suffix}").dtype in (np.uint8, np.uint16, np.float32)


# --- 8 bits


def test_bytes_stay_as_they_are_by_their_type():
    assert to_bytes(COLOURS, "type") is COLOURS


def test_16_bits_are_divided_by_their_type():
    wide = np.array([[0, 128, 129, 257, 65535]], np.uint16)
    np.testing.assert_array_equal(to_bytes(wide, "type"), [[0, 0, 1, 1, 255]])


def test_floats_have_no_range_of_their_own():
    with pytest.raises(
        ValueError, match=r"floats from -2.5 to 4, whose type has no range; add `range: \[low, high\]` or"
    ):
        to_bytes(np.array([[-2.5, 4]], np.float32), "type")


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
def test_a_tile_can_be_stretched_on_its_own(kind):
    np.testing.assert_array_equal(to_bytes(np.array([[10, 20], [15, 30]], kind), "tile"), [[0, 128], [64, 255]])
    np.testing.assert_array_equal(to_bytes(np.full((2, 2), 9, kind), "tile"), 0)


def test_values_outside_of_a_range_are_clipped():
    np.testing.assert_array_equal(to_bytes(np.array([[-9, -1, 0, 1, 9]], np.float32), (-1, 1)), [[0, 0, 128, 255, 255]])


@given(st.sampled_from(["type", "tile", (100.0, 900.0)]), st.lists(st.integers(0, 65535), min_size=1, max_size=9))
def test_brighter_stays_brighter_or_as_bright(values, pixels):
    mapped = to_bytes(np.array([sorted(pixels)], np.uint16), values)
    assert (np.diff(mapped.astype(int)) >= 0).all()


# --- colours


def test_equal_colours_are_grey():
    assert not has_colour(GREY)
    assert not has_colour(rgb(GREY))
    np.testing.assert_array_equal(grey(rgb(GREY)), GREY)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
def test_colours_become_their_luminance(kind):
    pixels = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]]], kind)
    assert has_colour(pixels)
    assert grey(pixels).dtype == kind
    np.testing.assert_allclose(grey(pixels), [[76, 150, 29]], atol=0.5)
