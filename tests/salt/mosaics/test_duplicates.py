import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from salt.mosaics.duplicates import find_duplicates, is_copy, load_duplicates, positions

RNG = np.random.default_rng(0)
SQUARE = RNG.integers(0, 256, (9, 9), np.uint8)
WIDE = RNG.integers(0, 256, (5, 8), np.uint8)


def found(*images, ids=None):
    names = ids or [f"t{number}" for number in range(len(images))]
    return [tuple(row) for row in find_duplicates(names, np.stack(images)).to_numpy().tolist()]


@pytest.mark.parametrize(("image", "count"), [(SQUARE, 8), (WIDE, 4)])
def test_an_image_has_as_many_positions_as_its_shape_has_symmetries(image, count):
    forms = positions(image)
    assert len({form.tobytes() for form in forms.values()}) == len(forms) == count
    assert all(form.shape == image.shape for form in forms.values())


@pytest.mark.parametrize("image", [SQUARE, WIDE], ids=["square", "wide"])
def test_every_position_has_its_name(image):
    names = list(positions(image))
    assert found(*positions(image).values()) == [(f"t{row}", "t0", names[row]) for row in range(1, len(names))]


@pytest.mark.parametrize(
    ("name", "position"),
    [
        ("turned 90", [[2, 4], [1, 3]]),
        ("turned 180", [[4, 3], [2, 1]]),
        ("mirrored", [[2, 1], [4, 3]]),
        ("mirrored and turned 90", [[1, 3], [2, 4]]),
    ],
)
def test_turns_are_counter_clockwise_and_follow_the_mirror(name, position):
    assert positions(np.array([[1, 2], [3, 4]], np.uint8))[name].tolist() == position


def test_tiles_that_differ_are_no_duplicates():
    changed = SQUARE.copy()
    changed[0, 0] ^= 1
    assert found(SQUARE, changed) == []


def test_other_tiles_with_the_same_bytes_in_another_shape_are_no_duplicates():
    assert found(WIDE, np.rot90(WIDE).reshape(WIDE.shape)) == []


def test_constant_tiles_are_no_duplicates():
    assert found(np.zeros((4, 4), np.uint8), np.zeros((4, 4), np.uint8), np.full((4, 4), 7, np.uint8)) == []


def test_the_smallest_id_is_the_original_wherever_it_stands():
    assert found(SQUARE, SQUARE[::-1], SQUARE, ids=["c", "b", "a"]) == [
        ("b", "a", "mirrored and turned 180"),
        ("c", "a", "identical"),
    ]


def test_a_symmetric_tile_has_the_first_name_that_fits():
    symmetric = np.minimum(SQUARE, SQUARE[:, ::-1])
    assert found(symmetric, symmetric[:, ::-1]) == [("t1", "t0", "identical")]


def test_copies_of_a_turned_copy_are_copies_too():
    turned = np.rot90(SQUARE)
    duplicates = find_duplicates(["a", "b", "c", "d"], np.stack([SQUARE, turned, turned, SQUARE]))
    assert duplicates["how"].tolist() == ["turned 90", "turned 90", "identical"]
    assert is_copy(duplicates).tolist() == [False, True, True]


def test_without_duplicates_the_table_is_empty_and_is_read_as_such(tmp_path):
    duplicates = find_duplicates([], np.zeros((0, 3, 3), np.uint8))
    duplicates.to_csv(tmp_path / "duplicates.csv", index=False)
    assert (tmp_path / "duplicates.csv").read_text() == "id,of,how\n"
    assert load_duplicates(tmp_path / "duplicates.csv").empty
    assert is_copy(duplicates).tolist() == []


@given(st.integers(0, 2**32 - 1), st.sampled_from([(2, 2), (3, 3), (2, 3)]))
def test_the_order_of_tiles_does_not_matter_and_all_pairs_are_compared(seed, shape):
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 2, (12, *shape), np.uint8)  # so few that many are alike
    ids = [f"{number:02}" for number in range(12)]
    order = rng.permutation(12)
    duplicates = found(*images, ids=ids)
    assert duplicates == found(*images[order], ids=[ids[row] for row in order])
    expected = []
    for later, image in enumerate(images):
        forms = {form.tobytes() for form in positions(image).values()}
        alike = [ids[earlier] for earlier in range(later) if images[earlier].tobytes() in forms]
        if alike and image.min() < image.max():
            expected.append((ids[later], alike[0]))
    assert [pair[:2] for pair in duplicates] == expected
