import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st

from salt.data import image_files
from salt.data.network_input import MEAN, STD, Geometry
from salt.data.tiles import Tiles
from schemas.errors import UserError
from schemas.networks import Input
from schemas.reading import check_config

UNKNOWN = torch.full((1,), torch.nan)  # depths
RECIPE = {  # recipe 3: settings, side, padding before
    "resnext50": (Input(resize=192, pad=224, pad_mode="reflect", channels="grey3"), 224, 16),
    "resnet34": (Input(resize=202, pad=256, pad_mode="edge", channels="ramp"), 256, 27),
    "pad_128": (Input(pad=128, pad_mode="edge", channels="ramp"), 128, 13),
    "resize_128": (Input(resize=128, channels="ramp"), 128, 0),
}


@pytest.fixture(params=RECIPE)
def geometry_side_before(request):
    settings, side, before = RECIPE[request.param]
    return Geometry(settings, tile=(101, 101)), side, before


def test_the_recipes_inputs_have_its_sides_and_padding(geometry_side_before):
    geometry, side, before = geometry_side_before
    assert (geometry.shape, geometry.before) == ((side, side), (before, before))
    assert geometry.images(torch.zeros(2, 101, 101, dtype=torch.uint8), UNKNOWN).shape == (2, 3, side, side)


def test_a_mask_comes_back_where_it_was(geometry_side_before):
    geometry, _, _ = geometry_side_before
    masks = torch.zeros(3, 101, 101, dtype=torch.uint8)
    masks[0, :, 40:], masks[1, 17:60, 5:33], masks[2, 100:, 100:] = 1, 1, 1
    back = there_and_back(geometry, masks)
    if geometry.resized[0] % 101 == 0:  # not resized, or each pixel doubled
        assert torch.equal(back, masks.bool())
    else:  # a border may move by a rounded pixel, an area by no more
        different = (back != masks.bool()).sum(dim=(1, 2))
        assert (different <= torch.tensor([101, 2 * (43 + 28), 2])).all()


def there_and_back(geometry, masks):
    """What a network that predicts its mask surely and rightly gets."""
    return geometry.probabilities(geometry.masks(masks) * 40 - 20) > 0.5


@given(st.data(), st.integers(4, 40), st.integers(4, 40), st.integers(0, 2**32 - 1))
def test_any_padding_and_any_doubling_bring_any_mask_back_exactly(data, height, width, seed):
    times = data.draw(st.integers(1, 3))
    extra = data.draw(st.tuples(st.integers(0, 9), st.integers(0, 9)))
    mode = data.draw(st.sampled_from(["edge", "reflect"])) if max(extra) < min(height, width) else "edge"
    resize, pad = (height * times, width * times), (height * times + extra[0], width * times + extra[1])
    geometry = Geometry(Input.model_construct(resize=resize, pad=pad, pad_mode=mode, channels="ramp"), (height, width))
    masks = torch.from_numpy(np.random.default_rng(seed).integers(0, 2, (2, height, width), dtype=np.uint8))
    assert geometry.masks(masks).shape == (2, 1, *pad)
    assert torch.equal(there_and_back(geometry, masks), masks.bool())


@pytest.mark.parametrize("resized", [64, 128, 192, 202, 224])
def test_no_resizing_shifts_what_it_shows(resized):
    """A disc keeps its centre to half a pixel, and a hundred of them to a fiftieth on the mean."""
    rows, columns = np.mgrid[:101, :101]
    centres = np.random.default_rng(0).uniform(35, 65, (100, 2, 1, 1))
    discs = ((rows - centres[:, 0]) ** 2 + (columns - centres[:, 1]) ** 2 < 20**2).astype(np.uint8)
    back = there_and_back(Geometry(Input(resize=resized), tile=(101, 101)), torch.from_numpy(discs)).numpy()
    for axis in (0, 1):
        shifts = [
            np.argwhere(b)[:, axis].mean() - np.argwhere(d)[:, axis].mean() for b, d in zip(back, discs, strict=True)
        ]
        assert max(np.abs(shifts)) < 0.5
        assert abs(np.mean(shifts)) < 0.02


def test_padding_repeats_the_edge_or_mirrors_without_it():
    tile = torch.arange(9, dtype=torch.uint8).view(1, 3, 3)
    edge = Geometry(Input.model_construct(pad=(6, 6), pad_mode="edge", channels="grey3", resize=None), tile=(3, 3))
    mirror = Geometry(Input.model_construct(pad=(6, 6), pad_mode="reflect", channels="grey3", resize=None), tile=(3, 3))
    values = [(geometry.images(tile, UNKNOWN)[0, 0] * STD[0] + MEAN[0]) * 255 for geometry in (edge, mirror)]
    assert values[0][2].round().tolist() == [3, 3, 4, 5, 5, 5]
    assert values[1][2].round().tolist() == [4, 3, 4, 5, 4, 3]


def test_the_ramp_runs_from_top_to_bottom():
    geometry = Geometry(Input(resize=64, channels="ramp"), tile=(101, 101))
    channels = geometry.images(torch.randint(0, 255, (1, 101, 101), dtype=torch.uint8), UNKNOWN)
    assert channels[0, 1, 0].unique().tolist() == [0]
    assert channels[0, 1, -1].unique().tolist() == [1]
    assert torch.equal(channels[0, 2], channels[0, 0] * channels[0, 1])


def test_grey_alone_is_the_first_channel_of_the_others():
    tiles = torch.randint(0, 255, (2, 16, 16), dtype=torch.uint8)
    images = {
        name: Geometry(Input(channels=name), tile=(16, 16)).images(tiles, UNKNOWN) for name in ("grey", "grey3", "ramp")
    }
    assert {name: channels.shape[1] for name, channels in images.items()} == {"grey": 1, "grey3": 3, "ramp": 3}
    assert all(Input(channels=name).channel_count == channels.shape[1] for name, channels in images.items())
    assert all(torch.equal(channels[:, :1], images["grey"]) for channels in images.values())


def test_the_ramp_of_a_tile_that_is_not_square_runs_down():
    images = Geometry(Input(pad=[16, 32]), (12, 30)).images(torch.zeros(1, 12, 30, dtype=torch.uint8), UNKNOWN)
    assert images.shape == (1, 3, 16, 32)
    assert torch.equal(images[0, 1, :, 0], torch.linspace(0, 1, 16))


def test_three_colours_are_normalised_each_by_its_own_channel():
    tiles = torch.randint(0, 255, (2, 16, 24, 3), dtype=torch.uint8)
    images = Geometry(Input(channels="rgb"), (16, 24)).images(tiles, UNKNOWN)
    back = torch.stack([images[:, c] * STD[c] + MEAN[c] for c in range(3)], dim=-1) * 255
    assert torch.equal(back.round().to(torch.uint8), tiles)


@pytest.mark.parametrize("channels", ["grey", "grey3", "ramp", "depth"])
def test_inputs_of_grey_take_the_luminance_of_colours(channels):
    colours = np.random.default_rng(0).integers(0, 256, (2, 16, 24, 3), np.uint8)
    grey = np.stack([image_files.grey(image) for image in colours])
    geometry = Geometry(Input(channels=channels), (16, 24))
    of_colours, of_grey = (geometry.images(torch.from_numpy(tiles), torch.ones(2)) for tiles in (colours, grey))
    torch.testing.assert_close(of_colours, of_grey, rtol=0, atol=0.51 / 255 / min(STD))


def test_padding_that_does_not_fit_the_tiles_is_an_error(tiles):
    with pytest.raises(UserError, match="the tiles of 32 x 32 px. pad: expected at least the 32 px"):
        Geometry.of(Input(pad=16), tiles)
    with pytest.raises(UserError, match="pad: expected less than 95 px, since"):
        Geometry.of(Input(pad=[32, 128], pad_mode="reflect"), tiles)


def test_depth_takes_the_ramps_place():
    tiles, depths = torch.randint(0, 255, (2, 16, 16), dtype=torch.uint8), torch.tensor([0.25, 1.0])
    ramp, depth = (Geometry(Input(channels=name), tile=(16, 16)).images(tiles, depths) for name in ("ramp", "depth"))
    assert depth[:, 1].flatten(1).unique(dim=1).tolist() == [[0.25], [1.0]]
    assert torch.equal(depth[:, [0, 2]], ramp[:, [0, 2]])


def test_a_depth_that_is_not_known_is_an_error_where_depth_is_a_channel(tiles):
    table = tiles.table.assign(depth=tiles.table["depth"].where(tiles.table.index > 1))
    some = Tiles(table, tiles.images, tiles.masks)
    assert Geometry.of(Input(channels="ramp"), some).tile == (32, 32)
    with pytest.raises(UserError, match=r"2 of 24 have none \(the first is train000\).*channels: ramp"):
        Geometry.of(Input(channels="depth"), tiles, some)


@pytest.mark.parametrize("shape", [{}, {"pad": 48}, {"resize": 64}])
def test_soft_masks_reach_the_network_as_probabilities(shape):
    geometry = Geometry(Input(**shape), tile=(32, 32))
    masks = torch.arange(256, dtype=torch.uint8).repeat(4).view(1, 32, 32)
    found = geometry.masks(masks, soft=True)
    assert found.shape == (1, 1, *geometry.shape)
    assert (found.min(), found.max()) == (0, 1)
    if not shape:
        assert torch.equal(found[:, 0], masks.float() / 255)


def test_soft_masks_of_zeros_and_ones_are_hard_masks_where_nothing_is_resized():
    geometry, masks = Geometry(Input(pad=48), tile=(32, 32)), (torch.rand(3, 32, 32) > 0.5).to(torch.uint8)
    assert torch.equal(geometry.masks(255 * masks, soft=True), geometry.masks(masks))


@pytest.mark.parametrize("channels", ["grey", "grey3", "ramp", "rgb"])
def test_values_are_those_of_the_bytes_of_a_share_or_as_imagenet_has_them(channels):
    tiles = torch.randint(0, 256, (2, 16, 24, 3), dtype=torch.uint8)
    imagenet, unit, raw = (
        Geometry(Input(channels=channels, values=values), (16, 24)).images(tiles, UNKNOWN)
        for values in ("imagenet", "unit", "raw")
    )
    torch.testing.assert_close(unit[:, 0], raw[:, 0] / 255)
    torch.testing.assert_close(imagenet[:, 0], (unit[:, 0] - MEAN[0]) / STD[0], rtol=0, atol=1e-5)
    assert (imagenet.shape, raw.min() >= 0, 1 < raw.max() <= 255) == (unit.shape, True, True)
    if channels == "ramp":
        assert torch.equal(unit[:, 1], imagenet[:, 1])
        assert torch.equal(unit[:, 2], unit[:, 0] * unit[:, 1])


def test_edges_of_masks_are_cut_or_keep_their_fractions():
    masks = torch.zeros(1, 101, 101, dtype=torch.uint8)
    masks[:, :, 40:] = 1
    cut, fractions = (Geometry(Input(resize=192, mask_edges=edges), (101, 101)) for edges in ("cut", "fractions"))
    assert cut.masks(masks).unique().tolist() == [0, 1]
    assert len(fractions.masks(masks).unique()) == 4  # both pixels of the resized edge lie between two of the tile's
    assert torch.equal((fractions.masks(masks) > 0.5).float(), cut.masks(masks))
    assert torch.equal(cut.masks(255 * masks, soft=True), fractions.masks(255 * masks, soft=True))


# The original ------------------------------------------------------------------------------------------------------

GOLDEN = json.loads(Path("tests/golden/geometry.json").read_text())
MODELS = check_config(yaml.safe_load(Path("workflow_config.yaml").read_text())).models
ROWS, COLUMNS = np.mgrid[:101, :101]
TILES = np.stack(
    [
        (3 * ROWS + 5 * COLUMNS) % 256,
        (ROWS**2 + 7 * COLUMNS**2 + ROWS * COLUMNS) % 251,
        255 * ROWS * COLUMNS // 10000,
    ]
).astype(np.uint8)
MASKS = np.stack([COLUMNS >= 40, (ROWS - 50) ** 2 + (COLUMNS - 60) ** 2 <= 900, (ROWS + 2 * COLUMNS) % 30 < 11]).astype(
    np.uint8
)

each_network = pytest.mark.parametrize(
    ("name", "model"),
    [
        ("resize202_pad256_edge", "stage1_resnet34"),
        ("resize202_pad256_edge", "stage2_resnet34"),
        ("pad128_edge", "stage3_pad128"),
        ("resize192_pad224_reflect", "stage1_resnext50"),
        ("resize192_pad224_reflect", "stage2_resnext50"),
    ],
)


def at_positions(maps):
    """Of each map (..., S, S), the values at 40 positions."""
    side, p = maps.shape[-1], np.arange(40)
    return np.asarray(maps)[..., (41 * p + 3) % side, (67 * p + 9) % side]


@each_network
def test_a_network_of_the_winning_recipe_sees_what_the_originals_saw(name, model):
    golden, geometry = GOLDEN[name], Geometry(MODELS[model].input, (101, 101))
    one = 255 if geometry.settings.values == "raw" else 1
    tolerance = 1e-3 if one == 255 else 2e-6
    images, mirrored = (
        geometry.images(torch.from_numpy(tiles.copy()), UNKNOWN).numpy() for tiles in (TILES, TILES[:, :, ::-1])
    )
    assert geometry.resized == (golden["resized_to"],) * 2
    assert geometry.before == (golden["pad_left_and_top"],) * 2
    assert geometry.shape == (golden["resized_to"] + golden["pad_left_and_top"] + golden["pad_right_and_bottom"],) * 2
    assert images.shape == (3, 3, golden["side"], golden["side"])
    assert golden["pad_mode"].startswith(geometry.settings.pad_mode)
    for tile, image, mirror in zip(golden["tiles"], images, mirrored, strict=True):
        first = "grey" if one == 255 else "channel_0"
        channels = [tile["grey"]] * 3 if one == 255 else [tile[f"channel_{channel}"] for channel in range(3)]
        np.testing.assert_allclose(at_positions(image), channels, rtol=0, atol=tolerance)
        np.testing.assert_allclose(
            at_positions(mirror)[0], tile[f"{first}_of_the_mirrored_tile"], rtol=0, atol=tolerance
        )
        means = [tile["mean"]] * 3 if one == 255 else tile["means"]
        np.testing.assert_allclose(image.mean(axis=(1, 2), dtype=np.float64), means, rtol=0, atol=tolerance)
    ramp = {row: images[0, 1, int(row), 0] for row in golden.get("ramp_at_rows", {})}
    assert ramp == pytest.approx(golden.get("ramp_at_rows", {}), rel=0, abs=2e-6)


@pytest.mark.parametrize(
    ("name", "model"), [("resize202_pad256_edge", "stage1_resnet34"), ("pad128_edge", "stage3_pad128")]
)
def test_the_resnet34s_learn_the_masks_of_the_original(name, model):
    masks = Geometry(MODELS[model].input, (101, 101)).masks(torch.from_numpy(MASKS)).numpy()[:, 0]
    for tile, mask in zip(GOLDEN[name]["tiles"], masks, strict=True):
        assert at_positions(mask).tolist() == tile["mask"]
        assert (mask.sum(), mask.max() == 0) == (tile["mask_pixels"], tile["is_empty_label"])


def test_the_resnext50_learns_the_fractions_of_the_original():
    """The original's masks were resized in 8 bits, so a fraction is that of ours to 1/255."""
    geometry = Geometry(MODELS["stage1_resnext50"].input, (101, 101))
    masks = geometry.masks(torch.from_numpy(MASKS)).numpy()[:, 0]
    for tile, mask in zip(GOLDEN["resize192_pad224_reflect"]["tiles"], masks, strict=True):
        np.testing.assert_allclose(at_positions(mask), tile["mask"], rtol=0, atol=1 / 255)
        in_8_bits = np.round(255 * mask)
        assert ((in_8_bits > 0) & (in_8_bits < 255)).sum() == pytest.approx(tile["mask_pixels_between_0_and_1"], abs=20)
        assert (mask > 0.5).sum() == pytest.approx(tile["mask_pixels_above_0.5"], abs=5)
        assert mask.sum(dtype=np.float64) == pytest.approx(tile["mask_sum"], abs=4)


@each_network
def test_predictions_come_back_as_those_of_the_original(name, model):
    golden, geometry = GOLDEN[name]["way_back"], Geometry(MODELS[model].input, (101, 101))
    n = np.arange(3).reshape(3, 1, 1, 1)
    i, j = np.mgrid[: geometry.shape[0], : geometry.shape[1]]
    plain = 4 * np.sin(0.05 * i + 0.3 * n) * np.cos(0.04 * j)
    flipped = 4 * np.cos(0.03 * i + 0.2 * n) * np.sin(0.06 * j + 0.5)
    plain, flipped = (geometry.probabilities(torch.from_numpy(x.astype(np.float32))) for x in (plain, flipped))
    mean = ((plain + flipped.flip(2)) / 2).numpy()
    np.testing.assert_allclose(at_positions(mean), golden["values"], rtol=0, atol=2e-6)
    np.testing.assert_allclose(mean.mean(axis=(1, 2), dtype=np.float64), golden["means"], rtol=0, atol=2e-6)
    for values, stored in zip(golden["values"], golden.get("as_stored_in_8_bits", []), strict=False):
        assert np.floor(255 * np.array(values)).tolist() == stored
