"""docs/troubleshooting.md quotes messages that exist."""

import ast
import re
from pathlib import Path

import pytest
import snakemake

PAGE = Path("docs/troubleshooting.md").read_text()
OURS = [path for folder in ("salt", "schemas", "models", "stages") for path in Path(folder).rglob("*.py")]
OF_THE_SHELL = "The shell and Python"


def texts(path):
    """The strings of a module but its docstrings, with ... for what is put into them."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    documentation = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    for node in nodes:
        if id(node) in documentation:
            continue
        if isinstance(node, ast.JoinedStr):
            yield "".join(part.value if isinstance(part, ast.Constant) else "..." for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def quoted():
    """Pairs of a section of the page and a message that it quotes."""
    for section in PAGE.split("\n## ")[1:]:
        for message in re.findall(r"^\| `(.*?)` \|", section, re.MULTILINE):
            yield section.partition("\n")[0], message


QUOTED = list(quoted())


@pytest.fixture(scope="module")
def sources():
    folder = Path(snakemake.__file__).parent
    of_snakemake = [*folder.rglob("*.py")]
    return {
        "ours": "\n".join(text for path in OURS for text in texts(path)),
        "snakemake": "\n".join(text for path in of_snakemake if "tests" not in path.parts for text in texts(path)),
    }


def test_the_page_quotes_messages_in_every_section():
    assert {section for section, _ in QUOTED} == set(re.findall(r"^## (.*)$", PAGE, re.MULTILINE))
    assert len({message for _, message in QUOTED}) == len(QUOTED) > 40


@pytest.mark.parametrize(("section", "message"), [pair for pair in QUOTED if pair[0] != OF_THE_SHELL])
def test_a_quoted_message_exists(section, message, sources):
    assert message in sources["snakemake" if section == "Snakemake's own" else "ours"]
