import json
from pathlib import Path

import pandas as pd
import pytest
from safetensors.numpy import load_file

from salt.data.records import create_records
from salt.data.tiles import load_tiles
from salt.inference.weight_files import copy_state
from salt.runtime import provenance
from salt.runtime.timings import Timing, kind
from salt.training import result
from schemas.errors import UserError
from stages import train_fold
from tests.stages.conftest import COMPUTE, NETWORK, ON_ENCODER, train_settings


def start(run, *more, cycles=(2,), fold=1, network=NETWORK, control=False, constant_tiles="leave_out", **phase):
    of_model = {"control": control, "constant_tiles": constant_tiles}
    settings = json.dumps(json.loads(train_settings(cycles, network, **phase)) | of_model)
    train_fold.main(
        [
            *("--settings", settings, "--compute", COMPUTE, "--fold", str(fold)),
            *("--tiles", f"{run}/tiles", "--folds", f"{run}/folds.csv"),
            *("--checkpoints", f"{run}/checkpoints", "--timing", f"{run}/timings/one.json"),
            *("--snapshots", f"{run}/out/snapshots", "--table", f"{run}/out/snapshots.csv"),
            *("--history", f"{run}/out/history.csv", *more),
        ]
    )


def test_a_training_leaves_its_snapshots_and_a_row_an_epoch(run):
    start(run, cycles=(1, 2))
    found = sorted(path.name for path in (run / "out" / "snapshots").iterdir())
    assert found == ["phase1_cycle1.safetensors", "phase1_cycle2.safetensors"]
    history = pd.read_csv(run / "out" / "history.csv")
    assert history["cycle"].tolist() == [1, 2, 2]
    assert history["score"].between(0, 1).all()


def test_the_table_lists_the_epoch_of_each_snapshot(run):
    start(run, cycles=(2, 2), keep={"name": "best", "count": 3})
    history = pd.read_csv(run / "out" / "history.csv")
    table = pd.read_csv(run / "out" / "snapshots.csv")
    assert table.columns.tolist() == ["name", "phase", "cycle", "epoch", "score"]
    assert table["name"].tolist() == ["phase1_best1", "phase1_best2", "phase1_best3"]
    assert {path.stem for path in (run / "out" / "snapshots").iterdir()} == set(table["name"])
    best = history.sort_values(["score", "epoch"], ascending=[False, True])[:3]
    assert table["epoch"].tolist() == best["epoch"].tolist()
    assert table["score"].tolist() == pytest.approx(best["score"].tolist(), abs=1e-6)


def test_a_training_leaves_what_it_took(run):
    start(run, cycles=(1, 2))
    timing = Timing.read(run / "timings" / "one.json")
    snapshot = (run / "out" / "snapshots" / "phase1_cycle1.safetensors").stat().st_size
    # three epochs of a half of 12 tiles, of which one is constant
    assert (timing.network, timing.tiles, timing.device) == (kind(NETWORK), 3 * 5, "CPU, 1 threads, float32")
    assert 0.8 * snapshot < timing.weights < snapshot  # a file has a header
    assert timing.seconds > 0


def test_a_finished_training_leaves_no_checkpoints(run):
    start(run)
    assert not (run / "checkpoints").exists()


def test_where_a_training_comes_from_lies_beside_its_snapshots(run, encoder_weights):
    start(run, "--encoder-weights", str(encoder_weights), "--start-from", "--pseudo-labels", network=ON_ENCODER)
    found = provenance.read(run / "out" / "snapshots")
    assert found["inputs"].keys() == {"tiles", "folds", "encoder_weights"}
    assert found["settings"]["seed"] == 3
    assert (found["device"], found["threads"]) == ("CPU, 1 threads, float32", 1)
    assert found["versions"].keys() >= {"torch", "segmentation_models_pytorch", "timm", "albumentations"}


def test_a_training_that_is_cut_goes_on_where_it_was_and_other_settings_start_afresh(run, monkeypatch, caplog):
    start(run, cycles=(2, 2))
    whole = (run / "out" / "snapshots" / "phase1_cycle2.safetensors").read_bytes()
    monkeypatch.setattr(result, "save_weights", lambda *_: 1 / 0)  # all is trained, nothing is written
    with pytest.raises(ZeroDivisionError):
        start(run, cycles=(2, 2))
    monkeypatch.undo()
    caplog.set_level("INFO")
    start(run, cycles=(2, 3))
    assert "holds a checkpoint of other settings or tiles" in caplog.text
    assert "resumes from a checkpoint" not in caplog.text
    start(run, cycles=(2, 2))
    assert "resumes from a checkpoint: phase 1, epoch 5" in caplog.text
    assert (run / "out" / "snapshots" / "phase1_cycle2.safetensors").read_bytes() == whole


def test_no_pseudo_labels_and_no_weights_may_be_empty_options(run):
    start(run, "--encoder-weights", "--start-from", "--pseudo-labels")
    assert (run / "out" / "history.csv").exists()


@pytest.fixture
def starts(monkeypatch):
    """The weights that each training started from."""
    found = []
    fit = train_fold.fit
    monkeypatch.setattr(
        train_fold, "fit", lambda task, *args: found.append(copy_state(task.network)) or fit(task, *args)
    )
    return found


def test_it_starts_from_the_weights_of_pretraining(run, starts, snapshots):
    start(run, "--start-from", f"{snapshots}/phase1_cycle1.safetensors", "--encoder-weights")
    weights = load_file(snapshots / "phase1_cycle1.safetensors")
    assert weights.keys() == starts[0].keys()
    assert all((value.numpy() == weights[name]).all() for name, value in starts[0].items())


def test_its_encoder_starts_from_the_weights_it_is_given(run, starts, encoder_weights):
    start(run, "--encoder-weights", str(encoder_weights), network=ON_ENCODER)
    weights = load_file(encoder_weights)
    own = {name: value for name, value in starts[0].items() if ".encoder." in name}
    assert own
    assert all((value.numpy() == weights[name.removeprefix("unet.encoder.")]).all() for name, value in own.items())


def write_pseudo_labels(run, folds, selected):
    """Write a set of pseudo-labels for the six test tiles; returns its masks and its table."""
    test = load_tiles(run / "tiles", "test")
    with create_records(run / "masks.npy", test.ids, {"mask": "u1"}, 32, 32) as records:
        records["mask"] = 1
    labels = pd.DataFrame({"id": test.ids, "confidence": 1.0, "selected": selected, "fold": folds})
    labels.to_csv(run / "labels.csv", index=False)
    return [f"{run}/masks.npy", f"{run}/labels.csv"]


@pytest.mark.parametrize(("fold", "added"), [(0, 2), (1, 1)])
def test_pseudo_labels_of_the_fold_join_its_tiles(run, monkeypatch, fold, added):
    files = write_pseudo_labels(run, [-1, -1, 0, -1, -1, -1], [False, True, True, False, False, False])
    sizes = []
    fit = train_fold.fit
    monkeypatch.setattr(
        train_fold,
        "fit",
        lambda task, *args: sizes.append((len(task.tiles), len(task.held_out))) or fit(task, *args),
    )
    start(run, "--pseudo-labels", *files, fold=fold)
    labelled = {0: 6, 1: 5}[fold]  # 12 tiles, the first constant and of fold 0
    assert sizes == [(labelled + added, 11 - labelled)]


@pytest.mark.parametrize("fold", [0, 1])  # the first tile is constant and of fold 0
def test_constant_tiles_are_trained_on_if_a_model_asks_for_them_but_never_held_out(run, monkeypatch, fold):
    tasks = []
    fit = train_fold.fit
    monkeypatch.setattr(train_fold, "fit", lambda task, *args: tasks.append(task) or fit(task, *args))
    for choice in ("leave_out", "train"):
        start(run, fold=fold, constant_tiles=choice)
    without, given = tasks
    constant = ["train000"] if fold == 1 else []
    assert given.tiles.ids == [*constant, *without.tiles.ids]
    assert given.held_out.ids == without.held_out.ids
    assert "train000" not in without.tiles.ids + given.held_out.ids


OF_ALL_FOLDS, BY_SIZE, OF_ONE_FOLD = [-1] * 6, [-1, 1, 1, 0, 0, 0], [1] * 6


@pytest.mark.parametrize("folds", [OF_ALL_FOLDS, BY_SIZE, OF_ONE_FOLD], ids=["all", "by size", "of one fold"])
@pytest.mark.parametrize("passes", [1, 2])
def test_a_control_takes_as_many_steps_as_with_pseudo_labels(run, steps, folds, passes):
    masks, table = write_pseudo_labels(run, folds, [True, True, True, False, True, False])
    start(run, "--pseudo-labels", masks, table, passes_per_epoch=passes)
    with_them, timing = [len(rows) for rows in steps], Timing.read(run / "timings" / "one.json")
    steps.clear()
    start(run, "--pseudo-labels", table, control=True, passes_per_epoch=passes)
    assert [len(rows) for rows in steps] == with_them
    assert Timing.read(run / "timings" / "one.json").tiles == timing.tiles
    assert {row for rows in steps for row in rows} == set(range(5))


def test_a_control_trains_on_labelled_tiles_and_holds_out_the_same(run, monkeypatch):
    _, table = write_pseudo_labels(run, [-1] * 6, [True] * 6)
    tasks = []
    fit = train_fold.fit
    monkeypatch.setattr(train_fold, "fit", lambda task, *args: tasks.append(task) or fit(task, *args))
    start(run)
    start(run, "--pseudo-labels", table, control=True)
    plain, control = tasks
    assert control.tiles.ids == plain.tiles.ids
    assert control.held_out.ids == plain.held_out.ids
    assert not set(control.tiles.ids) & set(control.held_out.ids)
    assert control.draws == plain.draws + 6


def test_a_control_depends_on_the_number_of_pseudo_labels_alone(run):
    def weights(folds, selected):
        masks, table = write_pseudo_labels(run, folds, selected)
        Path(masks).unlink()
        start(run, "--pseudo-labels", table, control=True)
        return (run / "out" / "snapshots" / "phase1_cycle1.safetensors").read_bytes()

    three = weights([-1] * 6, [True] * 3 + [False] * 3)
    assert three == weights([0, 0, -1, 1, 1, 0], [True] * 6)
    assert three != weights([-1] * 6, [True] + [False] * 5)


def test_a_control_without_added_pseudo_labels_is_trained_like_its_model(run):
    start(run)
    weights = (run / "out" / "snapshots" / "phase1_cycle1.safetensors").read_bytes()
    start(run, "--pseudo-labels", control=True)
    assert (run / "out" / "snapshots" / "phase1_cycle1.safetensors").read_bytes() == weights


def test_the_same_settings_train_the_same_weights(run):
    start(run)
    first = load_file(run / "out" / "snapshots" / "phase1_cycle1.safetensors")
    start(run)
    second = load_file(run / "out" / "snapshots" / "phase1_cycle1.safetensors")
    assert all((first[name] == second[name]).all() for name in first)


def test_weights_of_another_network_are_refused_with_their_file(run, snapshots):
    with pytest.raises(UserError, match="phase1_cycle1.safetensors to hold the weights of this network, a Unet, found"):
        start(run, "--start-from", f"{snapshots}/phase1_cycle1.safetensors", network=ON_ENCODER)
    assert not (run / "out").exists()


def test_weights_of_another_encoder_are_refused_with_their_file(run, encoder_weights):
    other = ON_ENCODER.model_copy(update={"encoder": "tu-test_convnext"})
    with pytest.raises(
        UserError, match="encoder.safetensors to hold the weights of this network's encoder, .* without"
    ):
        start(run, "--encoder-weights", str(encoder_weights), network=other)


def test_a_batch_larger_than_the_folds_training_tiles_is_refused_before_the_start(run, monkeypatch):
    settings = train_settings().replace('"batch":4', '"batch":9')
    monkeypatch.setattr("tests.stages.test_train_fold.train_settings", lambda *_, **__: settings)
    with pytest.raises(UserError, match="at least 9 tiles to train on, the batch of phase 1, found 5. Lower `bat"):
        start(run)
    assert not (run / "out").exists()


def test_a_fold_that_was_not_dealt_is_refused(run):
    with pytest.raises(
        UserError, match="Expected a fold from 0 to 1, and found 9. Choose one of the folds that make_folds as"
    ):
        start(run, fold=9)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (
            ('"unet_plain"', '"unet_plane"'),
            r"^network.name: expected one of unet_plain, .*; did you mean unet_plain\?$",
        ),
        (('"bce_dice"', '"bce_dize"'), r"^phases.0.loss: expected one of bce, dice, .*; did you mean bce_dice\?$"),
        (('"batch":4', '"batch":1'), "^phases.0.batch: expected a whole number of at least 2, found 1$"),
        (('"lr":0.01', '"lr":-1'), "^phases.0.optimizer.lr: expected a number above 0, found -1$"),
    ],
)
def test_wrong_settings_are_reported_by_their_path(run, monkeypatch, edit, message):
    settings = train_settings()
    assert edit[0] in settings
    monkeypatch.setattr("tests.stages.test_train_fold.train_settings", lambda *_, **__: settings.replace(*edit))
    with pytest.raises(UserError, match=message):
        start(run)


def test_an_encoder_that_does_not_exist_is_refused(run):
    with pytest.raises(UserError, match="There is no encoder 'resnet43'.*resnet34"):
        start(run, network=ON_ENCODER.model_copy(update={"encoder": "resnet43"}))


def test_unlabelled_tiles_that_vary_are_read_if_a_phase_learns_from_them(run, caplog):
    caplog.set_level("INFO")
    start(run)
    assert "unlabelled" not in caplog.text
    plain = pd.read_csv(run / "out" / "history.csv")
    every_pixel = {"low": 0.5, "high": 0.5, "ramp": 0, "augment": [{"name": "noise", "p": 1, "std": 0.2}]}
    start(run, consistency={"teacher": "self", "batch": 4, **every_pixel})
    assert "5 unlabelled tiles to learn from as well" in caplog.text  # of six; one is constant
    assert not pd.read_csv(run / "out" / "history.csv")["loss"].equals(plain["loss"])
