import json

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from salt.inference.weight_files import copy_state
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


def test_nothing_to_learn_from_is_an_error(run, pseudo_labels):
    table = pd.read_csv(pseudo_labels[1])
    table.assign(selected=False).to_csv(pseudo_labels[1], index=False)
    with pytest.raises(UserError, match="Lower the set's min_confidence"):
        start(run, pseudo_labels)


def test_fewer_pseudo_labels_than_a_batch_cause_a_warning_and_are_all_taken(run, pseudo_labels, caplog):
    caplog.set_level("INFO")
    start(run, pseudo_labels)
    assert "Warning: Expected at least 4 tiles to train on, the batch of phase 1, found 3." in caplog.text
