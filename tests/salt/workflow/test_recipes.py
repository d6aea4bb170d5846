import pytest

from salt.workflow.recipes import Recipes


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Two overlays, the second counting more, and the file below both."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.yaml").write_text("seed: 1\nmodels:\n  one:\n    phases:\n      - {batch: 3}\n      - {batch: 4}\n")
    (tmp_path / "b.yaml").write_text("# over both\nmodels:\n  one:\n    input: {pad: 3}\n")
    (tmp_path / "default.yaml").write_text("seed: 0\nfolds: &folds {count: 3}\nmodels: {two: {<<: *folds, mix: 1}}\n")
    return [tmp_path / "a.yaml", "b.yaml", "default.yaml"]


@pytest.mark.parametrize(
    ("place", "where"),
    [
        ("seed", "a.yaml, line 1"),
        ("models.one.phases.1.batch", "a.yaml, line 6"),
        ("models.one.input.pad", "b.yaml, line 4"),
        ("models.one.mix.name", "b.yaml, line 3"),
        ("models.two.mix", "default.yaml, line 3"),
        ("models.two.count", "default.yaml, line 3"),
        ("folds.count", "default.yaml, line 2"),
    ],
)
def test_a_fault_is_about_the_line_that_counts(files, place, where):
    assert Recipes(files).located([f"{place}: expected: found"]) == [f"{place}: expected: found ({where})"]


def test_the_command_line_counts_more_than_any_file(files):
    recipes = Recipes(files, {"seed": 3, "folds": {"count": "x"}})
    assert recipes.located(["seed: wrong", "folds.count: wrong"]) == [
        "seed: wrong (--config)",
        "folds.count: wrong (--config)",
    ]
    assert recipes.located(["folds.by: wrong"]) == ["folds.by: wrong (--config)"]


def test_what_nobody_wrote_has_no_line(files):
    assert Recipes(files).located(["survey.seed: wrong"]) == ["survey.seed: wrong"]
    assert Recipes([]).located(["seed: wrong"]) == ["seed: wrong"]


def test_keys_that_appear_twice_are_reported_wherever_they_are(files):
    assert list(Recipes(files).repeated()) == []
    with open("b.yaml", "a") as file:
        file.write("pseudo_labels:\n  a: {per_fold: [{count: 1, every: 2, count: 3}]}\nmodels: {}\n")
    assert list(Recipes(files).repeated()) == [
        "b.yaml, line 6: expected each key once, found count again, first in line 6; remove or rename one",
        "b.yaml, line 7: expected each key once, found models again, first in line 2; remove or rename one",
    ]


def test_a_file_that_is_none_is_left_to_snakemake(tmp_path):
    (tmp_path / "bad.yaml").write_bytes(b"\xff\t- {")
    recipes = Recipes([tmp_path / "bad.yaml", tmp_path / "missing.yaml", tmp_path])
    assert list(recipes.repeated()) == []
    assert recipes.located(["seed: wrong"]) == ["seed: wrong"]
