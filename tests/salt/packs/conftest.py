import itertools
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from models.registry import create_network
from salt.data.tiles import save_tiles
from salt.inference.snapshots import Member, write_members
from salt.inference.weight_files import copy_state, save_weights
from salt.packs import pack
from salt.runtime import provenance
from salt.runtime.paths import Run
from schemas.reading import check_config
from tests.easy_tiles import SIDE, easy_tiles

PLAIN = {"name": "unet_plain", "width": 4, "levels": 3}
ON_ENCODER = {"name": "unet", "encoder": "tu-test_resnet", "weights": "none", "decoder_channels": [16, 16, 16]}
PHASE = {
    "loss": "bce_dice",
    "optimizer": {"name": "adamw", "lr": 0.01},
    "schedule": {"name": "cosine", "cycles": [1, 1]},
    "batch": 4,
}


def model(network, **more):
    return {
        "network": network,
        "input": {"channels": "ramp"},
        "phases": [PHASE],
        "members": {"phase1_cycle1": 1, "phase1_cycle2": 3},
    } | more


CONFIG = {
    "pathvars": {"results": "results/small"},
    "seed": 5,
    "data": {"layout": "folders", "root": "data/small", "tile": SIDE},
    "folds": {"count": 2, "by": "coverage"},
    "models": {
        "one": model(PLAIN, stretch=True),
        "two": model(ON_ENCODER),
        "unused": model(PLAIN),
    },
    "ensembles": {"first": {"one": 1}, "final": {"one": 2, "two": 1}},
    "compute": {"threads": 1},
    "submission": {"ensemble": "final", "postprocess": [{"name": "threshold", "above": 0.5}]},
}


@pytest.fixture
def small(finished, tmp_path, monkeypatch):
    """A finished run of untrained networks, in results/small below the working folder."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(finished, "results/small")
    return Run(Path("results/small"))


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """What a pack reads of such a run."""
    run, config = Run(tmp_path_factory.mktemp("finished")), check_config(CONFIG)
    run.config.write_text(yaml.safe_dump(config.model_dump(mode="json")))
    save_tiles(run.tiles.folder, easy_tiles(12), easy_tiles(6, split="test", seed=1))
    for seed, (name, number) in enumerate(itertools.product(config.models, range(2))):
        fold = run.fold(name, number)
        for cycle in (1, 2, 3):  # the third predicts nothing
            torch.manual_seed(10 * seed + cycle)
            state = copy_state(create_network(config.models[name].network))
            save_weights(fold.snapshots / f"phase1_cycle{cycle}.safetensors", state)
        write_members(fold.members, [Member(file=f"phase1_cycle{c}.safetensors", weight=2 * c - 1) for c in (1, 2)])
        settings = config.models[name].model_dump(mode="json", include={"network", "input"})
        provenance.write(fold.snapshots, settings, {}, device="CPU")
        provenance.write(fold.held_out, {}, {"snapshots": fold.snapshots})
    run.ensemble("one").folder.mkdir(parents=True)
    run.ensemble("one").stretch.write_text('{"low": 0.25, "high": 0.75}')
    write_scores(run)
    return run.folder


def write_scores(run):
    rows = [
        {"labels": "out_of_fold", "jigsaw": jigsaw, "id": f"train{row}", "one": 0.1 * row, "two": 0.5, "final": 0.6}
        for jigsaw in ("none", "published")
        for row in range(8)
    ]
    pd.DataFrame(rows).to_csv(run.tile_scores, index=False)
    run.scores.write_text("name,labels,tta,jigsaw,score,sd_folds,tiles,reached,reached_before,reached_after\n")
    run.differences.write_text(
        "labels,jigsaw,name,than,role,difference,low,high,tiles\nout_of_fold,none,final,first,before,0.1,0.05,0.15,8\n"
    )


@pytest.fixture
def packed(small):
    """The pack of this run."""
    pack.main(["--run", str(small.folder)])
    return small.pack()


@pytest.fixture
def tiles():
    """Some tiles, (5, 32, 32) uint8; the first is constant."""
    return np.ascontiguousarray(easy_tiles(5, seed=2).images)
