import json

import pandas as pd
import pytest
from safetensors.numpy import load_file

from salt.program import UserError
from stages import make_pseudo_labels, pretrain
from tests.stages.conftest import COMPUTE, train_settings


@pytest.fixture
def pseudo_labels(run, sure_predictions):
    settings = '{"ensemble": "stage1", "folds": 2, "weights": [1], "min_confidence": 0.9}'
    masks, table = f"{run}/masks.npy", f"{run}/labels.csv"
    options = ["--settings", settings, "--tiles", f"{run}/tiles", "--probabilities", str(sure_predictions)]
    make_pseudo_labels.main([*options, "--masks", masks, "--table", table])
    return [masks, table]


def start(run, pseudo_labels, **more):
    settings = json.dumps(json.loads(train_settings(cycles=(2,))) | more)
    pretrain.main(
        [
            *("--settings", settings, "--compute", COMPUTE, "--tiles", f"{run}/tiles"),
            *("--pseudo-labels", *pseudo_labels),
            *("--weights", f"{run}/out/weights.safetensors", "--history", f"{run}/out/history.csv"),
        ]
    )


def test_it_leaves_the_last_weights_and_a_history_without_scores(run, pseudo_labels):
    start(run, pseudo_labels)
    history = pd.read_csv(run / "out" / "history.csv")
    assert history["epoch"].tolist() == [1, 2]
    assert history["score"].isna().all()
    assert "head.weight" in load_file(run / "out" / "weights.safetensors")


def test_each_fold_has_a_seed_of_its_own_that_stays(run, pseudo_labels):
    def head(**more):
        start(run, pseudo_labels, **more)
        return load_file(run / "out" / "weights.safetensors")["head.weight"].tobytes()

    assert head(fold=1) == head(fold=1)
    assert len({head(), head(fold=None), head(fold=0), head(fold=1)}) == 3


def test_nothing_to_learn_from_is_an_error(run, pseudo_labels):
    table = pd.read_csv(pseudo_labels[1])
    table.assign(selected=False).to_csv(pseudo_labels[1], index=False)
    with pytest.raises(UserError, match="Lower the set's min_confidence"):
        start(run, pseudo_labels)
