import json
import re
import zipfile
from pathlib import Path

import pytest
import yaml

from salt.packs import pack
from schemas.errors import UserError


def names(path):
    with zipfile.ZipFile(path) as opened:
        return set(opened.namelist())


def fault(small):
    with pytest.raises(UserError) as error:
        pack.main(["--run", str(small.folder)])
    assert "\n" not in str(error.value)
    assert not small.pack().exists()
    return str(error.value)


def test_a_pack_holds_the_snapshots_that_the_submitted_ensemble_predicts_with_and_no_others(packed):
    snapshots = {f"models/{name}/fold{fold}/snapshots" for name in ("one", "two") for fold in (0, 1)}
    members = {f"{folder[: -len('snapshots')]}members.json" for folder in snapshots}
    weights = {f"{folder}/phase1_cycle{cycle}.safetensors" for folder in snapshots for cycle in (1, 2)}
    about = {"pack.json", "MODEL_CARD.md", "config.yaml", "scores.csv", "differences.csv"}
    origins = {f"provenance/{folder}.provenance.json" for folder in snapshots}
    assert names(packed) == about | weights | members | origins | {"ensembles/one/stretch.json"}


def test_the_files_of_a_pack_are_the_runs(packed, small):
    with zipfile.ZipFile(packed) as opened:
        for name in names(packed) - {"pack.json", "MODEL_CARD.md"}:
            assert opened.read(name) == (small.folder / name.removeprefix("provenance/")).read_bytes()


def test_the_same_run_packs_to_the_same_bytes(packed, small):
    first = packed.read_bytes()
    for path in small.folder.rglob("*"):
        path.touch()
    pack.main(["--run", str(small.folder)])
    assert packed.read_bytes() == first
    pack.main(["--run", str(small.folder), "--out", "elsewhere/small.pack.zip"])
    assert Path("elsewhere/small.pack.zip").read_bytes() == first
    assert [path.name for path in Path("elsewhere").iterdir()] == ["small.pack.zip"]


def test_a_pack_of_half_precision_is_smaller_and_says_what_it_changes(packed, small):
    pack.main(["--run", str(small.folder), "--half"])
    half = small.pack(half=True)
    assert names(half) == names(packed)
    assert half.stat().st_size < 0.7 * packed.stat().st_size  # kernels are a small part of such tiny networks
    with zipfile.ZipFile(half) as opened:
        card, manifest = opened.read("MODEL_CARD.md").decode(), json.loads(opened.read("pack.json"))
    assert re.search(
        r"the largest difference of a probability is \S+, the mean \S+; \d+ of 5,120 pixels of the masks change", card
    )
    assert manifest["precision"] == "float16"


def test_a_folder_that_is_no_run_and_an_unfinished_run_are_refused(small):
    with pytest.raises(UserError, match=r"found no results/none/config\.yaml"):
        pack.main(["--run", "results/none"])
    small.scores.rename("scores.csv")
    assert f"a run that has finished, found no {small.scores}" in fault(small)
    Path("scores.csv").rename(small.scores)
    weights = small.fold("two", 1).snapshots / "phase1_cycle2.safetensors"
    weights.unlink()
    assert "To pack results/small, expected the weights" in (text := fault(small))
    assert f"missing: {weights}. Train first: type the command of the run;" in text


@pytest.mark.parametrize("text", ["colours: many", "", "a: [", "- 1"])
def test_a_config_of_another_version_is_refused_in_one_line(small, text):
    small.config.write_text(text)
    assert "expected the config of this version of the workflow in" in fault(small)


def test_weights_that_the_run_did_not_predict_with_are_refused(small):
    folder = small.fold("two", 1).snapshots
    (folder / "phase1_cycle2.safetensors").write_bytes(b"1")
    assert f"expected in {folder} the weights that the run was scored with, found others" in fault(small)


def test_a_model_that_needs_depths_is_refused(small):
    config = yaml.safe_load(small.config.read_text())
    config["models"]["two"]["input"]["channels"] = "depth"
    small.config.write_text(yaml.safe_dump(config))
    assert "found `channels: depth` in two" in fault(small)
