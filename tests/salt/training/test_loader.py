import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from salt.training.loader import EpochSampler, create_loader, stable_seed
from schemas.augmentation import PRESETS
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


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_batches_do_not_depend_on_the_number_of_workers(workers):
    tiles = easy_tiles(10)
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
