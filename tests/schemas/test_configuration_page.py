import re
from pathlib import Path

from schemas.config import Config
from schemas.configuration_page import page

PAGE = page()


def test_the_page_is_that_of_the_schema():
    assert Path("docs/configuration.md").read_text() == PAGE, "run `make docs` and commit docs/configuration.md"


def test_every_key_of_every_section_has_a_row():
    schema = Config.model_json_schema()
    for section in (schema, *schema["$defs"].values()):
        for key, part in section.get("properties", {}).items():
            assert "const" in part or f"| `{key}` |" in PAGE


def test_every_link_leads_to_a_heading():
    headings = re.findall(r"^#+ `(.*)`$", PAGE, re.MULTILINE)
    anchors = {re.sub(r"[^a-z0-9_]", "", heading.lower()) for heading in headings}
    links = set(re.findall(r"\]\(#(.*?)\)", PAGE))
    assert {"modelsnameinput", "modelsnamephasesn", "pseudo_labelsname"} <= links <= anchors
    assert len(headings) == len(set(headings))


def test_a_key_that_takes_weights_or_a_section_says_both_and_which_of_several_sections_is_the_default():
    assert "| `members` | a mapping of at least one name to a number above 0, or a mapping: [`models.<name>.m" in PAGE
    assert "| a mapping: [`models.<name>.phases.<n>.keep`](#modelsnamephasesnkeep) | `{name: best_of_cycle}` |" in PAGE
