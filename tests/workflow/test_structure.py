"""The layout reflects the architecture: names agree, and imports go in one direction."""

import ast
import re
import tomllib
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
import yaml

STAGES = {path.stem for path in Path("stages").glob("*.py")} - {"__init__"}
FLOORS = [  # from the ground up: a package imports itself and packages of lower floors
    {"schemas"},
    {"models"},
    {"salt.runtime"},
    {"salt.data"},
    {"salt.intake", "salt.survey", "salt.mosaics", "salt.ensembles", "salt.postprocess", "salt.drawing"},
    {"salt.inference", "salt.own_tiles"},
    {"salt.scores", "salt.curves"},
    {"salt.training"},
    {"salt.report"},
    {"salt.workflow"},
    {"salt.cluster", "salt.packs", "salt.verify"},
    {"stages"},
]
FLOOR = {package: floor for floor, packages in enumerate(FLOORS) for package in packages}
MODULES = {
    ".".join(path.with_suffix("").parts).removesuffix(".__init__"): path
    for folder in ("schemas", "models", "salt", "stages")
    for path in sorted(Path(folder).rglob("*.py"))
}
MOST_MODULES = 12  # of a folder of salt/
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


def test_every_program_writes_its_provenance():
    assert {stage for stage in STAGES if "provenance.write(" not in Path(f"stages/{stage}.py").read_text()} == set()


def package(module: str) -> str:
    """`salt.data` of `salt.data.tiles`, `schemas` of `schemas.words`."""
    parts = module.split(".")
    return ".".join(parts[: 2 if parts[0] == "salt" else 1])


def imported(module: str) -> set[str]:
    """Modules of this project that a module imports anywhere, also in functions and for type checkers."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: a relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return found & MODULES.keys() - {module}


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_down(module):
    own = package(module)
    packages = {package(other) for other in imported(module)} - {own}
    assert {other for other in packages if FLOOR[other] >= FLOOR[own]} == set()


def test_no_module_imports_itself_through_others():
    TopologicalSorter({module: imported(module) for module in MODULES}).prepare()  # raises CycleError


def test_every_package_has_few_modules_and_documents_its_imports():
    folders = [path for path in Path("salt").iterdir() if path.is_dir() and path.name != "__pycache__"]
    assert {f"salt.{folder.name}" for folder in folders} == {name for name in FLOOR if name.startswith("salt")}
    assert [folder.name for folder in folders if len(list(folder.glob("[!_]*.py"))) > MOST_MODULES] == []
    assert [path.name for path in Path("salt").glob("[!_]*.py")] == []
    for folder in folders:
        documented = ast.get_docstring(ast.parse((folder / "__init__.py").read_text())).partition("Imports ")[2]
        used = {
            package(other)
            for module in MODULES
            if package(module) == f"salt.{folder.name}"
            for other in imported(module)
        }
        names = {name.removeprefix("salt.") for name in used if name.startswith("salt.")} - {folder.name}
        assert set(re.findall(r"\w+", documented)) >= names or "every package" in documented, folder


def test_every_test_is_named_after_what_it_tests():
    for path in Path("tests").rglob("test_*.py"):
        folder, name = path.parent.relative_to("tests"), path.stem.removeprefix("test_")
        if folder != Path("workflow") and name not in TABLES:
            assert (folder / f"{name}.py").exists(), path


def spelled(path: Path) -> set[str]:
    """File names, and folder names that are joined to a path, in a module's code (not in docstrings and helps)."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    documentation = [node.value for node in nodes if isinstance(node, ast.Expr)]
    documentation += [node.value for node in nodes if isinstance(node, ast.keyword) and node.arg == "help"]
    texts = [node for node in nodes if isinstance(node, ast.Constant) and node not in documentation]
    files = {str(text.value).split("/")[-1] for text in texts}
    joined = {node.right for node in nodes if isinstance(node, ast.BinOp) and isinstance(node.right, ast.Constant)}
    return {name for name in files if re.fullmatch(r"[\w.]*\w\.(csv|npy|json|html|yaml|lock)", name)} | {
        node.value for node in joined if isinstance(node.value, str)
    }


def test_each_file_of_a_run_is_spelled_in_one_module():
    of_users = {"train.csv", "depths.csv", "sample_submission.csv", "masks"}  # in users' data folders
    templates = {path.name for path in Path("report").iterdir()}
    names = spelled(MODULES["salt.runtime.paths"]) - of_users - templates
    assert {"scores.csv", "history.csv", "snapshots", "ensembles"} <= names
    elsewhere = {module: spelled(path) & names for module, path in MODULES.items() if module != "salt.runtime.paths"}
    assert {module: found for module, found in elsewhere.items() if found} == {}
    texts = re.findall(r'"([^"]*)"', Path("Snakefile").read_text())
    rules = set(re.findall(r"rule (\w+):", Path("Snakefile").read_text()))  # logs are named after them
    assert [text for text in texts if (names - rules) & set(re.split(r"[/\s]", text))] == []


def test_the_page_of_results_names_every_file_of_a_run():
    page = Path("results/README.md").read_text()
    of_others = {"train.csv", "depths.csv", "sample_submission.csv", "truth", "test_masks.csv", "run.lock"}
    assert {name for name in spelled(MODULES["salt.runtime.paths"]) - of_others if name not in page} == set()


@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        "CONTRIBUTING.md",
        "docs/design.md",
        "docs/cluster.md",
        "docs/running.md",
        "docs/troubleshooting.md",
        "data/README.md",
        "results/README.md",
    ],
)
def test_the_files_that_a_page_names_exist(page):
    paths = re.findall(r"`([\w./]+/[\w.]+\.(?:py|yaml|html|md))`", Path(page).read_text())
    made_by_users = re.compile(r"recipes/(NAME|mine)\.yaml|results/.*/.*")
    assert [path for path in paths if not (Path(path).exists() or made_by_users.fullmatch(path))] == []


def test_the_citation_has_the_version_of_the_package():
    citation = yaml.safe_load(Path("CITATION.cff").read_text())
    package = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    assert (citation["version"], citation["license"]) == (package["version"], "MIT")
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()


def test_no_module_is_a_catch_all():
    names = {path.name for path in MODULES.values()}
    assert names.isdisjoint({"utils.py", "common.py", "helpers.py", "misc.py"})


def test_the_snakefile_has_no_python_functions():
    text = Path("Snakefile").read_text()
    assert "def " not in text
    assert "lambda" not in text
