from dataclasses import replace
from pathlib import Path

import yaml

from salt.runtime import timings
from salt.runtime.makespan import Limits
from salt.runtime.timings import Timing
from salt.workflow.cost import Cost, TileCount
from salt.workflow.dry_run import summary, too_little_room
from salt.workflow.snakemake_adapter import FOLLOWS, SETTINGS, Job
from schemas.reading import check_config

CONFIG = check_config(yaml.safe_load(Path("workflow_config.yaml").read_text()))
TGS = TileCount(4000, 18000, 101 * 101)
ONE_GPU = Limits(cores=1, gpus=1)


def train_folds(model, first=0, **more):
    return [
        Job("train_fold", {"model": model, "fold": str(fold)}, number=first + fold, gpus=1, **more) for fold in range(5)
    ]


def text(jobs, measured=(), free=10**14, limits=ONE_GPU):
    return "\n".join(summary(jobs, Cost(CONFIG, TGS, measured), free, limits))


def test_trainings_are_listed_by_model():
    jobs = [*train_folds("stage1_resnet34"), Job("pretrain", {"model": "stage3_pad128", "scope": "all_folds"})]
    lines = [line.split() for line in text(jobs).splitlines()]
    assert ["5", "train_fold"] in lines
    assert ["5", "stage1_resnet34", "unknown", "until", "a", "first", "training", "is", "done"] in lines
    assert ["1", "stage3_pad128", "unknown", "until", "a", "first", "training", "is", "done"] in lines
    assert "5 trainings of folds and 1 pretrainings, unknown until a first training is done" in text(jobs)


def test_hours_are_reported_with_where_they_were_measured():
    network = timings.kind(CONFIG.models["stage1_resnet34"].network)
    measured = [Timing(network, (256, 256), tiles=960_000, seconds=3600, weights=142_000_000, device="NVIDIA H200")]
    jobs = train_folds("stage1_resnet34")  # 300 epochs of 3200 tiles each
    assert "at most about 5.0 h of training (NVIDIA H200)" in text(jobs, measured)
    half_known = text([*jobs, *train_folds("stage1_resnext50")], measured)
    assert "(NVIDIA H200) for 5 of them, the others unknown" in half_known


def test_hours_are_told_by_round_and_guessed_for_other_gpus():
    models = "stage1_resnet34", "stage2_resnet34"
    kinds = {timings.kind(CONFIG.models[model].network) for model in models}
    measured = [Timing(kind, (256, 256), 960_000, 3600, 142_000_000, "NVIDIA H200, bf16") for kind in kinds]
    jobs = [*train_folds(models[0]), *train_folds(models[1], first=5)]
    lines = text(jobs, measured).splitlines()
    assert "     5.0 h  round 1" in lines
    assert any(line.endswith("round 2") for line in lines)
    (guess,) = [line for line in text(jobs[:5], measured).splitlines() if "guessed from their peak rates" in line]
    assert "A100 16 h" in guess  # 989 / 312 times 5 h
    assert "H200" not in guess
    assert "guessed" not in text(jobs, [replace(timing, device="CPU, 2 threads, float32") for timing in measured])
    assert "round 1" not in text(jobs, measured[:1]) or len(kinds) == 1


def test_hours_side_by_side_and_on_the_critical_path_are_those_of_the_graph_of_jobs():
    network = timings.kind(CONFIG.models["stage1_resnet34"].network)
    measured = [Timing(network, (256, 256), tiles=960_000, seconds=3600, weights=142_000_000, device="NVIDIA H200")]
    first = train_folds("stage1_resnet34")
    blend = Job("blend", {"name": "stage1"}, number=9, after=frozenset(range(5)))
    jobs = [*first, blend, *train_folds("stage1_resnet34", first=10, after=frozenset({9}))]
    assert "about 10 h of training (NVIDIA H200); 10 h with gpu=1 and --cores 1, 2.0 h on the" in text(jobs, measured)
    assert "; 4.0 h with gpu=4 and --cores 8, 2.0 h on" in text(jobs, measured, limits=Limits(cores=8, gpus=4))
    assert "; 10 h with gpu=4 and --cores 1" in text(jobs, measured, limits=Limits(cores=1, gpus=4))
    assert "; 2.0 h with any number of GPUs and any number of cores" in text(jobs, measured, limits=Limits())


def test_a_change_that_many_jobs_share_is_one_line_with_what_they_have_in_common():
    change = ("phases.0.optimizer.lr: 0.002 -> 0.001",)
    jobs = [*train_folds("stage1_resnet34", why=SETTINGS, changes=change), Job("score", {}, FOLLOWS)]
    lines = [line.strip() for line in text(jobs).splitlines()]
    assert "5  settings changed" in lines
    assert "1  follows from another job" in lines
    assert "5  train_fold model=stage1_resnet34: phases.0.optimizer.lr: 0.002 -> 0.001" in lines
    more = [*jobs, *train_folds("stage1_resnext50", why=SETTINGS, changes=change)]
    assert "10  train_fold: phases.0.optimizer.lr: 0.002 -> 0.001" in text(more)


def test_the_reports_settings_which_are_those_of_all_others_are_reported_only_where_nothing_else_changed():
    change = Job("write_report", {}, SETTINGS, ("models.stage1_resnet34.phases.0.batch: 18 -> 19",))
    assert "write_report: models" in text([change])
    own = train_folds("stage1_resnet34", why=SETTINGS, changes=("phases.0.batch: 18 -> 19",))
    assert "write_report: models" not in text([*own, change])


def test_of_very_many_changes_of_the_same_jobs_the_first_are_shown():
    jobs = train_folds("stage1_resnet34", why=SETTINGS, changes=tuple(f"augment.{n}.p: 0.1 -> 0.2" for n in range(30)))
    other = train_folds("stage1_resnext50", why=SETTINGS, changes=("seed: 13 -> 14",))
    assert text([*jobs, *other]).count("0.1 -> 0.2") == 4
    assert "train_fold model=stage1_resnet34: ... and 26 more" in text([*jobs, *other])
    assert "train_fold model=stage1_resnext50: seed: 13 -> 14" in text([*jobs, *other])


def test_a_run_that_does_not_fit_is_reported_in_one_paragraph_and_what_to_do():
    (problem,) = too_little_room(19_300_000_000, 10_500_000, "results/tgs")
    for words in ("about 19.3 GB", "10.5 MB free", "results/tgs", "pathvars.results", "check_disk: false"):
        assert words in problem.text
    assert problem.stops
    assert "\n" not in problem.text
    assert list(too_little_room(5, 5, "results/tgs")) == []


def test_where_the_disk_is_too_small_a_dry_run_says_so():
    assert "which is too little" in text(train_folds("stage1_resnet34"), free=10**6)
    assert "which is too little" not in text(train_folds("stage1_resnet34"))
