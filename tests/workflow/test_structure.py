"""The layout shows the architecture: names agree, imports go one way."""

import ast
import re
from pathlib import Path

import pytest

STAGES = {path.stem for path in Path("stages").glob("*.py")} - {"__init__"}
MAY_IMPORT = {
    "stages": {"salt", "models", "schemas"},
    "salt": {"salt", "models", "schemas"},
    "models": {"models", "schemas"},
    "schemas": {"schemas"},
}
PACKAGES = set(MAY_IMPORT)
TABLES = {  # tests of the whole registry, of workflow_config.yaml, of what prepare_tiles refuses
    "networks",
    "winning_recipe",
    "bad_input",
    "bad_folders",
    "bad_config",
}


def test_rule_program_and_test_share_one_name():
    rules = set(re.findall(r"^ *rule (\w+):", Path("Snakefile").read_text(), re.MULTILINE)) - {"all"}
    tests = {path.stem.removeprefix("test_") for path in Path("tests/stages").glob("test_*.py")}
    assert rules == STAGES == tests - TABLES
    for rule in rules:
        assert f"stages.{rule} " in Path("Snakefile").read_text()


def test_every_program_leaves_its_provenance():
    assert {stage for stage in STAGES if "provenance.leave(" not in Path(f"stages/{stage}.py").read_text()} == set()


def imported(path):
    """Packages of this project that a file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        yield from (name.split(".")[0] for name in names if name.split(".")[0] in PACKAGES)


@pytest.mark.parametrize("path", [p for name in MAY_IMPORT for p in sorted(Path(name).rglob("*.py"))], ids=str)
def test_imports_go_one_way(path):
    assert set(imported(path)) <= MAY_IMPORT[path.parts[0]]


def test_every_test_is_named_after_what_it_tests():
    for path in Path("tests").rglob("test_*.py"):
        folder, name = path.parent.relative_to("tests"), path.stem.removeprefix("test_")
        if folder != Path("workflow") and name not in TABLES:
            assert (folder / f"{name}.py").exists(), path


def test_no_drawer_for_everything():
    names = {path.name for name in PACKAGES for path in Path(name).rglob("*.py")}
    assert names.isdisjoint({"utils.py", "common.py", "helpers.py", "misc.py"})


def test_the_snakefile_has_no_python_functions():
    text = Path("Snakefile").read_text()
    assert "def " not in text
    assert "lambda" not in text
