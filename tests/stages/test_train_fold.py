import pandas as pd
import pytest
from safetensors.numpy import load_file

from salt.records import create_records
from salt.tiles import load_tiles
from salt.weights import copy_state, save_weights
from stages import train_fold
from tests.stages.conftest import COMPUTE, train_settings


def start(run, *more, cycles=(2,), fold=1):
    train_fold.main(
        [
            *("--settings", train_settings(cycles), "--compute", COMPUTE, "--fold", str(fold)),
            *("--tiles", f"{run}/tiles", "--folds", f"{run}/folds.csv"),
            *("--snapshots", f"{run}/out/snapshots", "--history", f"{run}/out/history.csv", *more),
        ]
    )


def test_a_training_leaves_its_snapshots_and_a_row_an_epoch(run):
    start(run, cycles=(1, 2))
    found = sorted(path.name for path in (run / "out" / "snapshots").iterdir())
    assert found == ["phase1_cycle1.safetensors", "phase1_cycle2.safetensors"]
    history = pd.read_csv(run / "out" / "history.csv")
    assert history["cycle"].tolist() == [1, 2, 2]
    assert history["score"].between(0, 1).all()


def test_no_pseudo_labels_and_no_weights_may_be_empty_options(run):
    start(run, "--start-from", "--pseudo-labels")
    assert (run / "out" / "history.csv").exists()


def test_it_starts_from_the_weights_of_pretraining(run, monkeypatch, snapshots):
    created = []

    def watch(network, pretrained):
        created.append(pretrained)
        return create(network, pretrained)

    create = train_fold.create_network
    monkeypatch.setattr(train_fold, "create_network", watch)
    loaded = []
    monkeypatch.setattr(train_fold, "load_weights", lambda network, path: loaded.append(path))
    start(run, "--start-from", f"{snapshots}/phase1_cycle1.safetensors")
    assert created == [False]  # weights that are replaced at once are not fetched
    assert loaded == [snapshots / "phase1_cycle1.safetensors"]


@pytest.mark.parametrize(("fold", "added"), [(0, 2), (1, 1)])
def test_pseudo_labels_of_the_fold_join_its_tiles(run, monkeypatch, fold, added):
    test = load_tiles(run / "tiles", "test")
    with create_records(run / "masks.npy", test.ids, {"mask": "u1"}, 32, 32) as records:
        records["mask"] = 1
    labels = pd.DataFrame({"id": test.ids, "confidence": 1.0, "selected": [False, True, True, False, False, False]})
    labels.assign(fold=[-1, -1, 0, -1, -1, -1]).to_csv(run / "labels.csv", index=False)
    sizes = []
    trainer = train_fold.Trainer
    monkeypatch.setattr(
        train_fold, "Trainer", lambda *args: sizes.append((len(args[2]), len(args[3]))) or trainer(*args)
    )
    start(run, "--pseudo-labels", f"{run}/masks.npy", f"{run}/labels.csv", fold=fold)
    labelled = {0: 6, 1: 5}[fold]  # 12 tiles, the first constant and of fold 0
    assert sizes == [(labelled + added, 11 - labelled)]


def test_the_same_settings_train_the_same_weights(run):
    start(run)
    first = load_file(run / "out" / "snapshots" / "phase1_cycle1.safetensors")
    start(run)
    second = load_file(run / "out" / "snapshots" / "phase1_cycle1.safetensors")
    assert all((first[name] == second[name]).all() for name in first)


def test_weights_of_another_network_are_refused(run):
    import torch

    save_weights(run / "other.safetensors", copy_state(torch.nn.Linear(2, 2)))
    with pytest.raises(RuntimeError, match="Unexpected key"):
        start(run, "--start-from", f"{run}/other.safetensors")
