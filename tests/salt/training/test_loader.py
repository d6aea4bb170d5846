import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from salt.data.tiles import Tiles, concatenate
from salt.training.loader import EpochSampler, QuotaSampler, create_loader, create_sampler, stable_seed
from schemas.augmentation import PRESETS
from schemas.phases import Phase
from tests.easy_tiles import easy_tiles


@given(st.integers(1, 60), st.integers(2, 20), st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_an_epoch_draws_each_tile_once_a_pass_up_to_the_last_full_batch(tiles, batch, passes, seed):
    sampler = EpochSampler(tiles, tiles, batch, epochs=2, passes=passes, seed=seed)
    batches = sampler.epoch(1)
    draws = [draw for drawn in batches for draw in drawn]
    assert len(batches) == sampler.batches_per_epoch
    assert len(set(draws)) == len(draws) > 0
    assert {epoch for epoch, _, _ in draws} == {1}
    if tiles * passes >= batch:
        assert {len(drawn) for drawn in batches} == {batch}
        assert tiles * passes - len(draws) < batch


SIZES = st.integers(1, 60)


@given(SIZES, SIZES, st.integers(2, 20), st.integers(1, 3))
def test_an_epoch_takes_as_many_steps_as_one_over_so_many_tiles_and_draws_them_evenly(tiles, draws, batch, passes):
    sampler = EpochSampler(tiles, draws, batch, epochs=2, passes=passes, seed=5)
    like = EpochSampler(draws, draws, batch, epochs=2, passes=passes, seed=5)
    assert [len(drawn) for drawn in sampler.epoch(1)] == [len(drawn) for drawn in like.epoch(1)]
    assert sampler.batches_per_epoch == like.batches_per_epoch
    drawn = [draw for batch_draws in sampler.epoch(1) for draw in batch_draws]
    assert len(set(drawn)) == len(drawn)  # a tile that is drawn again is augmented anew
    counts = np.bincount([row for _, _, row in drawn], minlength=tiles)
    assert len(counts) == tiles
    assert counts.max() - counts.min() <= 1


def permutations(tiles, batch, epoch, passes, seed):
    """The batches of an epoch whose passes are permutations."""
    draws = [
        (epoch, turn, int(row))
        for turn in range(passes)
        for row in np.random.default_rng([seed, epoch, turn]).permutation(tiles)
    ]
    return [draws[step * batch :][:batch] for step in range(max(1, tiles * passes // batch))]


@given(SIZES, st.integers(2, 20), st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_with_as_many_draws_as_tiles_each_pass_is_one_permutation(tiles, batch, passes, seed):
    sampler = EpochSampler(tiles, tiles, batch, epochs=2, passes=passes, seed=seed)
    assert list(sampler) == [drawn for epoch in range(2) for drawn in permutations(tiles, batch, epoch, passes, seed)]


def test_order_depends_on_seed_and_epoch_alone():
    sampler = EpochSampler(20, 20, 4, epochs=3, passes=1, seed=5)
    assert list(sampler) == list(EpochSampler(20, 20, 4, epochs=3, passes=1, seed=5))
    assert sampler.epoch(2) == list(sampler)[-5:]
    rows = [[row for drawn in sampler.epoch(epoch) for _, _, row in drawn] for epoch in range(2)]
    assert rows[0] != rows[1]


@given(SIZES, SIZES, st.integers(2, 20), st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_with_replacement_an_epoch_has_the_same_steps_and_every_draw_is_augmented_on_its_own(
    tiles, draws, batch, passes, seed
):
    plain, drawn = (
        EpochSampler(tiles, draws, batch, epochs=2, passes=passes, seed=seed, with_replacement=choice)
        for choice in (False, True)
    )
    assert [len(batch) for batch in drawn.epoch(1)] == [len(batch) for batch in plain.epoch(1)]
    of_epoch = [draw for batch in drawn.epoch(1) for draw in batch]
    assert len(set(of_epoch)) == len(of_epoch)
    assert all(epoch == 1 and 0 <= row < tiles for epoch, _, row in of_epoch)


def test_with_replacement_all_tiles_are_as_likely_in_any_place_and_a_third_is_left_out_of_a_pass():
    sampler = EpochSampler(50, 50, 10, epochs=200, passes=1, seed=5, with_replacement=True)
    epochs = np.array([[row for batch in sampler.epoch(epoch) for _, _, row in batch] for epoch in range(200)])
    times = np.bincount(epochs.flatten(), minlength=50)
    assert (abs(times - 200) < 5 * 200**0.5).all()
    drawn = np.mean([len(set(rows)) for rows in epochs.tolist()]) / 50
    assert drawn == pytest.approx(1 - np.exp(-1), abs=0.02)


@pytest.mark.parametrize("kind", ["all", "of two kinds"])
def test_batches_with_replacement_are_the_same_from_any_start(kind):
    given = {"epochs": 3, "seed": 5, "with_replacement": True}
    if kind == "all":
        whole, rest = (EpochSampler(20, 20, 5, passes=1, **given, start=start) for start in ((0, 0), (1, 2)))
    else:
        whole, rest = (QuotaSampler(((5, 2), (9, 3)), 4, **given, start=start) for start in ((0, 0), (1, 2)))
        assert {sum(row < 5 for _, _, row in batch) for batch in whole} == {2}
    assert list(rest) == list(whole)[6:]
    assert whole.epoch(0) != whole.epoch(1)


kinds = st.lists(st.tuples(st.integers(1, 20), st.integers(1, 6)), min_size=1, max_size=3).map(tuple)


@given(kinds, st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_each_batch_holds_its_quota_of_each_kind_and_each_kind_is_drawn_evenly(kinds, batches, seed):
    sampler = QuotaSampler(kinds, batches, epochs=2, seed=seed)
    drawn = sampler.epoch(1)
    assert len(drawn) == batches
    assert len({draw for batch in drawn for draw in batch}) == sum(map(len, drawn))
    first = 0
    for tiles, quota in kinds:
        rows = [[row for _, _, row in batch if first <= row < first + tiles] for batch in drawn]
        assert [len(some) for some in rows] == [quota] * batches
        times = np.bincount(np.concatenate(rows) - first, minlength=tiles)
        assert times.max() - times.min() <= 1
        first += tiles


def test_quotas_are_drawn_in_an_order_of_seed_and_epoch_alone_from_any_start():
    whole = list(QuotaSampler(((5, 2), (9, 3)), 4, epochs=3, seed=5))
    assert list(QuotaSampler(((5, 2), (9, 3)), 4, epochs=3, seed=5, start=(1, 2))) == whole[6:]
    rows = [[row for _, _, row in batch] for batch in whole]
    assert rows[:4] != rows[4:8] != rows[8:]


def phase(batch, **more):
    given = more | {
        "loss": "bce",
        "optimizer": {"name": "sgd", "lr": 1},
        "schedule": {"name": "cosine", "cycles": [2, 1]},
    }
    return Phase.model_validate(given | {"batch": batch, "passes_per_epoch": 2})


@pytest.mark.parametrize(("share", "labelled"), [(0.5, 3), (0.01, 1), (0.99, 5), (0.8, 5), (0.2, 1)])
def test_a_share_of_each_batch_is_labelled_and_an_epoch_is_as_long_as_without(share, labelled):
    pseudo = easy_tiles(20)
    both = concatenate(easy_tiles(7), Tiles(pseudo.table.assign(split="pseudo"), *pseudo.arrays))
    plain, shared = (create_sampler(both, 27, phase(6), given, 3, (0, 0)) for given in (None, share))
    assert plain == EpochSampler(27, 27, 6, 3, 2, 3)
    assert shared.batches_per_epoch == plain.batches_per_epoch == 9
    assert {sum(row < 7 for _, _, row in batch) for batch in shared} == {labelled}
    assert {len(batch) for batch in shared} == {6}
    assert len(list(shared)) == len(list(plain)) == 27


@pytest.mark.parametrize("share", [None, 0.5])
def test_a_phase_says_whether_tiles_are_drawn_with_replacement(share):
    pseudo = easy_tiles(20)
    both = concatenate(easy_tiles(7), Tiles(pseudo.table.assign(split="pseudo"), *pseudo.arrays))
    for choice in (False, True):
        assert create_sampler(both, 27, phase(6, with_replacement=choice), share, 3, (0, 0)).with_replacement == choice


def test_tiles_of_one_kind_are_alike_whatever_the_share():
    assert create_sampler(easy_tiles(7), 7, phase(6), 0.5, 3, (1, 2)) == EpochSampler(7, 7, 6, 3, 2, 3, (1, 2))


def weighted(tiles):
    """The same tiles, each with a weight of its own, but for the first."""
    return Tiles(tiles.table.assign(weight=[np.nan, *np.linspace(0.1, 0.9, len(tiles) - 1)]), *tiles.arrays)


def test_batches_carry_weights_only_if_tiles_have_them():
    sampler = EpochSampler(10, 10, 4, epochs=1, passes=1, seed=1)
    for tiles in (easy_tiles(10), weighted(easy_tiles(10))):
        batch, *_ = create_loader(tiles, (), sampler, 0, pin_memory=False)
        rows = [row for _, _, row in sampler.epoch(0)[0]]
        assert (batch.weights is None) == (tiles.weights is None)
        if tiles.weights is not None:
            assert batch.weights.tolist() == tiles.weights[rows].tolist()
            assert tiles.weights[0] == 1
    assert concatenate(easy_tiles(2), weighted(easy_tiles(2))).weights.tolist() == pytest.approx([1, 1, 1, 0.1])


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_batches_do_not_depend_on_the_number_of_workers(workers):
    tiles = weighted(easy_tiles(10))
    sampler = EpochSampler(10, 10, 4, epochs=2, passes=1, seed=1)
    ours = list(create_loader(tiles, PRESETS["resnet34_author"], sampler, workers, pin_memory=False))
    alone = list(create_loader(tiles, PRESETS["resnet34_author"], sampler, 0, pin_memory=False))
    assert len(ours) == len(alone) == 4
    for batch, expected in zip(ours, alone, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(batch, expected, strict=True))
    assert alone[0].images.dtype == alone[0].masks.dtype == torch.uint8
    assert alone[0].images.shape == alone[0].masks.shape == (4, 32, 32)
    rows = [row for _, _, row in sampler.epoch(0)[0]]
    assert alone[0].depths.tolist() == tiles.depths[rows].tolist()


def test_seeds_are_stable_and_unrelated():
    assert stable_seed(13, 0) == 50175725
    assert len({stable_seed(13, k) for k in range(1000)}) == 1000
    assert np.std([stable_seed(13, k) / 2**32 for k in range(1000)]) == pytest.approx(12**-0.5, rel=0.1)


ENDS_WHILE_LOADING = """
import sys
from salt.training.loader import EpochSampler, create_loader
from tests.easy_tiles import easy_tiles
batches = iter(create_loader(easy_tiles(8), (), EpochSampler(8, 8, 2, 50, 1, 3), workers=2, pin_memory=False))
next(batches)
sys.exit("an error")
"""


def test_a_program_that_ends_with_an_error_does_not_wait_for_its_workers():
    command = [sys.executable, "-c", ENDS_WHILE_LOADING]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (1, "an error\n")
