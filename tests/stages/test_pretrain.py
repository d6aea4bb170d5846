import json
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from salt.inference.weight_files import copy_state
from salt.runtime import provenance
from salt.runtime.timings import Timing, kind
from schemas.errors import UserError
from stages import make_pseudo_labels, pretrain
from tests.stages.conftest import COMPUTE, NETWORK, ON_ENCODER, train_settings


@pytest.fixture
def pseudo_labels(run, sure_predictions):
    settings = '{"ensemble": "stage1", "folds": 2, "weights": [1], "min_confidence": 0.9}'
    masks, table = f"{run}/masks.npy", f"{run}/labels.csv"
    options = ["--settings", settings, "--tiles", f"{run}/tiles", "--probabilities", str(sure_predictions)]
    make_pseudo_labels.main([*options, "--masks", masks, "--table", table])
    return [masks, table]


def start(run, pseudo_labels, *options, network=NETWORK, **more):
    settings = json.dumps(json.loads(train_settings((2,), network)) | more)
    pretrain.main(
        [
            *("--settings", settings, "--compute", COMPUTE, "--tiles", f"{run}/tiles"),
            *("--pseudo-labels", *pseudo_labels),
            *("--checkpoints", f"{run}/checkpoints", "--timing", f"{run}/timings/one.json"),
            *("--weights", f"{run}/out/weights.safetensors", "--history", f"{run}/out/history.csv", *options),
        ]
    )


def test_it_leaves_the_last_weights_and_a_history_without_scores(run, pseudo_labels):
    start(run, pseudo_labels)
    history = pd.read_csv(run / "out" / "history.csv")
    assert history["epoch"].tolist() == [1, 2]
    assert history["score"].isna().all()
    assert "head.weight" in load_file(run / "out" / "weights.safetensors")


def test_it_leaves_what_it_took(run, pseudo_labels):
    start(run, pseudo_labels)
    assert Timing.read(run / "timings" / "one.json").network == kind(NETWORK)


def test_each_fold_has_a_seed_of_its_own_that_stays(run, pseudo_labels):
    def head(**more):
        start(run, pseudo_labels, **more)
        return load_file(run / "out" / "weights.safetensors")["head.weight"].numpy().tobytes()

    assert head(fold=1) == head(fold=1)
    assert len({head(), head(fold=None), head(fold=0), head(fold=1)}) == 3


def test_its_encoder_starts_from_the_weights_it_is_given(run, pseudo_labels, encoder_weights, monkeypatch):
    created = []
    fit = pretrain.fit
    monkeypatch.setattr(
        pretrain, "fit", lambda task, *args: created.append(copy_state(task.network)) or fit(task, *args)
    )
    start(run, pseudo_labels, "--encoder-weights", str(encoder_weights), network=ON_ENCODER)
    weights = load_file(encoder_weights)
    own = {name: value for name, value in created[0].items() if ".encoder." in name}
    assert own
    assert all(torch.equal(value, weights[name.removeprefix("unet.encoder.")]) for name, value in own.items())


@pytest.fixture
def control(run, pseudo_labels):
    """A function that pretrains a control of fold 1 after edits of the table; it returns the bytes of the weights."""

    def pretrained(**edits):
        table = pd.read_csv(pseudo_labels[1]).assign(**edits)
        table.to_csv(run / "edited.csv", index=False)
        start(run, [f"{run}/edited.csv"], "--folds", f"{run}/folds.csv", control=True, fold=1)
        return (run / "out" / "weights.safetensors").read_bytes()

    return pretrained


OF_ALL_FOLDS, BY_SIZE, OF_ONE_FOLD = [-1] * 6, [-1, 1, 1, 0, 0, -1], [1] * 6


@pytest.mark.parametrize("fold", [OF_ALL_FOLDS, BY_SIZE, OF_ONE_FOLD], ids=["all", "by size", "of one fold"])
@pytest.mark.parametrize("count", [1, 3, 4, 6])
def test_a_control_takes_as_many_steps_as_the_pretraining_on_pseudo_labels(
    run, pseudo_labels, control, steps, count, fold
):
    selected = [row < count for row in range(6)]
    control(selected=selected, fold=fold)
    its_steps, its_timing = [len(rows) for rows in steps], Timing.read(run / "timings" / "one.json")
    steps.clear()
    start(run, [pseudo_labels[0], f"{run}/edited.csv"])
    assert its_steps == [len(rows) for rows in steps]
    assert its_timing.tiles == Timing.read(run / "timings" / "one.json").tiles == 2 * count


def test_a_control_sees_the_labelled_tiles_that_its_fold_trains_on(control, monkeypatch):
    seen = []
    fit = pretrain.fit
    monkeypatch.setattr(pretrain, "fit", lambda task, *args: seen.append(task) or fit(task, *args))
    control()
    assert seen[0].tiles.ids == [f"train{row:03}" for row in (2, 4, 6, 8, 10)]  # the first one is constant
    assert seen[0].held_out is None


def test_a_control_depends_on_the_number_of_pseudo_labels_alone(run, pseudo_labels, control):
    weights = control(selected=[True, True, True, True, False, False])
    Path(pseudo_labels[0]).unlink()
    assert weights == control(selected=[False, False, True, True, True, True], confidence=0, coverage=1)
    assert weights != control(selected=[True, True, True, False, False, False])


def test_nothing_to_learn_from_is_an_error(run, pseudo_labels):
    table = pd.read_csv(pseudo_labels[1])
    table.assign(selected=False).to_csv(pseudo_labels[1], index=False)
    provenance.path_of(Path(pseudo_labels[0])).unlink()  # the table was edited on purpose
    with pytest.raises(UserError, match="Lower the set's min_confidence"):
        start(run, pseudo_labels)


def test_fewer_pseudo_labels_than_a_batch_cause_a_warning_and_are_all_taken(run, pseudo_labels, caplog):
    caplog.set_level("INFO")
    start(run, pseudo_labels)
    assert "Warning: Expected at least 4 tiles to train on, the batch of phase 1, found 3." in caplog.text
