import numpy as np
import pytest

from salt.intake.faults import Faults
from salt.intake.masks import MaskValues, read_mask
from schemas.errors import UserError
from tests.own_images import encoded, npy

SHAPE = np.array([[0, 0, 1], [1, 1, 0]], np.uint8)


def binarized(files, wanted=None):
    """The masks of these files in {0, 1}, by name."""
    values, faults, masks = MaskValues(), Faults(), {}
    for name, data in files.items():
        masks[name], values.of[name] = read_mask(data, name)
    value = values.choose(wanted, faults)
    faults.raise_if_any("")
    for name, mask in masks.items():
        values.binarize(name, mask, value)
    return masks


@pytest.mark.parametrize(
    ("low", "high", "kind"),
    [
        (0, 1, np.uint8),
        (0, 255, np.uint8),
        (7, 9, np.uint8),
        (0, 65535, np.uint16),
        (-1, 1, np.int8),
        (0.1, 0.7, np.float32),
    ],
)
def test_the_larger_of_any_two_values_is_salt_unless_set_otherwise(low, high, kind):
    pixels = np.where(SHAPE == 1, high, low).astype(kind)
    for wanted, expected in ((None, SHAPE), (high, SHAPE), (low, 1 - SHAPE)):
        np.testing.assert_array_equal(binarized({"a.npy": npy(pixels)}, wanted)["a.npy"], expected)


def test_a_mask_of_one_value_is_full_or_empty_by_what_the_others_hold():
    full, empty, both = (encoded(pixels, ".png") for pixels in (SHAPE * 0 + 255, SHAPE * 0, SHAPE * 255))
    for wanted, turned in ((None, 0), (0, 1)):
        masks = binarized({"full.png": full, "empty.png": empty, "both.png": both}, wanted)
        assert masks["full.png"].tolist() == (SHAPE * 0 + 1 - turned).tolist()
        assert masks["empty.png"].tolist() == (SHAPE * 0 + turned).tolist()
    masks = binarized({"full.png": full, "empty.png": empty})  # none has both
    assert (masks["full.png"].all(), masks["empty.png"].any()) == (True, False)


def test_masks_may_be_drawn_in_colours():
    red = np.zeros((*SHAPE.shape, 3), np.uint8)
    red[..., 0] = SHAPE * 200
    np.testing.assert_array_equal(binarized({"a.png": encoded(red, ".png")})["a.png"], SHAPE)


def test_what_a_jpeg_loses_is_said():
    slanted = np.tri(32, dtype=np.uint8) * 255
    with pytest.raises(ValueError, match=r"^\d+ values: .* ...; JPEG does not preserve values, save masks as PNG$"):
        read_mask(encoded(slanted, ".jpg"), "a.jpg")


def test_three_values_of_two_masks_are_a_fault():
    with pytest.raises(UserError, match=r"0 \(such as in a.png\), 1 \(such as in b.png\), 255 \(such as in a.png\)"):
        binarized({"a.png": encoded(SHAPE * 255, ".png"), "b.png": encoded(SHAPE, ".png")})
