import copy
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from salt.workflow import run_hooks
from salt.workflow.dag import Plan
from schemas.errors import UserError

WINNING = yaml.safe_load(Path("workflow_config.yaml").read_text())


@pytest.fixture
def raw():
    return copy.deepcopy(WINNING)


def wildcards(**values):
    return SimpleNamespace(**values)


def test_the_three_rounds_follow_from_the_names(raw):
    plan = Plan(raw)
    stage2 = wildcards(model="stage2_resnext50", scope="all_folds")
    assert plan.pretrain_pseudo_labels(stage2)[0] == Path(
        "results/tgs/pseudo_labels/stage1_confident/all_folds/masks.npy"
    )
    assert plan.pseudo_label_sources(wildcards(labels="stage1_confident", scope="all_folds")) == [
        Path("results/tgs/ensembles/stage1/test.npy")
    ]
    assert plan.test_members(wildcards(name="stage1")) == [
        Path("results/tgs/ensembles/stage1_resnet34/test.npy"),
        Path("results/tgs/ensembles/stage1_resnext50/test.npy"),
    ]
    assert plan.labelled_members(wildcards(name="stage1_resnet34"))[4] == (
        Path("results/tgs/models/stage1_resnet34/fold4/held_out.npy")
    )
    assert plan.pretrained_weights(wildcards(model="stage1_resnet34", fold="3")) == []
    assert plan.pretrained_weights(wildcards(model="stage2_resnext50", fold="3")) == [
        Path("results/tgs/models/stage2_resnext50/pretrain/all_folds/weights.safetensors")
    ]
    assert plan.added_pseudo_labels(wildcards(model="stage2_resnet34", fold="3")) == [
        Path(f"results/tgs/pseudo_labels/stage1_by_size/all_folds/{name}")
        for name in ("masks.npy", "pseudo_labels.csv")
    ]
    assert len([path for path in plan.histories() if "/pretrain/" in str(path)]) == 3
    assert len(plan.pseudo_label_tables()) == 3


@pytest.fixture
def honest(raw):
    """The winning recipe, with folds that learn only from their own models."""
    for labels in raw["pseudo_labels"].values():
        labels["scope"] = "fold"
    raw["ensembles"]["stage1"]["stage1_resnet34"] = 2
    return raw


def test_with_scope_fold_a_fold_learns_only_from_its_own_models(honest):
    plan, results = Plan(honest), "results/tgs"
    sources = plan.pseudo_label_sources(wildcards(labels="stage1_confident", scope="fold3"))
    assert sources == [
        Path(f"{results}/models/{model}/fold3/test.npy") for model in ("stage1_resnet34", "stage1_resnext50")
    ]
    assert plan.pretrain_pseudo_labels(wildcards(model="stage2_resnext50", scope="fold3"))[0] == (
        Path(f"{results}/pseudo_labels/stage1_confident/fold3/masks.npy")
    )
    assert plan.pretrained_weights(wildcards(model="stage2_resnext50", fold="3")) == [
        Path(f"{results}/models/stage2_resnext50/pretrain/fold3/weights.safetensors")
    ]
    assert plan.added_pseudo_labels(wildcards(model="stage2_resnet34", fold="3"))[1] == (
        Path(f"{results}/pseudo_labels/stage1_by_size/fold3/pseudo_labels.csv")
    )
    assert len([path for path in plan.histories() if "/pretrain/fold" in str(path)]) == 3 * 5
    assert len(plan.pseudo_label_tables()) == 3 * 5


def test_a_control_reads_the_tables_of_its_models_sets_alone_and_is_pretrained_for_each_fold(raw):
    plan, results = Plan(raw | {"controls": True}), "results/tgs"
    assert plan.pretrain_pseudo_labels(wildcards(model="stage2_resnext50_control", scope="fold3")) == [
        Path(f"{results}/pseudo_labels/stage1_confident/all_folds/pseudo_labels.csv")
    ]
    assert plan.added_pseudo_labels(wildcards(model="stage2_resnet34_control", fold="3")) == [
        Path(f"{results}/pseudo_labels/stage1_by_size/all_folds/pseudo_labels.csv")
    ]
    assert plan.pretrained_weights(wildcards(model="stage2_resnext50_control", fold="3")) == [
        Path(f"{results}/models/stage2_resnext50_control/pretrain/fold3/weights.safetensors")
    ]
    assert plan.pretrain_folds(wildcards(model="stage2_resnext50_control")) == [Path(f"{results}/folds.csv")]
    assert plan.pretrain_folds(wildcards(model="stage2_resnext50")) == []
    assert json.loads(plan.pretrain_settings(wildcards(model="stage2_resnext50_control", scope="fold3")))["fold"] == 3


def test_a_control_of_a_model_with_honest_sets_reads_those_of_its_fold(honest):
    plan, results = Plan(honest | {"controls": True}), "results/tgs"
    assert plan.pretrain_pseudo_labels(wildcards(model="stage2_resnext50_control", scope="fold3")) == [
        Path(f"{results}/pseudo_labels/stage1_confident/fold3/pseudo_labels.csv")
    ]
    assert plan.added_pseudo_labels(wildcards(model="stage2_resnet34_control", fold="3")) == [
        Path(f"{results}/pseudo_labels/stage1_by_size/fold3/pseudo_labels.csv")
    ]


def test_controls_change_no_other_training_and_differ_from_their_models_in_that_and_their_seed(raw):
    plain, plan = Plan(raw), Plan(raw | {"controls": True})
    for model in plain.models:
        assert plain.train_settings(wildcards(model=model)) == plan.train_settings(wildcards(model=model))
    model, control = (
        json.loads(plan.train_settings(wildcards(model=name)))
        for name in ("stage2_resnet34", "stage2_resnet34_control")
    )
    assert control == model | {"control": True, "seed": model["seed"] + 1}
    assert plan.names == [*plan.config.models, *plan.config.ensembles]
    assert {"stage2_resnet34_control", "final_control"} <= set(plan.names)


def test_the_models_of_a_fold_weigh_as_in_their_ensemble(honest):
    plan = Plan(honest)

    def settings(labels, scope):
        return json.loads(plan.pseudo_label_settings(wildcards(labels=labels, scope=scope)))

    assert settings("stage1_confident", "fold3")["weights"] == [2, 1]  # sorted by name, as the files
    assert settings("stage1_confident", "fold3")["fold"] == 3
    assert settings("stage1_confident", "all_folds")["weights"] == [1]
    assert settings("stage1_confident", "all_folds")["fold"] is None


def test_a_single_model_makes_pseudo_labels_like_an_ensemble(honest):
    honest["pseudo_labels"]["stage1_by_size"]["ensemble"] = "stage1_resnet34"
    which = wildcards(labels="stage1_by_size", scope="fold0")
    assert Plan(honest).pseudo_label_sources(which) == [Path("results/tgs/models/stage1_resnet34/fold0/test.npy")]


def test_a_training_sees_only_its_own_settings(raw):
    before = Plan(raw)
    raw["models"]["stage1_resnet34"]["phases"][0]["batch"] = 19
    raw["models"]["stage2_resnext50"]["pretrain"]["phases"][0]["batch"] = 29
    raw["models"]["stage3_pad128"]["members"] = {"phase1_cycle1": 1}
    raw["compute"]["loader_workers"] = 11
    after = Plan(raw)

    def changed(settings, **which):
        return getattr(before, settings)(wildcards(**which)) != getattr(after, settings)(wildcards(**which))

    models = before.models
    assert [m for m in models if changed("train_settings", model=m)] == ["stage1_resnet34"]
    assert [m for m in models if changed("predict_settings", model=m)] == ["stage3_pad128"]
    assert changed("pretrain_settings", model="stage2_resnext50", scope="all_folds")
    assert not changed("pretrain_settings", model="stage3_pad128", scope="all_folds")


def test_what_a_fold_does_with_labelled_tiles_is_no_setting_of_a_pretraining_on_pseudo_labels(raw):
    plan = Plan(raw)
    own = json.loads(plan.train_settings(wildcards(model="stage3_pad128")))
    pretraining = json.loads(plan.pretrain_settings(wildcards(model="stage3_pad128", scope="all_folds")))
    assert (own["constant_tiles"], own["labelled_share"]) == ("train", None)
    assert not {"constant_tiles", "labelled_share"} & pretraining.keys()


def encoder(slug):
    return Path(f"results/tgs/encoders/{slug}.safetensors")


def test_each_encoders_weights_are_fetched_once_and_passed_to_the_first_training(raw):
    plan = Plan(raw)
    assert set(plan.encoders) == {"resnet34-imagenet", "resnext50_32x4d-imagenet"}
    assert plan.encoder_files(wildcards(encoder="resnet34-imagenet")) == []
    resnet34, resnext50 = [encoder("resnet34-imagenet")], [encoder("resnext50_32x4d-imagenet")]
    assert plan.fold_encoder_weights(wildcards(model="stage1_resnet34")) == resnet34
    assert plan.encoder_weights(wildcards(model="stage2_resnext50")) == resnext50
    assert plan.fold_encoder_weights(wildcards(model="stage2_resnext50")) == []  # they start from the pretraining's


def test_a_local_file_of_weights_is_an_input_and_none_needs_nothing(raw):
    raw["models"]["stage1_resnet34"]["network"]["weights"] = "mine/r34.safetensors"
    raw["models"]["stage1_resnext50"]["network"]["weights"] = "none"
    plan = Plan(raw)
    (path,) = plan.fold_encoder_weights(wildcards(model="stage1_resnet34"))
    which = wildcards(encoder=Path(path).stem)
    assert plan.encoder_files(which) == [Path("mine/r34.safetensors")]
    assert json.loads(plan.encoder_settings(which)) == {"encoder": "resnet34", "weights": "mine/r34.safetensors"}
    assert plan.fold_encoder_weights(wildcards(model="stage1_resnext50")) == []


def test_the_file_of_a_package_is_no_input(raw):
    network = {"name": "unet", "encoder": "tu-tf_efficientnet_lite0", "weights": "package"}
    raw["models"]["stage1_resnet34"]["network"] = network
    plan = Plan(raw)
    which = wildcards(encoder="tu-tf_efficientnet_lite0-package")
    assert plan.encoder_files(which) == []
    assert json.loads(plan.encoder_settings(which)) == {"encoder": network["encoder"], "weights": "package"}


def test_all_jigsaw_rules_are_scored_whichever_is_chosen(raw):
    settings = Plan(raw).score_settings()
    steps = [{"name": "threshold", "above": 0.5}, {"name": "empty_constant"}]
    assert json.loads(settings)["postprocess"] == steps
    assert json.loads(settings)["jigsaw"] == ["none", "published", "extended"]
    for rule in ([], [{"name": "jigsaw", "rule": "extended"}]):
        raw["submission"]["postprocess"] = [*steps, *rule]
        assert Plan(raw).score_settings() == settings


def test_stages_are_compared_with_the_one_before_and_the_first(raw):
    comparisons = json.loads(Plan(raw).score_settings())["comparisons"]
    assert [(pair["name"], pair["than"], pair["role"]) for pair in comparisons] == [
        ("stage2", "stage1", "before"),
        ("stage2", "stage1", "first"),
        ("final", "stage2", "before"),
        ("final", "stage1", "first"),
    ]


def test_pseudo_labels_are_scored_only_where_a_survey_knows_their_true_masks(raw):
    assert Plan(raw).pseudo_label_scores() == []
    raw["survey"] = {"sections": 2}
    assert Plan(raw).pseudo_label_scores() == [Path("results/tgs/pseudo_label_scores.csv")]
    raw["pseudo_labels"]["stage1_by_size"]["scope"] = "fold"
    plan = Plan(raw)
    assert plan.pseudo_label_sets == [
        *("stage1_confident/all_folds", "stage2_confident/all_folds"),
        *(f"stage1_by_size/fold{fold}" for fold in range(5)),
    ]
    assert [path.parent for path in plan.pseudo_label_masks()] == [path.parent for path in plan.pseudo_label_tables()]


def test_the_settings_of_postprocess_are_its_steps_alone(raw):
    assert json.loads(Plan(raw).settings("submission", "postprocess")) == raw["submission"]["postprocess"]


def test_a_run_to_compare_with_concerns_the_report_alone(raw, tmp_path):
    before = Plan(raw)
    raw["report"] = {"compare": [str(tmp_path / "other")]}
    after = Plan(raw)
    assert before.compared_runs() == []
    assert json.loads(after.report_settings())["report"] == raw["report"]
    assert before.report_settings() != after.report_settings()
    for part in ("data", "folds", "mosaics", "submission"):
        assert before.settings(part) == after.settings(part)
    with pytest.raises(SystemExit, match="finished run in .*other, which report.compare names, found no such fold"):
        after.compared_runs()


def test_hidden_masks_are_a_file_beside_the_tiles_if_labels_are_hidden(raw):
    assert Plan(raw).hidden_masks() == []
    raw["data"]["hide_labels"], raw["survey"] = {"share": 0.3}, {}
    plan = Plan(raw)
    assert plan.hidden_masks() == [Path("results/tgs/hidden_masks.npy")]
    assert plan.run.hidden_masks not in plan.run.tiles.all  # programs are given the whole folder of the tiles
    assert plan.run.hidden_masks.parent != plan.run.tiles.folder
    assert json.loads(plan.data_settings())["hide_labels"] == {"share": 0.3, "seed": 0}


def test_folds_read_mosaics_and_duplicates_only_if_they_keep_mosaics_together(raw):
    assert Plan(raw).fold_inputs() == []
    raw["folds"]["by"] = "mosaic"
    assert Plan(raw).fold_inputs() == [Path("results/tgs/mosaics.csv"), Path("results/tgs/duplicates.csv")]


def test_only_folds_from_a_file_depend_on_it(raw):
    assert Plan(raw).fold_file() == []
    raw["folds"] |= {"by": "file", "file": "data/mine.csv"}
    assert Plan(raw).fold_file() == [Path("data/mine.csv")]
    assert Plan(raw).fold_inputs() == []


def test_settings_do_not_depend_on_the_order_of_keys(raw):
    upside_down = copy.deepcopy(raw)
    model = upside_down["models"]["stage1_resnet34"]
    upside_down["models"]["stage1_resnet34"] = dict(reversed(model.items()))
    which = wildcards(model="stage1_resnet34")
    assert Plan(raw).train_settings(which) == Plan(upside_down).train_settings(which)
    assert json.loads(Plan(raw).train_settings(which))["seed"] == 13


def test_an_invalid_config_ends_with_just_its_faults(raw):
    raw["ensembles"]["stage1"] = {"stage1_resnet43": 1}
    with pytest.raises(SystemExit, match=r"\nensembles.stage1: .*; did you mean stage1_resnet34\?$"):
        Plan(raw)


def test_missing_data_end_with_what_to_do(raw, tmp_path):
    raw["data"]["root"] = str(tmp_path)
    with pytest.raises(UserError, match="make demo"):
        Plan(raw).data_files()


def test_on_a_cpu_no_job_waits_for_a_gpu(raw):
    assert (Plan(raw).gpus, Plan(raw).threads) == (1, 1)
    raw["compute"] |= {"device": "cpu", "threads": 3}
    assert (Plan(raw).gpus, Plan(raw).threads) == (0, 3)


def test_weights_of_a_blend_stay_with_their_members(raw):
    raw["ensembles"]["stage1"] = {"stage1_resnext50": 1, "stage1_resnet34": 2}
    turned = copy.deepcopy(raw)
    turned["ensembles"]["stage1"] = {"stage1_resnet34": 2, "stage1_resnext50": 1}
    which = wildcards(name="stage1")
    for plan in (Plan(raw), Plan(turned)):
        weights = json.loads(plan.blend_settings(which))["weights"]
        assert [Path(path).parent.name for path in plan.test_members(which)] == list(weights)
        assert weights == {"stage1_resnet34": 2, "stage1_resnext50": 1}


def test_an_edited_image_reruns_prepare_tiles_and_a_stray_file_does_not(raw, tmp_path):
    for folder in ("train/images", "train/masks", "test/images"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "a.png").write_bytes(b"1")
    raw["data"]["root"] = str(tmp_path)
    before = Plan(raw).data_settings()
    (tmp_path / "train" / "images" / ".DS_Store").touch()
    assert Plan(raw).data_settings() == before
    (tmp_path / "train" / "masks" / "a.png").write_bytes(b"22")
    assert Plan(raw).data_settings() != before


@pytest.fixture
def predicting(raw, tmp_path):
    """The winning recipe, set to predict other images, without tiles and weights."""
    (tmp_path / "lines").mkdir()
    raw["pathvars"]["results"], raw["data"]["root"] = str(tmp_path), str(tmp_path / "nowhere")
    return raw | {"predict": str(tmp_path / "lines")}


def test_a_prediction_is_all_that_is_made_and_needs_no_tiles_and_no_other_runs(predicting, raw, tmp_path):
    assert Plan(raw).targets()[0] == tmp_path / "submission.csv"
    plan = Plan(predicting)
    assert plan.targets() == [
        tmp_path / "predictions" / "lines" / name for name in ("masks", "probabilities", "masks.csv")
    ]
    predicting["report"] = {"compare": [f"{tmp_path}/elsewhere"]}
    assert plan.data_files() == plan.data_folders() == Plan(predicting).compared_runs() == []


def test_a_prediction_without_weights_or_images_ends_before_any_job(predicting, tmp_path):
    with pytest.raises(SystemExit, match="^Error: To predict.* the folder is empty"):
        Plan(predicting).image_settings(wildcards())
    (tmp_path / "lines" / "a.png").touch()
    with pytest.raises(SystemExit, match="^Error: To predict.* Train first"):
        Plan(predicting).image_settings(wildcards())


def test_a_prediction_leaves_the_config_of_the_run_and_the_settings_of_its_report_as_they_are(
    predicting, raw, tmp_path
):
    run_hooks.save_config(Plan(predicting).config)
    assert not (tmp_path / "config.yaml").exists()
    predicting["windows"] = {"overlap": 0.7}
    assert Plan(predicting).report_settings() == Plan(raw).report_settings()


def test_in_folders_any_image_that_changes_reruns_prepare_tiles(raw, tmp_path):
    for folder in ("train/images", "train/masks", "test/images"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "a.tif").write_bytes(b"1")
    raw["data"] = {"layout": "folders", "root": str(tmp_path)}
    before = Plan(raw).data_settings()
    assert Plan(raw).data_folders() == [tmp_path / name for name in ("train/images", "train/masks", "test/images")]
    (tmp_path / "test" / "images" / ".DS_Store").touch()
    assert Plan(raw).data_settings() == before
    (tmp_path / "test" / "images" / "b.jpg").touch()
    assert Plan(raw).data_settings() != before


def test_shards_are_inputs_of_what_reads_a_fold_and_change_no_settings(raw):
    for labels in raw["pseudo_labels"].values():
        labels["scope"] = "fold"
    plan, sharded = Plan(raw), Plan(raw | {"compute": {"shards": 2}})
    fold = Path("results/tgs/models/stage1_resnet34/fold0")
    shards = [fold / "test_1_of_2.npy", fold / "test_2_of_2.npy"]
    model, labels = wildcards(name="stage1_resnet34"), wildcards(labels="stage1_confident", scope="fold0")
    assert plan.test_members(model)[0] == fold / "test.npy"
    assert sharded.test_members(model)[:2] == shards
    assert len(sharded.test_members(model)) == 10
    assert set(shards) < set(sharded.pseudo_label_sources(labels))
    assert sharded.blend_settings(model) == plan.blend_settings(model)
    assert sharded.pseudo_label_settings(labels) == plan.pseudo_label_settings(labels)
    which = wildcards(model="stage1_resnet34", fold="0")
    assert sharded.predict_settings(which) == plan.predict_settings(which)
