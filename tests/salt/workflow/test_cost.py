import copy
import zipfile
from pathlib import Path

import pytest
import yaml

from salt.runtime import timings
from salt.runtime.makespan import Limits
from salt.runtime.timings import Timing
from salt.workflow.cost import Cost, TileCount, count_tiles
from salt.workflow.snakemake_adapter import Job
from schemas.reading import check_config

WINNING = yaml.safe_load(Path("workflow_config.yaml").read_text())
TGS = TileCount(4000, 18000, 101 * 101)
ONE_GPU = Limits(cores=1, gpus=1)
FOLDS = [str(fold) for fold in range(5)]


@pytest.fixture
def raw():
    return copy.deepcopy(WINNING)


def train_fold(model, fold="0", **more):
    return Job("train_fold", {"model": model, "fold": fold}, **more)


def pretrain(model):
    return Job("pretrain", {"model": model, "scope": "all_folds"})


def timing(config, model, side, **more):
    known = {"tiles": 1000, "seconds": 10.0, "weights": 7_000_000, "device": "NVIDIA H200"}
    return Timing(timings.kind(config.models[model].network), (side, side), **(known | more))


# Weights


def test_weights_of_a_counted_network_take_four_bytes_a_parameter(raw):
    cost = Cost(check_config(raw), TGS)
    assert cost.weights("stage1_resnet34") == 4 * cost.config.models["stage1_resnet34"].network.parameters


def test_weights_of_an_encoder_of_unknown_size_are_unknown_until_a_training_is_measured(raw):
    raw["models"]["stage1_resnet34"]["network"] = {"name": "unet", "encoder": "resnet18"}
    config = check_config(raw)
    jobs = [train_fold("stage1_resnet34"), train_fold("stage1_resnext50")]
    assert Cost(config, TGS).disk(jobs, ONE_GPU).unknown == ("stage1_resnet34",)
    measured = [timing(config, "stage1_resnet34", 64)]
    assert Cost(config, TGS, measured).disk(jobs[:1], ONE_GPU).kinds["weights"] == 6 * 7_000_000


# Disk


def test_the_winning_recipe_takes_tens_of_gigabytes(raw):
    config = check_config(raw)
    jobs = [train_fold(model, fold) for model in config.models for fold in FOLDS]
    jobs += [Job("predict_fold", job.wildcards) for job in jobs]
    jobs += [Job("blend", {"name": name}) for name in (*config.models, *config.ensembles)]
    kinds = Cost(config, TGS).disk(jobs, ONE_GPU).kinds
    assert kinds["weights"] == pytest.approx(17e9, rel=0.05)  # 4 to 6 snapshots of each of 30 folds
    assert kinds["predictions of models and ensembles"] == 9 * (4000 * 4 + 18000 * 2) * 101 * 101
    waiting = kinds["predictions of folds, until they are blended"]
    assert waiting == 2 * 5 * (800 * 4 + 18000 * 2) * 101 * 101  # of the two models of one round
    assert kinds["checkpoints, while trainings run"] == pytest.approx(14 * 142e6, rel=0.01)
    side_by_side = Cost(config, TGS).disk(jobs, Limits(cores=4)).kinds
    assert side_by_side["checkpoints, while trainings run"] > 3.5 * kinds["checkpoints, while trainings run"]


@pytest.mark.parametrize(
    ("keep", "sets", "replaced"),
    [
        ({"name": "best", "count": 5}, 5, 5),
        ({"name": "every", "epochs": 10}, 30, 0),
        ({"name": "last"}, 1, 1),
        ({"name": "best_of_cycle"}, 6, 1),
    ],
)
def test_weights_and_checkpoints_take_what_the_phases_keep(raw, keep, sets, replaced):
    model = raw["models"]["stage1_resnet34"]  # 300 epochs in 6 cycles, with SGD
    model["phases"][0]["keep"], model["members"] = keep, {"name": "equal"}
    config = check_config(raw)
    cost = Cost(config, TGS, [timing(config, "stage1_resnet34", 256)])
    kinds = cost.disk([train_fold("stage1_resnet34")], ONE_GPU).kinds
    assert kinds["weights"] == sets * 7_000_000
    # two checkpoints: weights, momentum, the best of the phase, those that another epoch may replace
    assert kinds["checkpoints, while trainings run"] == (2 * (3 + replaced) + sets) * 7_000_000


def test_predictions_that_pseudo_labels_of_a_fold_are_made_of_stay(raw):
    jobs = [Job("predict_fold", {"model": "stage1_resnet34", "fold": "0"})]
    raw["pseudo_labels"]["stage1_confident"]["scope"] = "fold"
    raw["pseudo_labels"]["stage1_by_size"]["scope"] = "fold"
    raw["pseudo_labels"]["stage2_confident"]["scope"] = "fold"
    kinds = Cost(check_config(raw), TGS).disk(jobs, ONE_GPU).kinds
    assert kinds == {
        "predictions of folds, kept for pseudo-labels": 18000 * 101 * 101 * 2,
        "predictions of folds, until they are blended": 800 * 101 * 101 * 4,
    }


def test_what_is_replaced_takes_no_more_room(raw):
    cost = Cost(check_config(raw), TGS, checkpoints=10**12)
    assert cost.disk([train_fold("stage1_resnet34", present=10**12)], ONE_GPU).total == 0


def test_without_a_number_of_tiles_only_weights_and_checkpoints_are_known(raw):
    jobs = [train_fold("stage1_resnet34"), Job("blend", {"name": "stage1"})]
    assert set(Cost(check_config(raw), None).disk(jobs, ONE_GPU).kinds) == {
        "weights",
        "checkpoints, while trainings run",
    }


def test_predictions_of_images_are_estimated_from_their_files_and_windows(raw, tmp_path):
    (tmp_path / "line.png").write_bytes(bytes(1000))
    raw["predict"], raw["windows"] = str(tmp_path), {"overlap": 0.5}
    assert Cost(check_config(raw), None).disk([Job("predict_images", {})], ONE_GPU).total == 2 * (1 + 4) * 1000


# Time


def test_a_training_takes_its_passes_at_the_speed_of_one_like_it(raw):
    config = check_config(raw)
    cost = Cost(config, TGS, [timing(config, "stage1_resnet34", 256), timing(config, "stage2_resnext50", 224)])
    assert cost.seconds(train_fold("stage1_resnet34")) == pytest.approx(300 * 3200 * 0.01)
    assert cost.seconds(pretrain("stage2_resnext50")) == pytest.approx((40 + 40) * 2 * 18000 * 0.01)


@pytest.mark.parametrize("scope", ["ensemble", "fold"])
def test_a_control_costs_what_its_model_costs(raw, scope):
    for labels in raw["pseudo_labels"].values():
        labels["scope"] = scope
    config = check_config(raw | {"controls": True})
    cost = Cost(config, TGS, [timing(config, "stage2_resnet34", 256), timing(config, "stage2_resnext50", 224)])
    for job in (train_fold, pretrain):
        assert cost.seconds(job("stage2_resnext50_control")) == cost.seconds(job("stage2_resnext50"))
    assert cost.seconds(train_fold("stage2_resnet34_control")) == cost.seconds(train_fold("stage2_resnet34"))


def test_pseudo_labels_that_join_a_fold_count_as_tiles(raw):
    config = check_config(raw)
    cost = Cost(config, TGS, [timing(config, "stage2_resnet34", 256)])
    seconds = [cost.seconds(train_fold("stage2_resnet34", fold)) for fold in FOLDS]
    added = [1580, 1580, 1600, 1580, 18000]  # at most: how much the rest is, nobody knows yet
    assert seconds == pytest.approx([200 * (3200 + tiles) * 0.01 for tiles in added])


def test_another_network_or_input_is_no_basis(raw):
    config = check_config(raw)
    cost = Cost(config, TGS, [timing(config, "stage1_resnet34", 128), timing(config, "stage2_resnet34", 256)])
    assert cost.seconds(train_fold("stage1_resnet34")) is None


def test_without_a_number_of_tiles_the_time_is_unknown(raw):
    config = check_config(raw)
    cost = Cost(config, None, [timing(config, "stage1_resnet34", 256)])
    assert cost.seconds(train_fold("stage1_resnet34")) is None


# Tiles


@pytest.fixture
def run(raw, tmp_path):
    """The winning recipe in a folder with its two tables."""
    raw["pathvars"]["results"], raw["data"]["root"] = str(tmp_path / "results"), str(tmp_path)
    (tmp_path / "train.csv").write_text("id,rle_mask\na,\nb,1 1\n")
    (tmp_path / "sample_submission.csv").write_text("id,rle_mask\nc,\nd,\ne,\n\n")
    return raw


def test_tiles_are_counted_in_the_tables(run):
    assert count_tiles(check_config(run)) == (2, 3, 101 * 101)


def test_tiles_are_counted_in_the_zip_with_everything(run, tmp_path):
    with zipfile.ZipFile(tmp_path / "tgs-salt-identification-challenge.zip", "w") as archive:
        for name in ("train.csv", "sample_submission.csv"):
            archive.write(tmp_path / name, name)
            (tmp_path / name).unlink()
    assert count_tiles(check_config(run)) == (2, 3, 101 * 101)


def test_without_tables_the_tiles_are_unknown(run, tmp_path):
    (tmp_path / "train.csv").unlink()
    assert count_tiles(check_config(run)) is None


def test_prepared_tiles_are_counted_without_constant_ones(run, tmp_path):
    (tmp_path / "results" / "tiles").mkdir(parents=True)
    table = "id,split,z,constant,coverage\na,train,1,True,0\nb,train,2,False,0.1\nc,test,3,False,\n"
    (tmp_path / "results" / "tiles" / "tiles.csv").write_text(table)
    (tmp_path / "results" / "tiles" / "train_masks.npy").write_bytes(b"0" * 2 * 64 * 96)
    assert count_tiles(check_config(run)) == (1, 1, 64 * 96)


def test_a_survey_that_is_not_made_yet_counts_with_its_maximum(run):
    run["survey"] = {"sections": 2, "rows": [4, 5], "columns": [5, 10], "test": 0.3}
    assert count_tiles(check_config(run)) == (70, 30, 101 * 101)


def test_tiles_whose_labels_will_be_hidden_are_tiles_to_predict(run):
    run["data"]["hide_labels"] = {"share": 0.5}
    assert count_tiles(check_config(run)) == (1, 4, 101 * 101)
    run["survey"] = {"sections": 2, "rows": [4, 5], "columns": [5, 10], "test": 0.3}
    assert count_tiles(check_config(run)) == (35, 65, 101 * 101)


def test_prepared_tiles_are_counted_with_their_labels_hidden_already(run, tmp_path):
    run["data"]["hide_labels"] = {"share": 0.5}
    (tmp_path / "results" / "tiles").mkdir(parents=True)
    table = "id,split,z,constant,coverage\na,train,1,False,0\nc,test,3,False,\nb,test,2,False,\n"
    (tmp_path / "results" / "tiles" / "tiles.csv").write_text(table)
    (tmp_path / "results" / "tiles" / "train_masks.npy").write_bytes(b"0" * 64 * 96)
    assert count_tiles(check_config(run)) == (1, 2, 64 * 96)


def test_hidden_masks_take_room_beside_the_others(raw):
    def tiles_and_masks(tiles):
        return Cost(check_config(raw), tiles).disk([Job("prepare_tiles", {})], ONE_GPU).total

    before = tiles_and_masks(TGS)
    raw["data"]["hide_labels"] = {"share": 0.3}
    assert tiles_and_masks(TileCount(2800, 19200, 101 * 101)) == before


def test_time_on_a_cpu_is_estimated_for_networks_with_an_encoder_and_divided_by_threads(raw):
    raw["models"]["stage1_resnext50"]["network"] = {"name": "unet_plain"}
    raw["models"]["stage1_resnet34"]["network"] = {"name": "unet", "encoder": "resnet18"}
    seconds = {}
    for threads in (1, 4):
        raw["compute"]["threads"] = threads
        cost = Cost(check_config(raw), TGS)
        seconds[threads] = cost.seconds_on_cpu(train_fold("stage1_resnet34"))
        assert cost.seconds_on_cpu(train_fold("stage1_resnext50")) == 0
    assert seconds[1] == 300 * 3200 * 256**2 / 20_000 == 4 * seconds[4]
    assert Cost(check_config(raw), None).seconds_on_cpu(train_fold("stage1_resnet34")) == 0


@pytest.mark.parametrize(("scope", "tiles"), [("ensemble", 5 * 10), ("fold", 10)])
def test_a_pretraining_learns_from_the_size_classes_of_all_folds_that_it_serves(raw, scope, tiles):
    sizes = [{"pixels": [0, 0], "count": 4}, {"pixels": [1, 500], "count": 6}]
    raw["pseudo_labels"]["stage1_confident"] |= {"per_fold": sizes, "scope": scope}
    config = check_config(raw)
    basis = timing(config, "stage2_resnext50", 224)
    seconds = Cost(config, TGS, [basis]).seconds(pretrain("stage2_resnext50"))
    assert seconds == pytest.approx(2 * (40 + 40) * tiles * basis.seconds / basis.tiles)  # two passes an epoch


@pytest.mark.parametrize("scope", ["ensemble", "fold"])
@pytest.mark.parametrize("known", [False, True])
def test_shards_take_the_room_that_one_job_would(raw, scope, known):
    for labels in raw["pseudo_labels"].values():
        labels["scope"] = scope
    if known:
        raw["data"]["hide_labels"] = {"share": 0.3}
    of_fold = {"model": "stage1_resnet34", "fold": "0"}
    whole = Cost(check_config(raw), TGS).disk([Job("predict_fold", of_fold)], ONE_GPU)
    raw["compute"] = {"shards": 4}
    jobs = [Job("predict_fold", of_fold), *(Job("predict_shard", of_fold | {"shard": f"{k}"}) for k in range(1, 5))]
    assert Cost(check_config(raw), TGS).disk(jobs, ONE_GPU) == whole
