"""A finished run is damaged in all ways: verify names exactly that, and a repair brings back the bytes."""

import json
import os
import random
import shutil

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from salt.data.damage import reading
from salt.data.folds import load_folds
from salt.data.records import open_records
from salt.data.tiles import load_tiles
from salt.ensembles import pseudo_labels
from salt.inference.snapshots import read_members, read_table
from salt.inference.weight_files import load_weights
from salt.mosaics.duplicates import load_duplicates
from salt.mosaics.layout import load_mosaics
from salt.postprocess.jigsaw import load_changes
from salt.report import comparison, pseudo_label_quality, run_page
from salt.runtime import provenance
from salt.runtime.paths import Run, SurveyFiles
from salt.scores import known_masks, verdict
from salt.scores.differences import load_tile_scores
from salt.verify import records, verify_run
from salt.verify import settings as run_settings
from salt.verify.comparison import by_digest, by_size
from salt.workflow.cost import count_tiles
from salt.workflow.dag import Plan
from salt.workflow.run_hooks import summary
from schemas.errors import UserError
from schemas.reading import check_config
from tests.workflow.conftest import jobs, snakemake, snakemakes_log

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def linked(run, tmp_path_factory):
    """The finished run in another place, of hard links: files may be replaced there, not changed."""
    folder = tmp_path_factory.mktemp("linked") / "moved"
    shutil.copytree(run.results, folder, copy_function=os.link)
    return Run(folder)


@pytest.fixture(scope="module")
def plan(linked):
    return verify_run.open_run(str(linked.folder))[1]


def written(run):
    """All files that programs recorded, sorted; those of one program that are alike count once."""
    found, _ = records.read([*records.walk(run.folder)])
    return sorted({path for record in found for path in record.files if path.exists()})


def replace(path, content):
    path.unlink()
    path.write_bytes(content)


def damage(data, path):
    """Damage a file in a way that its size may not show."""
    content = path.read_bytes()
    where = data.draw(st.integers(0, max(0, len(content) - 1)))
    way = data.draw(st.sampled_from(["delete", "cut", "empty", "change a byte", "append"]))
    match way:
        case "delete":
            path.unlink()
        case "cut":
            replace(path, content[:where])
        case "empty":
            replace(path, b"")
        case "change a byte":
            replace(path, content[:where] + bytes([content[where] ^ 1]) + content[where + 1 :])
        case "append":
            replace(path, content + b"\0")


def test_an_undisturbed_run_is_intact_wherever_it_lies_and_holds_no_other_file(linked, plan, capsys):
    found = by_digest(plan.config, linked)
    assert (found.faults, found.lost, found.foreign) == ([], [], [])
    assert {*written(linked)} == {path for record in found.records for path in record.files if path.exists()}
    assert verify_run.main(["--run", str(linked.folder)]) == 0
    assert "are as they were written" in capsys.readouterr().out
    assert by_size(plan.config, linked).faults == []


@settings(max_examples=15)
@given(st.data())
def test_verify_names_exactly_what_is_damaged(linked, plan, run, data):
    files = [path for path in written(linked) if path.stat().st_size]
    chosen = data.draw(st.lists(st.sampled_from(files), min_size=1, max_size=6, unique=True))
    if data.draw(st.booleans()) and len(chosen) > 1:
        first, second = chosen[:2]
        contents = first.read_bytes(), second.read_bytes()
        if contents[0] == contents[1]:  # a swap that changes nothing
            chosen = chosen[2:]
        else:
            replace(first, contents[1])
            replace(second, contents[0])
        others = chosen[2:]
    else:
        others = chosen
    for path in others:
        damage(data, path)
    (linked.folder / "models" / "notes.txt").write_text("mine")
    try:
        found = by_digest(plan.config, linked)
        assert {fault.path for fault in found.faults} == {*chosen}
        assert {fault.path for fault in found.missing} == {path for path in chosen if not path.exists()}
        assert found.foreign == [linked.folder / "models" / "notes.txt"]
        changed_size = {fault.path for fault in found.faults if "other bytes" not in (fault.found or "")}
        assert {fault.path for fault in by_size(plan.config, linked).faults} == changed_size
    finally:
        (linked.folder / "models" / "notes.txt").unlink()
        for path in chosen:
            path.unlink(missing_ok=True)
            os.link(run.results / path.relative_to(linked.folder), path)


def test_lost_records_are_named(linked, plan, run):
    paths = [provenance.path_of(output) for output in (linked.scores, linked.fold("stage1_plain", 0).held_out)]
    paths[0].unlink()
    replace(paths[1], b"{}]")
    found = by_digest(plan.config, linked)
    assert {*found.lost} == {*paths}
    assert not found.faults
    for path in paths:
        path.unlink(missing_ok=True)
        os.link(run.results / path.relative_to(linked.folder), path)


def test_no_result_of_a_run_has_other_settings_than_its_config(linked, plan):
    kept, _ = records.read([*records.walk(linked.folder)])
    assert [*run_settings.changed(plan, kept)] == []
    compared = {provenance.path_of(output) for output in run_settings.of_results(plan)} & {one.path for one in kept}
    without_settings = {"write_submission", "score_pseudo_labels"}
    others = {one.program for one in kept if one.path not in compared}
    assert others <= without_settings | {"make_survey"}  # it lies in data.root, which did not move


def test_results_of_another_config_are_named_with_the_change(linked, plan):
    kept, _ = records.read([*records.walk(linked.folder)])
    raw = yaml.safe_load(linked.config.read_text())
    raw["models"]["stage3_plain"]["members"] = {"phase1_cycle1": 2}
    edited = Plan(raw | {"pathvars": {"results": str(linked.folder)}})
    found = {one.path.parent.parent.name: changes for one, changes in run_settings.changed(edited, kept)}
    assert found["stage3_plain"] == ["members.phase1_cycle1: 1.0 -> 2.0", "members.phase1_cycle2: 1.0 -> nothing"]
    assert found.keys() - {"stage3_plain"} <= {linked.folder.parent.name}  # the report


# Readers of damaged files ------------------------------------------------------------------------------------------

READERS = {
    "tiles/tiles.csv": lambda run, path: load_tiles(run.tiles.folder, "train"),
    "tiles/train_images.npy": lambda run, path: load_tiles(run.tiles.folder, "train"),
    "tiles/train_masks.npy": lambda run, path: load_tiles(run.tiles.folder, "train"),
    "tiles/test_images.npy": lambda run, path: load_tiles(run.tiles.folder, "test"),
    "survey/truth/test_masks.csv": lambda run, path: [*known_masks.load(path, None, (101, 101))],
    "folds.csv": lambda run, path: load_folds(path),
    "mosaics.csv": lambda run, path: load_mosaics(path),
    "duplicates.csv": lambda run, path: load_duplicates(path),
    "postprocess/changes.csv": lambda run, path: load_changes(path),
    "postprocess/masks.npy": lambda run, path: open_records(path),
    "ensembles/final/test.npy": lambda run, path: open_records(path),
    "pseudo_labels/stage1_confident/fold0/masks.npy": lambda run, path: open_records(path),
    "pseudo_labels/stage1_confident/fold0/pseudo_labels.csv": lambda run, path: pseudo_labels.selected(path),
    "models/stage1_plain/fold0/snapshots/phase1.safetensors": lambda run, path: load_weights(nn.Linear(1, 1), path),
    "models/stage1_plain/fold0/snapshots.csv": lambda run, path: read_table(path),
    "models/stage1_plain/fold0/members.json": lambda run, path: read_members(path),
    "models/stage2_plain/pretrain/fold0/weights.safetensors": lambda run, path: load_weights(nn.Linear(1, 1), path),
    "tile_scores.csv": lambda run, path: load_tile_scores(path),
    "differences.csv": lambda run, path: verdict.load(path),
    "scores.csv": lambda run, path: comparison.compare(config_of(run), run, str(run.folder)),
    "threshold_curve.csv": lambda run, path: run_page.page(config_of(run), run),
    "pseudo_label_scores.csv": lambda run, path: pseudo_label_quality.about(config_of(run), run),
    "models/stage1_plain/fold0/history.csv": lambda run, path: run_page.about_training(config_of(run), run),
    "scores.csv.provenance.json": lambda run, path: run_page.about_provenance(config_of(run), run),
}


def config_of(run):
    return check_config(yaml.safe_load(run.config.read_text()) | {"pathvars": {"results": str(run.folder)}})


def noise(size):
    return random.Random(size).randbytes(size)  # noqa: S311


@pytest.mark.parametrize("way", ["missing", "cut", "empty", "noise"])
@pytest.mark.parametrize("name", READERS)
def test_every_reader_ends_with_one_paragraph_about_a_damaged_file(linked, run, name, way):
    path = linked.folder / name
    content = path.read_bytes()
    if way == "missing" and name.endswith(provenance.SUFFIX):
        pytest.skip("results without a record are of unknown code")
    path.unlink()
    if way != "missing":
        lines = content.splitlines(keepends=True)
        cut = b"".join(lines[:-1]) if name.endswith(".csv") else content[: len(content) // 2]  # whole lines
        path.write_bytes({"cut": cut, "empty": b"", "noise": noise(len(content))}[way])
    try:
        with pytest.raises(UserError) as error:
            READERS[name](linked, path)
    finally:
        path.unlink(missing_ok=True)
        os.link(run.results / name, path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
    assert "make verify RUN=" in str(error.value) or "Delete" in str(error.value)


def test_every_kind_of_file_has_a_reader_in_this_table_or_only_people_read_it(linked):
    kinds = {path.name for path in written(linked) if path.suffix in (".csv", ".npy", ".json")}
    of_people_and_the_intake = {
        *("neighbours.csv", "submission.csv", "mosaics.csv"),
        *(path.name for path in SurveyFiles(linked.folder).data),
    }
    same_reader = {"out_of_fold.npy", "stretch.json"}  # as of test.npy; tests/salt/workflow/test_predict_images.py
    assert kinds - {name.split("/")[-1] for name in READERS} <= of_people_and_the_intake | same_reader


def test_what_a_start_reads_ends_in_no_traceback(linked, run):
    config = config_of(linked)
    counted = count_tiles(config)
    for path in (linked.tiles.table, linked.scores):
        content = path.read_bytes()
        replace(path, noise(len(content)))
    try:
        assert count_tiles(config) != counted  # an estimate from the survey's section, as before a run
        assert summary(config).startswith(f"Error: {linked.scores}: expected the whole file")
    finally:
        for path in (linked.tiles.table, linked.scores):
            path.unlink()
            os.link(run.results / path.relative_to(linked.folder), path)


def test_a_file_that_fits_its_record_is_read_and_one_without_a_record_as_well(tmp_path):
    (tmp_path / "a.csv").write_text("id\n")
    with reading(tmp_path / "a.csv"):
        pass
    provenance.write(tmp_path / "a.csv", None, {})
    with reading(tmp_path / "a.csv"):
        pass
    (tmp_path / "a.csv").write_text("id\nb\n")
    with (
        pytest.raises(UserError, match=r"found 5 bytes in place of 3\. .* delete the record"),
        reading(tmp_path / "a.csv"),
    ):
        pass


# Repair ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def copied(run, tmp_path_factory):
    """The repository with the finished run, to be changed."""
    folder = tmp_path_factory.mktemp("copied") / "repository"
    shutil.copytree(run.folder, folder)
    return folder


def test_a_repair_makes_only_what_was_damaged_again_with_the_same_bytes(run, copied, monkeypatch, capsys):
    monkeypatch.chdir(copied)
    results = Run(copied.relative_to(copied) / "results" / "tiny")
    weights = results.fold("stage1_resnet10", 1).snapshots / "phase1_cycle2.safetensors"
    os.truncate(weights, 1000)
    results.neighbours.unlink()  # no other job reads it
    looked = snakemake(copied, *run.command).stdout
    assert "Nothing to be done" in looked
    assert "Warning: 2 of" in looked
    assert f"{weights} (1,000 bytes in place of" in looked
    assert "make verify RUN=tiny" in looked
    assert verify_run.main(["--run", "tiny"]) == 1
    assert verify_run.main(["--run", "tiny", "--repair"]) == 0
    assert "models/stage1_resnet10/fold1/snapshots/phase1_cycle2.safetensors: 1,000 bytes" in capsys.readouterr().out
    assert [removed["target"] for removed in json.loads(results.repairs.read_text())] == [
        "duplicates.csv",
        "models/stage1_resnet10/fold1/history.csv",
    ]

    repaired = snakemake(copied, *run.command)
    assert repaired.returncode == 0, repaired.stdout
    assert jobs(snakemakes_log(copied)) == {"train_fold model=stage1_resnet10, fold=1", "assemble_mosaics", "all"}
    assert "repaired    with the same bytes" in repaired.stdout
    assert verify_run.main(["--run", "tiny"]) == 0
    for path in written(results):
        assert path.read_bytes() == (run.folder / path).read_bytes(), path
    assert not results.repairs.exists()
    assert "Nothing to be done" in snakemake(copied, *run.command, "-n").stdout
