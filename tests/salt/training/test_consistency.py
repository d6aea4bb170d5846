"""Consistency training against a twin that computes its loss by hand, and its views against their definition."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from salt.data.tiles import Tiles
from salt.training import consistency, fit
from salt.training.augment import augment, create_augmentation
from salt.training.averaging import WeightAverage
from salt.training.consistency import ConsistencyLoss, UnlabelledTiles, ramp_up, unrecorded_statistics
from salt.training.loader import stable_seed
from salt.training.mixup import mix
from schemas.augmentation import PRESETS, CoarseDropout, Contrast
from schemas.unlabelled import Consistency
from tests.easy_tiles import easy_tiles
from tests.salt.training.test_fit import AVERAGES, consistent, phase, task

STRONG = (Contrast(p=1, limit=0.5), CoarseDropout(p=1, holes=2, size=0.4))


@pytest.fixture(scope="module")
def unlabelled():
    return easy_tiles(11, split="test", seed=1)


def consistency_loss(tiles, unlabelled, workers=0, start=(0, 0), average=None, **more):
    """The loss of a network that has not been trained, with an average that lags behind it."""
    given = phase(consistency=consistent(**more), average=AVERAGES[0])
    training = task(tiles, [given], unlabelled=unlabelled, workers=workers, pad=40)
    lagging = average or WeightAverage(training.network, given.average)
    if average is None:
        lagging.after_step()
        with torch.no_grad():
            for weight in training.network.parameters():
                weight.add_(0.1 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(0)))
    return training, lagging, ConsistencyLoss.of(training, given, lagging, 3, seed=7, start=start)


def test_views_are_functions_of_seed_and_draw_and_the_strong_one_continues_from_the_weak_one(unlabelled):
    pipelines = create_augmentation(PRESETS["write_up"]), create_augmentation(STRONG)
    views, seed = UnlabelledTiles(unlabelled, *pipelines, seed=5), stable_seed(5, 2, 1, 6)
    weak, strong, depth = views[2, 1, 6]
    no_mask = np.zeros((32, 32), np.uint8)
    assert np.array_equal(weak, augment(pipelines[0], unlabelled.images[6], no_mask, seed)[0])
    assert np.array_equal(strong, augment(pipelines[1], weak, no_mask, stable_seed(seed))[0])
    assert depth == unlabelled.depths[6]
    assert not np.array_equal(weak, strong)
    assert not np.array_equal(weak, views[2, 0, 6][0])


@pytest.mark.slow
def test_views_do_not_depend_on_the_number_of_workers_or_on_where_a_training_resumes(tiles, unlabelled):
    whole = list(consistency_loss(tiles, unlabelled)[2].batches)
    assert len(whole) == 5 * 3
    for workers, start, first in ((2, (0, 0), 0), (1, (1, 2), 5)):
        part = list(consistency_loss(tiles, unlabelled, workers, start)[2].batches)
        assert len(part) == len(whole) - first
        for found, expected in zip(part, whole[first:], strict=True):
            assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


def gradients(network):
    return [weight.grad.clone() for weight in network.parameters() if weight.grad is not None]


@pytest.mark.parametrize("teacher", ["average", "self"])
@pytest.mark.parametrize("masks", ["hard", "soft"])
@pytest.mark.parametrize("mixing", [None, {"name": "cutmix", "p": 1}, {"name": "mixup", "p": 1}])
def test_the_loss_is_cross_entropy_with_the_teachers_sure_pixels(tiles, unlabelled, teacher, masks, mixing):
    low, high = {"average": (0.385, 0.387), "self": (0.46, 0.53)}[teacher]  # some pixels of each are in between
    more = {"teacher": teacher, "masks": masks, "mix": mixing, "low": low, "high": high, "weight": 3.0, "ramp": 0.5}
    training, average, losses = consistency_loss(tiles, unlabelled, **more)
    found = losses.loss(0.25, seed=9)
    found.backward()
    network, ours = training.network, gradients(training.network)

    network.zero_grad()
    views = next(consistency_loss(tiles, unlabelled, average=average, **more)[2].batches)
    with torch.no_grad():
        predictor = (average.network if teacher == "average" else network).eval()
        p = torch.sigmoid(predictor(training.inputs(views.weak, views.depths))["mask"][:, 0, 4:36, 4:36])
    mixed = mix(views.strong, p, losses.settings.mix, stable_seed(9))
    logits = network.train()(training.inputs(mixed.images, views.depths))["mask"]
    total, sure = torch.zeros(()), 0
    for share, part in mixed.masks:
        target = F.pad(part[:, None], (4, 4, 4, 4), mode="replicate")
        entropy = F.binary_cross_entropy_with_logits(
            logits, target if masks == "soft" else (target > 0.5).float(), reduction="none"
        )
        of_interest = (target < low) | (target > high)
        sure += of_interest.sum().item()
        total = total + share * entropy[of_interest].sum() / entropy.numel()
    expected = 3 * math.exp(-5 * 0.25) * total
    expected.backward()

    assert 0 < sure < len(mixed.masks) * logits.numel()
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(ours, gradients(network), strict=True))


def test_in_half_precision_all_weights_learn_as_well(tiles, unlabelled, monkeypatch):
    monkeypatch.setattr(consistency, "autocast", lambda device: torch.autocast(device.type, torch.bfloat16))
    training, _, losses = consistency_loss(tiles, unlabelled, teacher="self")
    loss = losses.loss(1, seed=9)
    loss.backward()
    assert loss.dtype == torch.float32
    assert all(weight.grad.any() for name, weight in training.network.named_parameters() if name.endswith("weight"))


def test_no_gradient_reaches_the_average(tiles, unlabelled):
    _, average, losses = consistency_loss(tiles, unlabelled, teacher="average")
    losses.loss(1, seed=9).backward()
    assert average.network is not average.trained
    assert gradients(average.network) == []
    assert gradients(average.trained) != []


def test_an_unsure_teacher_teaches_nothing(tiles, unlabelled):
    _, _, losses = consistency_loss(tiles, unlabelled, low=0.0, high=1.0)
    assert losses.loss(1, seed=9).item() == 0


def test_statistics_of_strong_views_are_used_and_not_recorded(tiles, unlabelled):
    training, _, losses = consistency_loss(tiles, unlabelled)
    before = {name: value.clone() for name, value in training.network.named_buffers()}
    losses.loss(1, seed=9)
    assert before
    assert all(torch.equal(value, before[name]) for name, value in training.network.named_buffers())
    norm, x = torch.nn.BatchNorm2d(2), torch.randn(3, 2, 4, 4) + 5
    with unrecorded_statistics(norm):
        assert norm(x).mean().item() == pytest.approx(0, abs=1e-5)
    norm(x)
    assert norm.num_batches_tracked == 1


def test_the_weight_rises_to_one():
    assert ramp_up(0, 0.3) == pytest.approx(math.exp(-5))
    assert ramp_up(0.15, 0.3) == pytest.approx(math.exp(-1.25))
    assert ramp_up(0.3, 0.3) == ramp_up(1, 0.3) == ramp_up(0, 0) == 1


@pytest.mark.parametrize("teacher", ["average", "self"])
def test_unlabelled_tiles_change_what_is_learned_and_all_stays_finite(tiles, teacher):
    few, many = tiles.select(np.arange(1, 7)), easy_tiles(40, split="test", seed=1)
    many = many.select(np.arange(1, 40))
    runs = []
    for given in (None, consistent(teacher=teacher, ramp=0.2)):
        phases = [phase({"name": "cosine", "cycles": [8]}, consistency=given, average=AVERAGES[0])]
        runs.append(fit.train(task(few, phases, unlabelled=many if given else None)))
    plain, taught = (run.history for run in runs)
    assert np.isfinite(taught[["loss", "held_out_loss", "score"]]).all(axis=None)
    assert (taught["loss"] != plain["loss"]).all()
    assert runs[1].timing.tiles == 2.5 * runs[0].timing.tiles
    assert all(value.isfinite().all() for value in runs[1].best.values())


def test_three_colours_have_views_too(tiles, unlabelled):
    def coloured(some):
        return Tiles(some.table, np.repeat(some.images[..., None], 3, axis=3), some.masks)

    given = phase(consistency=consistent(mix={"name": "cutmix", "p": 1}), average=AVERAGES[0])
    training = task(coloured(tiles), [given], unlabelled=coloured(unlabelled), channels="rgb")
    average = WeightAverage(training.network, given.average)
    assert ConsistencyLoss.of(training, given, average, 3, seed=7, start=(0, 0)).loss(1, seed=9).isfinite()


def test_a_phase_without_it_has_no_loss(tiles):
    training = task(tiles, [phase()])
    average = WeightAverage(training.network, None)
    assert ConsistencyLoss.of(training, phase(), average, 3, seed=7, start=(0, 0)) is None
    assert Consistency.model_validate(consistent()).ramp == 0.3
