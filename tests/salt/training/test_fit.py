import contextlib
import dataclasses
import itertools
import math
import signal
import subprocess
import sys
import time
from typing import ClassVar

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from models.registry import create_network
from salt.data.network_input import Geometry
from salt.data.tiles import Tiles
from salt.runtime.signals import Interrupted
from salt.training import fit
from salt.training.checkpoints import Checkpoints
from salt.training.task import Task
from schemas.augmentation import PRESETS, Mix, ShiftScale
from schemas.config import Compute
from schemas.errors import UserError
from schemas.phases import Phase
from schemas.snapshots import Every
from schemas.training import TrainSettings
from tests.easy_tiles import easy_tiles

AUGMENT = (*PRESETS["write_up"][:-1], ShiftScale(p=0.7, shift=0.1625, scale=0.1))  # small tiles learn little zoomed
COSINE = {"name": "cosine", "cycles": [2, 3]}
PLATEAU = {"name": "plateau", "epochs": 6, "factor": 0.5, "patience": 1, "stop_after": 2}


def phase(schedule=COSINE, loss="bce_dice", lr=0.01, **more):
    optimizer = {"name": "adamw", "lr": lr}
    return Phase.model_validate({"loss": loss, "optimizer": optimizer, "schedule": schedule, "batch": 4, **more})


def consistent(**more):
    """Settings of consistency training."""
    strong = [{"name": "contrast", "p": 1, "limit": 0.3}, {"name": "coarse_dropout", "p": 1, "holes": 2, "size": 0.4}]
    return {"teacher": "average", "batch": 6, "low": 0.5, "high": 0.5, "augment": strong} | more


def task(
    tiles,
    phases,
    held_out=True,
    seed=3,
    workers=0,
    mix=None,
    share=None,
    unlabelled=None,
    channels="ramp",
    pad=None,
    draws=None,
    **compute,
):
    torch.manual_seed(seed)
    network = {"name": "unet_plain", "width": 4, "levels": 3}
    shape = {"channels": channels, "pad": pad}
    given = {"seed": seed, "network": network, "input": shape, "augment": AUGMENT}
    settings = TrainSettings.model_validate(given | {"mix": mix, "labelled_share": share, "phases": phases})
    return Task(
        create_network(settings.network),
        Geometry.of(settings.input, tiles),
        tiles,
        len(tiles) if draws is None else draws,
        tiles if held_out else None,
        settings,
        Compute(device="cpu", threads=1, loader_workers=workers, **compute),
        torch.device("cpu"),
        seed,
        unlabelled,
    )


def train(tiles, phases, **options):
    return fit.train(task(tiles, phases, **options))


def snapshots(fitted):
    return {kept.name: state for kept, state in fitted.snapshots.items()}


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


@pytest.fixture(scope="module")
def trained(tiles):
    return train(tiles, [phase(PLATEAU), phase(COSINE, loss="lovasz_elu")])


def test_it_learns(trained):
    scores = trained.history["score"]
    assert scores.iloc[-1] > 0.6 > scores.iloc[0]


def test_each_plateau_and_each_cycle_leaves_a_snapshot(trained):
    assert list(snapshots(trained)) == ["phase1", "phase2_cycle1", "phase2_cycle2"]


def test_the_history_has_a_row_an_epoch(trained):
    table = trained.history
    assert table.columns.tolist() == ["phase", "cycle", "epoch", "lr", "loss", "held_out_loss", "score"]
    second = table[table["phase"] == 2]
    assert second["cycle"].tolist() == [1, 1, 2, 2, 2]
    assert second["epoch"].tolist() == [1, 2, 3, 4, 5]
    assert second["lr"].iloc[[0, 2]].tolist() == [0.01, 0.01]


def test_a_snapshot_is_the_best_of_its_cycle_and_the_network_ends_with_the_best_of_all(trained):
    table, kept = trained.history, snapshots(trained)
    by_cycle = table[table["phase"] == 2].groupby("cycle")["score"].max()
    best = kept[f"phase2_cycle{by_cycle.idxmax()}"]
    assert same(trained.task.network.state_dict(), best)
    assert same(trained.best, best)
    assert not same(kept["phase2_cycle1"], kept["phase2_cycle2"])


@pytest.mark.filterwarnings("ignore:This DataLoader will create 4 worker processes")  # on machines with fewer cores
def test_the_same_seed_trains_the_same_weights_whatever_the_workers(tiles):
    runs = [train(tiles, [phase()], workers=workers) for workers in (0, 0, 1, 4)]
    assert all(equal(run, runs[0]) for run in runs[1:])
    other = train(tiles, [phase()], seed=4)
    assert not other.history.equals(runs[0].history)


def test_without_held_out_tiles_the_latest_weights_count(tiles):
    fitted = train(tiles, [phase()], held_out=False)
    assert fitted.history[["score", "held_out_loss"]].isna().all(axis=None)
    assert same(fitted.task.network.state_dict(), snapshots(fitted)["phase1_cycle2"])


def test_passes_make_an_epoch_longer(tiles):
    once, twice = (train(tiles, [phase({"name": "cosine", "cycles": [2]}, passes_per_epoch=n)]) for n in (1, 2))
    assert len(once.history) == len(twice.history) == 2
    assert snapshots(once)["phase1_cycle1"]["down.0.1.num_batches_tracked"] == 12
    assert snapshots(twice)["phase1_cycle1"]["down.0.1.num_batches_tracked"] == 24


AVERAGES = [{"name": "ema", "decay": 0.9}, {"name": "swa", "start": 2}]


@pytest.mark.parametrize("average", AVERAGES, ids=["ema", "swa"])
def test_an_average_is_what_is_validated_kept_and_carried_on(tiles, average):
    once = {"name": "cosine", "cycles": [3]}
    plain, averaged = train(tiles, [phase(once)]), train(tiles, [phase(once, average=average)])
    assert averaged.history["loss"].equals(plain.history["loss"])  # the steps themselves are the same
    ends = [fitted.history.iloc[-1] for fitted in (plain, averaged)]
    assert ends[0]["held_out_loss"] != ends[1]["held_out_loss"]
    assert ends[1]["score"] > 0.6
    best = snapshots(averaged)["phase1_cycle1"]
    assert not same(best, snapshots(plain)["phase1_cycle1"])
    assert same(averaged.task.network.state_dict(), best)


LONG = {"factor": 0.5, "patience": 9, "stop_after": 9}


def test_a_mean_of_weights_is_the_mean_of_the_epochs_ends(tiles):
    ends = [train(tiles, [phase({"name": "plateau", **LONG, "epochs": n})], held_out=False).best for n in (1, 2)]
    swa = {"name": "swa", "start": 1}
    mean = train(tiles, [phase({"name": "plateau", **LONG, "epochs": 2}, average=swa)], held_out=False).best
    found, parts = mean["head.weight"], [end["head.weight"] for end in ends]
    assert torch.allclose(found, (parts[0] + parts[1]) / 2, atol=1e-7)


@pytest.mark.parametrize("name", ["mixup", "cutmix"])
def test_mixed_batches_train_as_well(tiles, name):
    plain = train(tiles, [phase()]).history
    mixed, again = (train(tiles, [phase()], mix=Mix(name=name, p=1)).history for _ in range(2))
    assert mixed.equals(again)
    assert not mixed.equals(plain)
    assert mixed["score"].iloc[-1] > 0.5


def test_depth_as_a_channel_tells_tiles_apart_that_look_alike(tiles):
    """Tiles of noise whose lower half of depths is full of salt: only the depth says which."""
    deep = (tiles.depths > 0.5).astype(np.uint8)[:, None, None]
    noise = np.random.default_rng(0).integers(0, 255, tiles.images.shape, dtype=np.uint8)
    alike = Tiles(tiles.table, noise, np.broadcast_to(deep, noise.shape).copy())
    scores = {}
    for channels in ("depth", "ramp"):
        fitted = train(alike, [phase({"name": "cosine", "cycles": [8]})], channels=channels)
        scores[channels] = fitted.history["score"].max()
    assert scores["depth"] > 0.9 > 0.7 > scores["ramp"]


@pytest.mark.parametrize("pad", [None, 40])
def test_soft_masks_of_sure_tiles_train_what_their_hard_masks_do(tiles, pad):
    hard, soft = (fit.train(task(some, [phase()], pad=pad)) for some in (tiles, tiles.softened))
    assert hard.history["loss"].equals(soft.history["loss"])
    assert same(hard.best, soft.best)


def test_tiles_without_weight_teach_nothing(tiles):
    """Half of the tiles have wrong masks."""
    wrong = np.arange(24)[:, None, None] % 2 == 0
    table, masks = tiles.table, np.where(wrong, 1 - tiles.masks, tiles.masks).astype(np.uint8)
    scores = []
    for weight in (1, 0):
        table = table.assign(weight=np.where(wrong[:, 0, 0], weight, 1.0))
        given = task(Tiles(table, tiles.images, masks), [phase({"name": "cosine", "cycles": [6]})])
        scores.append(fit.train(dataclasses.replace(given, held_out=tiles)).history["score"].max())
    assert scores[1] > 0.5 > 0.3 > scores[0]


def test_unsure_masks_teach_to_be_unsure(tiles):
    unsure = Tiles(tiles.table, tiles.images, (tiles.masks * np.uint8(102) + np.uint8(51)), soft=True)  # 0.2 and 0.6
    settings = task(unsure, [phase({"name": "cosine", "cycles": [12]}, loss="bce")], held_out=False)
    fitted = fit.train(settings)
    network = fitted.task.network.eval()
    with torch.no_grad():
        outputs = network(settings.inputs(torch.from_numpy(tiles.images[1:]), torch.from_numpy(tiles.depths[1:])))
    found = settings.geometry.probabilities(outputs["mask"]).numpy()
    masks = tiles.masks[1:] > 0
    assert np.median(found[masks]) == pytest.approx(0.6, abs=0.15)
    assert np.median(found[~masks]) == pytest.approx(0.2, abs=0.15)


def test_a_loss_that_is_no_number_stops_with_advice(tiles):
    with pytest.raises(UserError, match="Lower the learning rate, now 1e\\+30"):
        train(tiles, [phase(lr=1e30)])


class Remembering(Checkpoints):
    """Checkpoints that remember the first: that of the end of the first cycle, if no other is due."""

    first = None

    def save(self, facts, states):
        copies = {name: {key: value.clone() for key, value in state.items()} for name, state in states.items()}
        self.first = self.first or copies
        super().save(facts, states)


RESTARTS = [(weights, optimizer) for weights in ("last", "best") for optimizer in ("kept", "fresh")]


@pytest.mark.parametrize(("weights", "optimizer"), RESTARTS)
@pytest.mark.parametrize(
    ("keep", "average"),
    [("best_of_cycle", None), ("last", None), ("best_of_cycle", AVERAGES[0]), ("last", AVERAGES[1])],
    ids=["", "last", "ema", "swa and last"],
)
def test_a_cycle_starts_from_the_weights_and_the_optimizer_that_its_schedule_names(
    tiles, tmp_path, monkeypatch, weights, optimizer, keep, average
):
    scores = [0.3, 0.6, 0.5, 0.9]
    monkeypatch.setattr(fit.PhaseTraining, "_validate", lambda self: (0.1, scores[len(self.state.scores)]))
    schedule = {"name": "cosine", "cycles": [3, 1], "restart": {"weights": weights, "optimizer": optimizer}}
    given = phase(schedule, keep={"name": keep}, average=average)
    every = train(tiles, [given.model_copy(update={"keep": Every(name="every", epochs=1)})])
    with Remembering(tmp_path, "mine") as checkpoints:
        fit.train(task(tiles, [given]), checkpoints)
    started, kept = checkpoints.first, snapshots(every)
    if weights == "best":
        assert same(started["network"], kept["phase1_epoch2"])
    elif average is None:
        assert same(started["network"], kept["phase1_epoch3"])
    else:
        assert not any(same(started["network"], state) for state in kept.values())
    assert bool(started["optimizer"]) == (optimizer == "kept")
    if average:
        goes_on = weights == "last" or average["name"] == "swa"
        assert bool(started["average"]["n_averaged"] > 0) == goes_on


def test_restarts_change_nothing_before_the_second_cycle_and_nothing_in_a_plateau(tiles):
    plain, restarting = (
        train(tiles, [phase({"name": "cosine", "cycles": [2, 1], **more})]).history
        for more in ({}, {"restart": {"weights": "best", "optimizer": "fresh"}})
    )
    assert plain[:2].equals(restarting[:2])
    assert not plain[2:].equals(restarting[2:])


@pytest.mark.parametrize("interval", ["step", "epoch"])
def test_the_steps_of_an_epoch_have_the_rates_of_the_schedules_interval(tiles, monkeypatch, interval):
    rates = []
    monkeypatch.setattr(fit, "set_learning_rate", lambda _, lr: rates.append(lr))
    train(tiles, [phase({"name": "cosine", "cycles": [3], "interval": interval})])
    assert len(rates) == 18
    assert len(set(rates)) == (18 if interval == "step" else 3)
    assert len(set(rates[::6])) == 3


# Interrupted and continued ------------------------------------------------------------------------------------------

SGD = {"optimizer": {"name": "sgd", "lr": 0.01}}
FROM_BEST = {"weights": "best", "optimizer": "fresh"}
EVERY_KIND = {  # trainings that need all that a checkpoint holds
    "plateau, then cosine": [phase(PLATEAU), phase(COSINE, loss="lovasz_elu")],
    "momentum and an exponential average": [
        phase({"name": "triangular2", "cycles": [2, 2]}, **SGD, average=AVERAGES[0])
    ],
    "a mean of epochs": [phase({"name": "cosine", "cycles": [4]}, average={"name": "swa", "start": 2})],
    "mixing, two passes": [phase({"name": "cosine", "cycles": [1, 1]}, passes_per_epoch=2)],
    "the best epochs": [phase(COSINE, keep={"name": "best", "count": 2}), phase(keep={"name": "best", "count": 9})],
    "the last epochs": [phase(COSINE, keep={"name": "last"}), phase({"name": "cosine", "cycles": [2]})],
    "a share of labels": [phase({"name": "cosine", "cycles": [1, 2]})],
    "weights of tiles": [phase({"name": "cosine", "cycles": [1, 2]}, loss={"bce_dice": 1, "lovasz_elu": 1})],
    "consistency with a mean teacher, then with itself": [
        phase({"name": "cosine", "cycles": [1, 1]}, average=AVERAGES[0], consistency=consistent(masks="soft")),
        phase({"name": "cosine", "cycles": [1]}, consistency=consistent(teacher="self", mix={"name": "cutmix"})),
    ],
    "cycles from the best weights with a fresh optimizer": [
        phase({"name": "cosine", "cycles": [1, 2, 1], "restart": FROM_BEST}, **SGD),
        phase({"name": "cosine", "cycles": [2, 1], "restart": FROM_BEST}, keep={"name": "last"}),
    ],
    "cycles from the last weights with a fresh optimizer, with replacement": [
        phase(
            {"name": "cosine", "cycles": [1, 2], "interval": "epoch", "restart": {"optimizer": "fresh"}},
            **SGD,
            with_replacement=True,
        )
    ],
    "cycles from the best average": [
        phase({"name": "cosine", "cycles": [1, 2], "restart": FROM_BEST}, average=AVERAGES[0]),
        phase({"name": "triangular2", "cycles": [1, 2, 1], "restart": FROM_BEST}, average=AVERAGES[1]),
    ],
    "consistency with a mean teacher that restarts": [
        phase(
            {"name": "cosine", "cycles": [1, 1], "restart": FROM_BEST}, average=AVERAGES[0], consistency=consistent()
        ),
    ],
    "a share of labels, with replacement": [phase({"name": "cosine", "cycles": [1, 2]}, with_replacement=True)],
    "parts of batches, weights of tiles": [
        phase({"name": "cosine", "cycles": [1, 2]}, average=AVERAGES[0], batch=5, accumulate=2)
    ],
    "every other epoch": [phase(COSINE, keep={"name": "every", "epochs": 2})],
}


def weighted(tiles, seed=0):
    """The same tiles with random weights."""
    table = tiles.table.assign(weight=np.random.default_rng(seed).uniform(0.1, 1, len(tiles)))
    return Tiles(table, *tiles.arrays)


def half_pseudo(tiles):
    """The same tiles, the second half with pseudo-labels."""
    return Tiles(tiles.table.assign(split=["train"] * 12 + ["pseudo"] * 12), *tiles.arrays)


class Killed(BaseException):
    """The process is gone."""


class KilledAfter(Checkpoints):
    """Checkpoints of a training that is killed when it has written so many of them."""

    left = 0

    def save(self, facts, states):
        super().save(facts, states)
        self.left -= 1
        if not self.left:
            raise Killed


def train_killed(tiles, folder, given, kills, held_out=True):
    """Train, killed after each number of checkpoints in turn, and started again; a checkpoint follows every step."""
    for kill in [*kills, math.inf]:
        with KilledAfter(folder, "mine") as checkpoints:
            checkpoints.left = kill
            with contextlib.suppress(Killed):
                return fit.train(task(tiles, held_out=held_out, **given, checkpoint_seconds=0), checkpoints)
    raise AssertionError("never finished")


def equal(one, other):
    kept, others = snapshots(one), snapshots(other)
    return (
        same(one.task.network.state_dict(), other.task.network.state_dict())
        and one.history.equals(other.history)
        and list(kept) == list(others)
        and all(same(state, others[name]) for name, state in kept.items())
    )


@pytest.mark.parametrize("kind", EVERY_KIND)
@pytest.mark.parametrize("held_out", [True, False], ids=["", "pretraining"])
def test_a_training_killed_anywhere_ends_with_the_weights_of_one_that_was_not(tiles, tmp_path, kind, held_out):
    if "plateau" in kind and not held_out:
        return  # the config refuses it
    given = {"phases": EVERY_KIND[kind], "mix": {"name": "mixup"} if "mixing" in kind else None}
    if "weights" in kind:
        tiles = weighted(tiles)
    if "consistency" in kind:
        given["unlabelled"] = easy_tiles(11, split="test", seed=1)
    if "share" in kind:
        tiles, given["share"] = half_pseudo(tiles), 0.75
    given["mix"] = {"name": "cutmix"} if "weights" in kind else given["mix"]
    whole = train(tiles, held_out=held_out, **given)
    assert equal(train_killed(tiles, tmp_path, given, [1, 6, 1, 9, 4], held_out), whole)


@pytest.mark.parametrize("draws", [9, 61])
def test_a_training_with_other_draws_than_tiles_goes_on_as_well(tiles, tmp_path, draws):
    mean_of_epochs = {"name": "swa", "start": 2}
    given = {"phases": [phase(average=mean_of_epochs, passes_per_epoch=2)], "draws": draws}
    whole = train(tiles, **given)
    assert equal(train_killed(tiles, tmp_path, given, [1, 3]), whole)
    assert whole.timing.tiles == sum(COSINE["cycles"]) * 2 * draws


@pytest.mark.parametrize("schedule", [COSINE, PLATEAU])
def test_the_last_checkpoint_is_the_finished_training(tiles, tmp_path, monkeypatch, schedule):
    given = {"phases": [phase(loss="bce_dice"), phase(schedule, average={"name": "swa", "start": 2})]}
    whole = train(tiles, **given)
    with Checkpoints(tmp_path, "mine") as checkpoints:
        fit.train(task(tiles, **given), checkpoints)
        monkeypatch.setattr(fit.PhaseTraining, "_step", None)  # no step is left to take
        assert equal(fit.train(task(tiles, **given), checkpoints), whole)


def test_a_training_that_goes_on_counts_the_time_it_had_taken(tiles, tmp_path):
    with contextlib.suppress(Killed), KilledAfter(tmp_path, "mine") as checkpoints:
        checkpoints.left = 3
        fit.train(task(tiles, [phase()], checkpoint_seconds=0), checkpoints)
    with Checkpoints(tmp_path, "mine") as checkpoints:
        facts, states = checkpoints.load()
        assert facts["seconds"] > 0
        checkpoints.save(facts | {"seconds": 1000.0}, states)
        fitted = fit.train(task(tiles, [phase()]), checkpoints)
    assert 1000 < fitted.timing.seconds < 2000


def test_checkpoints_that_take_long_are_written_less_often(tiles, tmp_path):
    class Slow(Checkpoints):
        times: ClassVar = []

        def save(self, facts, states):
            self.times.append(time.monotonic())
            time.sleep(0.05)

    cycle = {"name": "cosine", "cycles": [9]}
    with Slow(tmp_path, "mine") as checkpoints:
        fit.train(task(tiles, [phase(cycle)], checkpoint_seconds=0.01), checkpoints)
    *in_between, _at_the_end = Slow.times
    assert all(later - earlier > 0.05 / 0.02 for earlier, later in itertools.pairwise(in_between))


def test_a_training_that_goes_on_with_another_number_of_workers_is_the_same(tiles, tmp_path):
    given = {"phases": [phase()]}
    whole = train(tiles, **given)
    with contextlib.suppress(Killed), KilledAfter(tmp_path, "mine") as checkpoints:
        checkpoints.left = 8
        fit.train(task(tiles, **given, checkpoint_seconds=0), checkpoints)
    assert equal(train_killed(tiles, tmp_path, given | {"workers": 2}, []), whole)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_training_that_is_asked_to_stop_saves_first(tiles, tmp_path, monkeypatch, number):
    given = {"phases": [phase()]}
    whole = train(tiles, **given)
    taken = []
    step = fit.PhaseTraining._loss
    monkeypatch.setattr(
        fit.PhaseTraining,
        "_loss",
        lambda *args: taken.append(1) or (len(taken) == 9 and signal.raise_signal(number)) or step(*args),
    )
    with Checkpoints(tmp_path, "mine") as checkpoints, pytest.raises(Interrupted) as stop:
        fit.train(task(tiles, **given), checkpoints)
    assert f"Stopped by {number.name} in phase 1, epoch 2. A checkpoint is in {tmp_path}/mine; the same" in str(
        stop.value
    )
    assert stop.value.signal_number == number
    monkeypatch.undo()
    assert equal(train_killed(tiles, tmp_path, given, []), whole)


def test_a_loss_that_is_no_number_names_the_step_and_its_tiles_and_leaves_a_checkpoint_from_before(tiles, tmp_path):
    with Checkpoints(tmp_path, "mine") as checkpoints:
        with pytest.raises(
            UserError, match=r"in phase 1, epoch 1, step (\d) of 6.*The tiles of that step were train"
        ) as error:
            fit.train(task(tiles, [phase(lr=1e30)], checkpoint_seconds=0), checkpoints)
        facts, states = checkpoints.load()
    assert str(error.value).count("train0") == 4
    assert all(math.isfinite(loss) for loss in facts["losses"])
    assert all(value.isfinite().all() for value in states["network"].values())


KILLED = """
import os, signal, sys
from pathlib import Path

import torch

from salt.curves.event_file import EventFile
from salt.training import fit
from salt.training.checkpoints import Checkpoints
from tests.easy_tiles import easy_tiles
from tests.salt.training.test_fit import CURVES, task


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


def kill_at(owner, name, count, after=False):
    calls, original = [], getattr(owner, name)

    def called(*args):
        calls.append(1)
        if len(calls) == count and not after:
            kill()
        original(*args)
        if len(calls) == count:
            kill()

    setattr(owner, name, called)


def kill_in_a_record(epoch):
    add = EventFile.add

    def added(file, *args):
        add(file, *args)
        if file.steps == epoch:
            os.truncate(file.path, file.path.stat().st_size - 40)
            kill()

    EventFile.add = added


MOMENTS = {
    "in a step": lambda: kill_at(fit.PhaseTraining, "_step", 9),
    "in a record": lambda: kill_in_a_record(2),
    "before a checkpoint": lambda: kill_at(Checkpoints, "save", 1),
    "after a checkpoint": lambda: kill_at(Checkpoints, "save", 2, after=True),
    "as it goes on": lambda: kill_at(Path, "write_bytes", 1),
    "never": lambda: None,
}

torch.set_num_threads(1)
for line in sys.stdin:
    folder, moment = line.rstrip().split("\t")
    child = os.fork()
    if not child:
        MOMENTS[moment]()
        folders = Path(folder, "checkpoints"), Path(folder, "curves")
        with fit.fit(task(easy_tiles(24), CURVES, checkpoint_seconds=999), *folders):
            os._exit(0)
    print(os.waitpid(child, 0)[1], flush=True)
"""
CURVES = [phase({"name": "cosine", "cycles": [2, 2]}), phase({"name": "cosine", "cycles": [2, 3]}, loss="lovasz_elu")]


def curves_of(folder):
    """All that TensorBoard reads, but for the speeds."""
    found = EventAccumulator(str(folder), {"images": 0}).Reload()
    tags = found.Tags()
    values = {tag: [(event.step, event.value) for event in found.Scalars(tag)] for tag in tags["scalars"]}
    pictures = {
        tag: [(event.step, event.encoded_image_string) for event in found.Images(tag)] for tag in tags["images"]
    }
    speeds = values.pop("images per second")
    return values, pictures, [step for step, _ in speeds]


def test_a_training_killed_five_times_has_one_continuous_curve_equal_to_the_undisturbed_one(tmp_path):
    moments = ["in a step", "in a record", "before a checkpoint", "after a checkpoint", "as it goes on", "never"]
    jobs = [("killed", moment) for moment in moments] + [("whole", "never")]
    lines = "".join(f"{tmp_path}/{folder}\t{moment}\n" for folder, moment in jobs)
    done = subprocess.run(
        [sys.executable, "-c", KILLED], input=lines, capture_output=True, text=True, check=True, timeout=300
    )
    assert done.stdout.split() == [*["9"] * 5, "0", "0"], done.stderr  # 9: SIGKILL
    killed, whole = (curves_of(tmp_path / folder / "curves") for folder in ("killed", "whole"))
    assert killed == whole
    assert killed[2] == list(range(1, 10))
    assert all([step for step, _ in curve] == killed[2] for curve in killed[0].values())
    assert {step for curve in killed[1].values() for step, _ in curve} == {1, 2, 4, 5, 6, 8, 9}


def test_curves_change_no_weight_and_no_score(tiles, tmp_path):
    given = [phase(average=AVERAGES[0]), phase(PLATEAU)]
    without = train(tiles, given)
    shown = fit.train(task(tiles, given), curves=tmp_path)
    assert equal(shown, without)
    values, _, _ = curves_of(tmp_path)
    assert [value for _, value in values["loss/training"]] == pytest.approx(without.history["loss"].tolist())
    assert [value for _, value in values["score/held out"]] == pytest.approx(without.history["score"].tolist())


def test_a_pretraining_has_curves_without_held_out_tiles(tiles, tmp_path):
    fit.train(task(tiles, [phase()], held_out=False), curves=tmp_path)
    values, pictures, _ = curves_of(tmp_path)
    assert set(values) == {"loss/training", "schedule/learning rate", "schedule/phase", "schedule/cycle"}
    assert pictures == {}
