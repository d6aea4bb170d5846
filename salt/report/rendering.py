"""Rendering of the report's pages: templates, style and wording from report/, and the formats of numbers."""

from typing import Any

import jinja2
import numpy as np
import yaml

from salt.drawing import figures
from salt.runtime.paths import REPOSITORY
from schemas.base import Shape

FOLDER = REPOSITORY / "report"


def render(template: str, context: dict[str, Any]) -> str:
    """A self-contained page as HTML, with the report's style and wording."""
    files = {
        "style": (FOLDER / "style.css").read_text(encoding="utf-8"),
        "words": yaml.safe_load((FOLDER / "words.yaml").read_text(encoding="utf-8")),
    }
    return templates().get_template(template).render(files | context)


def templates() -> jinja2.Environment:
    """The templates in report/ with the filters they use."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    environment.filters |= {
        "score": score,
        "percent": percent,
        "unique_ids": unique_ids,
        "rate": rate,
        "size": size,
        "duration": duration,
        "gigabytes": gigabytes,
        "number": "{:,}".format,
    }
    return environment


def score(value: float) -> str:
    """A score as text."""
    return "–" if np.isnan(value) else f"{value:.4f}"


def percent(share: float) -> str:
    """A share, 0..1, as text in percent."""
    return "–" if np.isnan(share) else f"{100 * share:.1f} %"


def rate(value: float) -> str:
    """A learning rate as text: 0.012, 5 × 10⁻⁵."""
    if value == 0 or value >= 0.001:
        return f"{value:g}"
    digits, power = f"{value:e}".split("e-")
    raised = str(int(power)).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{float(digits):g} × 10⁻{raised}".replace(" ", "\N{NO-BREAK SPACE}")


def duration(seconds: float) -> str:
    """Seconds as text: 0.4 s, 12 s, 3.5 min, 2.3 h."""
    if seconds < 60:
        text = f"{seconds:.{1 if seconds < 9.95 else 0}f} s"
    else:
        text = f"{seconds / 60:.1f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def gigabytes(value: float) -> str:
    """GB as text."""
    return "–" if np.isnan(value) else f"{value:.2f} GB".replace(" ", "\N{NO-BREAK SPACE}")


def size(shape: Shape) -> str:
    """Height and width as text: 101 (a square), 64 × 96."""
    height, width = shape
    return str(height) if height == width else f"{height} × {width}"


def unique_ids(svg: str, number: int) -> str:
    """The chart of a number with ids that are unique in the page."""
    return figures.with_prefix(svg, f"chart{number}-")
