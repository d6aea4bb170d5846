"""The whole DAG on a tiny survey: the results of a run, and the jobs that an edit reruns."""

import json
import os
import re
import shutil
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from humanfriendly import parse_size
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from models.registry import create_network
from salt.data import rle
from salt.data.network_input import Geometry
from salt.data.records import open_records
from salt.data.tiles import load_tiles
from salt.inference.predictor import Predictor
from salt.report import front_page, so_far
from salt.runtime import paths, provenance
from schemas.networks import Input, PlainUnet
from schemas.reading import check_config
from tests.workflow.conftest import REPOSITORY, copy_of_the_repository, jobs, overlays, snakemake, snakemakes_log

pytestmark = pytest.mark.slow


def read_masks(path, side=101):
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    return dict(zip(table["id"], (rle.decode(text, side, side) for text in table["rle_mask"]), strict=True))


def overlap(masks, truth):
    """IoU over the pixels of all tiles together."""
    pairs = [(masks[name].astype(bool), truth[name].astype(bool)) for name in truth]
    return sum((a & b).sum() for a, b in pairs) / sum((a | b).sum() for a, b in pairs)


def test_the_submission_holds_the_samples_ids_in_order_with_valid_masks(run):
    sample = pd.read_csv(run.results / "survey" / "sample_submission.csv", dtype=str)
    submission = pd.read_csv(run.results / "submission.csv", dtype=str, keep_default_na=False)
    assert submission.columns.tolist() == ["id", "rle_mask"]
    assert submission["id"].tolist() == sample["id"].tolist()
    final = open_records(run.results / "postprocess" / "masks.npy")
    masks = read_masks(run.results / "submission.csv")
    assert all(np.array_equal(masks[name], mask) for name, mask in zip(final["id"], final["mask"], strict=True))


FLOOR = 0.35  # IoU of all test pixels; a fifth of them is salt, so "salt everywhere" gets 0.2


def test_the_submission_finds_the_salt_and_an_untrained_network_does_not(run):
    truth = read_masks(run.results / "survey" / "truth" / "test_masks.csv")
    assert overlap(read_masks(run.results / "submission.csv"), truth) > FLOOR
    test = load_tiles(run.results / "tiles", "test")
    for seed in range(3):
        torch.manual_seed(seed)
        network = create_network(PlainUnet(name="unet_plain", width=8, levels=4)).eval()
        geometry = Geometry(Input(resize=64, channels="ramp"), tile=(101, 101))
        tta = Predictor([network], [1], geometry, torch.device("cpu")).predict(test.images, test.depths).tta
        assert overlap(dict(zip(test.ids, tta > 0.5, strict=True)), truth) < FLOOR


def test_every_stage_is_scored_on_both_kinds_of_labels(run):
    scores = pd.read_csv(run.results / "scores.csv")
    for name in ("stage1", "stage2", "stage3", "final"):
        rows = scores[scores["name"] == name]
        assert set(zip(rows["labels"], rows["tta"], rows["jigsaw"], strict=True)) == {
            (labels, tta, jigsaw)
            for labels in ("out_of_fold", "true_test")
            for tta in (False, True)
            for jigsaw in ("none", "published", "extended")
        }
    assert scores["score"].between(0, 1).all()


def test_the_run_ends_with_scores_and_the_paths_of_the_results(run):
    summary = run.output[run.output.index("out of fold") :]
    assert re.search(r"^final +0\.\d{4}", summary, re.MULTILINE)
    answer = r"^final (is better|is worse|does not differ).*, over \d+ test tiles with known masks\."
    assert re.search(answer, summary, re.MULTILINE)
    assert "submission  results/tiny/submission.csv" in summary
    assert "report      results/tiny/report.html" in summary


def test_a_training_shows_its_progress_in_terminal_and_log(run):
    line = r"phase 1/1 bce_dice \| epoch \d/4 \| lr .* \| loss .* \| .* score .* \| \d+ images/s \| .* left"
    assert re.search(line, run.output)
    logs = list((run.results / "logs" / "train_fold").glob("stage3_plain_fold*.log"))
    assert len(logs) == 2
    assert all(len(re.findall(line, log.read_text())) == 4 for log in logs)


def test_every_training_left_its_curve(run):
    histories = sorted(run.results.glob("models/**/history.csv"))
    assert len(histories) == 13
    for path in histories:
        model, *part, _ = path.relative_to(run.results / "models").parts
        table = pd.read_csv(path)
        curve = EventAccumulator(str(run.results / "tensorboard" / "_".join([model, *part]))).Reload()
        for tag, column in (("loss/training", "loss"), ("score/held out", "score")):
            if table[column].notna().all():
                assert [event.step for event in curve.Scalars(tag)] == list(range(1, len(table) + 1))
                assert [event.value for event in curve.Scalars(tag)] == pytest.approx(table[column].tolist(), rel=1e-5)
        assert bool(curve.Tags()["images"]) == ("pretrain" not in part)


def test_the_report_tells_what_the_jobs_of_each_rule_took(run):
    costs = (run.results / "report.html").read_text().partition('<section id="costs">')[2]
    rows = dict(re.findall(r"<tr><th><code>(\w+)</code></th><td>(\d+)</td>", costs))
    assert rows == {
        **dict.fromkeys(("make_survey", "prepare_tiles", "assemble_mosaics", "make_folds", "score"), "1"),
        **dict.fromkeys(("score_pseudo_labels", "postprocess", "write_submission"), "1"),
        **{"make_pseudo_labels": "5", "pretrain": "3", "train_fold": "10", "predict_fold": "10", "blend": "9"},
    }
    assert "CPU, 1 threads, float32" in costs


def test_a_report_so_far_of_a_finished_run_says_so(run, monkeypatch):
    monkeypatch.chdir(run.folder)  # the config's paths start there
    so_far.main(["--run", str(run.results)])
    text = (run.results / "report_so_far.html").read_text()
    (run.results / "report_so_far.html").unlink()
    assert "This run has finished" in text
    assert "Not there yet" not in text
    assert "Older than" not in text


def test_snakemakes_own_report_holds_the_results_with_their_captions(run, tmp_path):
    done = snakemake(run.folder, *overlays(), "--report", str(tmp_path / "report.zip"))
    assert done.returncode == 0, done.stdout
    with zipfile.ZipFile(tmp_path / "report.zip") as file:
        held = " ".join(file.namelist())
        text = "".join(file.read(name).decode(errors="replace") for name in file.namelist() if name.endswith(".html"))
    for name in ("report.html", "mosaics.html", "scores.csv", "differences.csv", "submission.csv"):
        assert name in held
    for words in ("The competition", "whether the rounds paid", "as run lengths"):
        assert words in text


def test_predictions_of_folds_are_deleted_after_blending_unless_folds_learn_from_them(run):
    left = {path.name for path in run.results.glob("models/*/fold*/*.npy")}
    assert left == {"test.npy"}  # its sets of pseudo-labels with `scope: fold` can be edited without predicting again
    assert not (run.results / "checkpoints").exists() or not list((run.results / "checkpoints").iterdir())


def test_each_fold_has_pseudo_labels_and_a_pretraining_of_its_own(run):
    for labels in ("stage1_confident", "stage1_by_size"):
        paths = [run.results / f"pseudo_labels/{labels}/fold{fold}/pseudo_labels.csv" for fold in (0, 1)]
        tables = [pd.read_csv(path) for path in paths]
        assert [set(table["fold"]) for table in tables] == [{0}, {1}]
        assert not tables[0]["confidence"].equals(tables[1]["confidence"])
    pretrained = [run.results / f"models/stage2_plain/pretrain/fold{fold}/weights.safetensors" for fold in (0, 1)]
    assert pretrained[0].read_bytes() != pretrained[1].read_bytes()


def test_the_picture_of_the_front_page_shows_a_mosaic_and_the_stages(run, monkeypatch):
    monkeypatch.chdir(run.folder)  # the config's paths start there
    page = front_page.page(paths.Run(Path("results/tiny")))
    assert page.count('class="picture"') == 3
    assert all(f">{stage}<" in page for stage in ("stage1", "stage2", "stage3", "final"))


def test_no_temporary_file_is_left(run):
    hidden = {path.name for path in run.results.rglob(".*")} - {".snakemake_timestamp"}
    assert hidden == set()


def kept_config(run):
    return yaml.safe_load((run.results / "config.yaml").read_text())


def test_the_provenance_of_every_result_names_its_program(run):
    results = provenance.results(check_config(kept_config(run)), paths.Run(run.results))
    made = {run.folder / output: stage for stage, outputs in results.items() for output in outputs}
    made[run.results / "report.html"] = "write_report"
    found = {path: json.loads(path.read_text())["program"] for path in run.results.rglob("*.provenance.json")}
    assert found == {provenance.path_of(output): stage for output, stage in made.items()}


def test_a_second_run_was_refused_at_once_and_left_no_trace(run):
    assert run.second_run is not None
    assert run.second_run.returncode != 0
    assert "another run (process" in run.second_run.stdout
    assert "Traceback" not in run.second_run.stdout
    assert run.second_run_left == set()


def dry_run_text(run, overlay, tmp_path):
    path = tmp_path / "edit.yaml"
    path.write_text(yaml.safe_dump(overlay))
    done = snakemake(run.folder, *run.command, str(path), "-n")
    assert done.returncode == 0, done.stdout
    return done.stdout


def dry_run(run, overlay, tmp_path):
    return jobs(dry_run_text(run, overlay, tmp_path))


def test_other_images_are_predicted_from_the_weights_alone_like_the_runs_own_tiles(run, tmp_path):
    folder = copy_of_the_repository(tmp_path)
    shutil.copytree(run.results / "models", folder / "results" / "tiny" / "models")
    test = load_tiles(run.results / "tiles", "test")
    rows = np.flatnonzero(~test.table["constant"])[:3]
    images = folder / "my {odd} images"
    images.mkdir()
    for row in rows[:2]:
        cv2.imwrite(str(images / f"{test.ids[row]}.png"), test.images[row])
    cv2.imwrite(str(images / "section.png"), np.hstack(test.images[rows]))
    done = snakemake(folder, *run.command, "--config", f"predict={images.name}")
    assert done.returncode == 0, done.stdout
    assert jobs(snakemakes_log(folder)) == {"predict_images", "all"}
    assert "3 images are predicted" in done.stdout
    predicted = open_records(run.results / "ensembles" / "final" / "test.npy")["tta"]
    read = folder / "results" / "tiny" / "predictions" / "my__odd__images" / "probabilities"
    for row in rows[:2]:
        found = cv2.imread(str(read / f"{test.ids[row]}.png"), cv2.IMREAD_UNCHANGED) / 65535
        assert np.abs(found - predicted[row]).max() < 1e-3  # three roundings to float16 and one to 16 bits
    assert cv2.imread(str(read / "section.png"), cv2.IMREAD_UNCHANGED).shape == (101, 303)


END = {"score", "postprocess", "write_submission", "write_report", "all"}


def of_both_folds(models, *rules):
    return {f"{rule} model={model}, fold={fold}" for rule in rules for model in models for fold in (0, 1)}


STAGE3 = {
    "pretrain model=stage3_plain, scope=all_folds",
    *of_both_folds(["stage3_plain"], "train_fold", "predict_fold"),
    *("blend name=stage3_plain", "blend name=stage3", "blend name=final"),
}


def test_nothing_is_left_to_do(run, tmp_path):
    assert dry_run(run, {}, tmp_path) == set()


def test_touched_files_with_the_same_bytes_rerun_nothing(run, tmp_path):
    sources = [run.results / "survey" / "train.zip", *(run.results / "tiles").glob("*.npy")]
    times = {path: path.stat() for path in sources}
    for path in sources:
        path.touch()
    try:
        assert dry_run(run, {}, tmp_path) == set()
    finally:
        for path, before in times.items():
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("profile", ["default", "slurm"])
def test_snakemake_hashes_files_as_large_as_the_competitions(profile):
    options = yaml.safe_load((REPOSITORY / "profiles" / profile / "config.yaml").read_text())
    assert parse_size(options["max-checksum-file-size"]) > 18_000 * 101 * 101  # by itself it hashes up to 1 MB


def test_a_dry_run_does_not_change_the_config_of_the_run(run, tmp_path):
    dry_run(run, {"seed": 99}, tmp_path)
    assert kept_config(run)["seed"] == 13


def test_a_change_of_compute_reruns_nothing(run, tmp_path):
    assert dry_run(run, {"compute": {"loader_workers": 1, "predict_batch": 32}}, tmp_path) == set()


def test_an_edited_network_reruns_its_model_and_what_follows(run, tmp_path):
    found = dry_run(run, {"models": {"stage3_plain": {"network": {"width": 9}}}}, tmp_path)
    assert found == STAGE3 | END


def test_a_dry_run_lists_the_edits_and_the_time_of_their_trainings(run, tmp_path):
    edit = {"models": {"stage2_resnet10": {"augment": "none"}, "stage3_plain": {"members": {"phase1_cycle1": 2}}}}
    summary = dry_run_text(run, {"seed": 14, **edit}, tmp_path).partition("What this run takes")[2]
    assert "pretrain + train_fold: seed: 13 -> 14" in summary
    assert re.search(r"train_fold model=stage2_resnet10: augment\.0\.p: 0\.5 -> nothing", summary)
    assert "predict_fold model=stage3_plain: members.phase1_cycle1: 1.0 -> 2.0" in summary
    assert re.search(
        r"Time: 10 trainings of folds and 3 pretrainings, at most about \d+ min of training \(CPU", summary
    )


EQUAL = {"name": "equal", "phase1_cycle1": None, "phase1_cycle2": None}


@pytest.mark.parametrize("members", [{"phase1_cycle1": 2}, EQUAL], ids=["weights", "a rule"])
def test_other_members_predict_again_and_train_nothing(run, tmp_path, members):
    found = dry_run(run, {"models": {"stage3_plain": {"members": members}}}, tmp_path)
    assert found == {job for job in STAGE3 if not job.startswith(("pretrain", "train_fold"))} | END


def test_an_edit_of_round_two_leaves_round_one_alone(run, tmp_path):
    edit = {"models": {"stage2_resnet10": {"augment": "resnet34_author"}}}
    round_two = {
        *of_both_folds(["stage2_resnet10"], "train_fold", "predict_fold"),
        *("blend name=stage2_resnet10", "blend name=stage2"),
        *("make_pseudo_labels labels=stage2_confident, scope=all_folds", "score_pseudo_labels"),
    }
    assert dry_run(run, edit, tmp_path) == round_two | STAGE3 | END


def test_pseudo_labels_for_all_folds_rerun_what_learns_from_them(run, tmp_path):
    found = dry_run(run, {"pseudo_labels": {"stage1_by_size": {"scope": "ensemble"}}}, tmp_path)
    assert found == {
        *(f"make_pseudo_labels labels={name}, scope=all_folds" for name in ("stage1_by_size", "stage2_confident")),
        *of_both_folds(["stage2_resnet10"], "train_fold", "predict_fold"),
        *("blend name=stage2_resnet10", "blend name=stage2", "score_pseudo_labels"),
        *(STAGE3 | END),
    }


def test_pseudo_labels_of_each_fold_rerun_what_learns_from_them(run, tmp_path):
    found = dry_run(run, {"pseudo_labels": {"stage2_confident": {"scope": "fold"}}}, tmp_path)
    assert found == {
        *(f"make_pseudo_labels labels=stage2_confident, scope=fold{fold}" for fold in (0, 1)),
        *(f"pretrain model=stage3_plain, scope=fold{fold}" for fold in (0, 1)),
        *(STAGE3 - {"pretrain model=stage3_plain, scope=all_folds"} | END | {"score_pseudo_labels"}),
    }


def test_other_weights_of_an_encoder_are_fetched_and_its_model_trains_again(run, tmp_path):
    edit = {"models": {"stage2_resnet10": {"network": {"weights": "imagenet"}}}}
    found = dry_run(run, edit, tmp_path)
    assert "fetch_weights encoder=tu-resnet10t-imagenet" in found
    assert {job for job in found if job.startswith("train_fold")} == {
        f"train_fold model={model}, fold={fold}" for model in ("stage2_resnet10", "stage3_plain") for fold in (0, 1)
    }


def test_another_threshold_predicts_nothing_again(run, tmp_path):
    steps = [{"name": "threshold", "above": 0.45}, {"name": "empty_constant"}, {"name": "jigsaw", "rule": "published"}]
    assert dry_run(run, {"submission": {"postprocess": steps}}, tmp_path) == END


def test_another_jigsaw_rule_scores_nothing_again(run, tmp_path):
    steps = [{"name": "threshold", "above": 0.5}, {"name": "empty_constant"}, {"name": "jigsaw", "rule": "extended"}]
    assert dry_run(run, {"submission": {"postprocess": steps}}, tmp_path) == END - {"score"}


def test_another_run_to_compare_with_writes_the_report_again_and_nothing_else(run, tmp_path):
    other = run.results.with_name("other")
    other.mkdir()
    for name in ("config.yaml", "scores.csv", "differences.csv", "report.html", "report.html.provenance.json"):
        shutil.copy(run.results / name, other / name)
    compare = {"report": {"compare": ["results/other"]}}
    assert dry_run(run, compare, tmp_path) == {"write_report", "all"}
    (other / "scores.csv").unlink()
    path = tmp_path / "edit.yaml"
    done = snakemake(run.folder, *run.command, str(path), "-n")
    assert "finished run in results/other, which report.compare names, found no scores.csv there." in done.stdout
    assert "Traceback" not in done.stdout
