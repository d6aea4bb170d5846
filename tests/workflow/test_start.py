"""What a user sees at the start of a run: data, dry run, mistakes."""

import os
import re
import struct
import sys
import zlib

import pytest
import yaml

from salt.runtime import timings
from salt.runtime.paths import Run
from salt.runtime.timings import Timing
from schemas.reading import check_config
from tests.workflow.conftest import copy_of_the_repository, jobs, overlays, snakemake


@pytest.fixture
def repository(tmp_path):
    return copy_of_the_repository(tmp_path)


def black_png(side):
    """A grey PNG of zeros, made without a library."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    rows = zlib.compress(b"\0" * (side + 1) * side)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def write_competition_layout(root):
    for split, kinds in (("train", ("images", "masks")), ("test", ("images",))):
        for kind in kinds:
            folder = root / split / kind
            folder.mkdir(parents=True)
            (folder / f"{split}0.png").write_bytes(black_png(101))
    labels = "".join(f"train{number},\n" for number in range(100))  # enough for five folds of full batches
    (root / "train.csv").write_text(f"id,rle_mask\n{labels}")
    (root / "depths.csv").write_text("id,z\ntrain0,100\ntest0,200\n")
    (root / "sample_submission.csv").write_text("id,rle_mask\ntest0,1 1\n")


def test_without_data_the_plain_command_says_what_to_do_in_one_paragraph(repository):
    done = snakemake(repository, "--cores", "1", "--resources", "gpu=1")
    assert done.returncode != 0
    lines = [line for line in done.stdout.splitlines() if line and not line.startswith("Using workflow specific")]
    assert len(lines) == 1
    for words in ("missing", "data/tgs", "kaggle competitions download", "make demo"):
        assert words in lines[0]


def test_the_winning_recipe_resolves_on_the_competitions_layout(repository):
    write_competition_layout(repository / "data" / "tgs")
    done = snakemake(repository, "-n")
    assert done.returncode == 0, done.stdout
    found = jobs(done.stdout)
    models = ("stage1_resnext50", "stage1_resnet34", "stage2_resnext50", "stage2_resnet34", "stage3_pad128")
    for model in (*models, "stage3_resize128"):
        assert {f"train_fold model={model}, fold={fold}" for fold in range(5)} <= found
    assert {job for job in found if job.startswith("pretrain")} == {
        f"pretrain model={model}, scope=all_folds"
        for model in ("stage2_resnext50", "stage3_pad128", "stage3_resize128")
    }
    fetched = {f"fetch_weights encoder={name}-imagenet" for name in ("resnet34", "resnext50_32x4d")}
    assert {job for job in found if job.startswith("fetch_weights")} == fetched
    assert {"blend name=final", "make_pseudo_labels labels=stage1_by_size, scope=all_folds", "postprocess"} <= found


def write_tables_of_the_competition(root):
    for name, split, count in (("train.csv", "train", 4000), ("sample_submission.csv", "test", 18000)):
        (root / name).write_text("id,rle_mask\n" + "".join(f"{split}{number},\n" for number in range(count)))


def test_a_dry_run_of_the_winning_recipe_summarizes_its_cost(repository):
    write_competition_layout(repository / "data" / "tgs")
    write_tables_of_the_competition(repository / "data" / "tgs")
    done = snakemake(repository, "-n")
    summary = done.stdout[done.stdout.index("What this run takes: 84 jobs") :]
    assert "Time: 30 trainings of folds and 3 pretrainings, unknown until a first training is done" in summary
    assert len(re.findall(r"^ +5  stage\d_\w+ +unknown", summary, re.MULTILINE)) == 6
    assert 25 < float(re.search(r"^Disk: about ([\d.]+) GB in results/tgs", summary, re.MULTILINE)[1]) < 50
    assert "Traceback" not in done.stdout


def test_once_timings_exist_a_dry_run_tells_the_hours_on_eight_gpus_and_of_the_critical_path(repository):
    write_competition_layout(repository / "data" / "tgs")
    write_tables_of_the_competition(repository / "data" / "tgs")
    config = check_config(yaml.safe_load((repository / "workflow_config.yaml").read_text()))
    folder = Run(repository / "results" / "earlier").timings
    folder.mkdir(parents=True)
    for name, model in config.models.items():
        shape = model.input.known_shape(config.data.shape)
        timing = Timing(timings.kind(model.network), shape, tiles=1_000_000, seconds=3600, weights=10**8, device="H200")
        timing.write(folder / f"{name}.json")
    one, eight = (
        snakemake(repository, "-n", "--cores", "32", "--resources", f"gpu={gpus}").stdout.partition("Time: ")[2]
        for gpus in (1, 8)
    )
    hours = (
        r"at most about ([\d.]+) h of training \(H200\); ([\d.]+) h with gpu=%d and --cores 32, ([\d.]+) h on the cri"
    )
    total, alone, longest = map(float, re.search(hours % 1, one).groups())
    assert alone == total
    assert re.search(hours % 8, eight)[1] == str(f"{total:g}")
    assert longest < float(re.search(hours % 8, eight)[2]) < total / 4


def test_a_run_that_does_not_fit_on_the_disk_does_not_start(repository, on_a_small_disk):
    write_competition_layout(repository / "data" / "tgs")
    (repository / "results").mkdir()
    done = on_a_small_disk(
        repository / "results", "size=10m", [sys.executable, "-m", "snakemake", "--cores", "1"], cwd=repository
    )
    assert done.returncode == 1
    assert re.search(
        r"^Error: expected room for .*, about 19\.\d GB, and found 10\.\d MB free", done.stdout, re.MULTILINE
    )
    assert "Traceback" not in done.stdout
    assert "fetch_weights" not in done.stdout


def test_fold_honest_pseudo_labels_keep_the_folds_apart(repository):
    write_competition_layout(repository / "data" / "tgs")
    sets = ("stage1_confident", "stage1_by_size", "stage2_confident")
    overlay = "".join(f"\n  {name}: {{scope: fold}}" for name in sets)
    (repository / "honest.yaml").write_text(f"pseudo_labels:{overlay}\n")
    last = "results/tgs/models/stage3_pad128/fold3/history.csv"
    done = snakemake(repository, "-n", "--configfile", "honest.yaml", "--", last)
    assert done.returncode == 0, done.stdout
    found = jobs(done.stdout)
    models = ("stage1_resnext50", "stage1_resnet34", "stage2_resnext50", "stage2_resnet34", "stage3_pad128")
    assert found == {
        *(f"train_fold model={model}, fold=3" for model in models),
        *(f"predict_fold model={model}, fold=3" for model in models[:-1]),
        *(f"pretrain model={model}, scope=fold3" for model in ("stage2_resnext50", "stage3_pad128")),
        *(f"make_pseudo_labels labels={name}, scope=fold3" for name in sets),
        *(f"fetch_weights encoder={name}-imagenet" for name in ("resnet34", "resnext50_32x4d")),
        *("prepare_tiles", "make_folds"),
    }


def test_controls_are_trained_from_the_labelled_tiles_and_count_the_pseudo_labels(repository):
    write_competition_layout(repository / "data" / "tgs")
    last = "results/tgs/models/stage2_resnext50_control/fold3/history.csv"
    done = snakemake(repository, "-n", "--config", "controls=true", "--", last)
    assert done.returncode == 0, done.stdout
    found = jobs(done.stdout)
    control = "model=stage2_resnext50_control"
    assert {job for job in found if control in job} == {
        f"train_fold {control}, fold=3",
        f"pretrain {control}, scope=fold3",
    }
    assert "make_pseudo_labels labels=stage1_confident, scope=all_folds" in found
    everything = snakemake(repository, "-n", "--config", "controls=true").stdout
    assert "Time: 50 trainings of folds and 18 pretrainings" in everything


@pytest.mark.slow
def test_without_a_network_the_weights_stop_the_run_before_any_work(repository):
    write_competition_layout(repository / "data" / "tgs")
    done = snakemake(repository, "--cores", "1", "--resources", "gpu=1")
    assert done.returncode != 0
    assert "could not be fetched" in done.stdout
    assert "`weights: path/to/res" in done.stdout
    assert not (repository / "results" / "tgs" / "tiles").exists()
    assert "Traceback" not in done.stdout


BAD_RECIPE = """\
seed: 1
seed: 2
submission: {ensemble: finale}
compute:
  device: gpu
"""


def test_all_mistakes_in_a_recipe_are_reported_at_once_with_their_lines(repository):
    (repository / "bad.yaml").write_text(BAD_RECIPE)
    done = snakemake(repository, "-n", "--configfile", "recipes/demo.yaml", "bad.yaml")
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert lines[[line.startswith("Error: the config has mistakes.") for line in lines].index(True) + 1 :] == [
        "bad.yaml, line 2: expected each key once, found seed again, first in line 1; remove or rename one",
        'compute.device: expected one of auto, cpu, cuda, found "gpu" (bad.yaml, line 5)',
        'submission.ensemble: expected the name of an ensemble or a model, found "finale"; did you mean final? '
        "(bad.yaml, line 3)",
    ]


def test_mistakes_on_the_command_line_are_reported_the_same_way(repository):
    done = snakemake(repository, "-n", "--config", "seed=abc", "folds={count: 1}", "compute=3")
    assert done.returncode == 1
    for fault in (
        'seed: expected a whole number of at least 0, found "abc" (--config)',
        'folds.count: expected a whole number of at least 2, found "1" (--config)',
        "compute: expected a mapping with device, ",
    ):
        assert f"\n{fault}" in done.stdout
    assert "Traceback" not in done.stdout


def test_a_recipe_that_is_not_a_mapping_is_reported_by_snakemake_itself(repository):
    (repository / "bad.yaml").write_text("- a\n- list\n")
    done = snakemake(repository, "-n", "--configfile", "bad.yaml")
    assert done.returncode == 1
    assert "Config file must be given as JSON or YAML with keys at top level" in done.stdout
    assert "Traceback" not in done.stdout


def test_what_would_stop_a_run_is_reported_before_its_first_job(repository):
    (repository / "bad.yaml").write_text("compute: {device: cuda, loader_workers: 4096}\n")
    options = ["--configfile", "recipes/demo.yaml", "bad.yaml"]
    blind = {"env": os.environ | {"CUDA_VISIBLE_DEVICES": ""}}  # hides the GPUs of this machine
    dry, done = (snakemake(repository, *how, *options, **blind) for how in (["-n"], ["--cores", "1"]))
    assert done.returncode == 1
    for output in (dry.stdout, done.stdout):
        error, warning = output.splitlines()[-2:]
        assert error.startswith("Error: compute.device: expected a GPU for cuda, found none")
        assert warning.startswith("Warning: compute.loader_workers: expected at most")
    assert not (repository / "results" / "demo" / "survey").exists()


def test_missing_weights_are_reported_by_key_and_not_by_snakemake(repository):
    (repository / "bad.yaml").write_text("models: {stage1_resnet10: {network: {weights: nowhere/w.safetensors}}}\n")
    done = snakemake(repository, "-n", *overlays("bad.yaml"))
    assert done.returncode == 1
    assert "Error: models.stage1_resnet10.network.weights: expected a file of weights, found none at" in done.stdout
    assert "MissingInputException" not in done.stdout


# Snakemake's advice that this workflow does not follow, and why (docs/design.md).
NOT_FOLLOWED = {"Specify a conda environment or container for each rule", "Shell command directly uses variable"}


def test_snakemakes_lint_finds_nothing_but_what_is_meant(repository):
    found = re.findall(r"^    \* (.*):$", snakemake(repository, "--lint", *overlays()).stdout, re.MULTILINE)
    assert found
    assert [line for line in found if not line.startswith(tuple(NOT_FOLLOWED))] == []
