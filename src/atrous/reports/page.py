"""Filling a page's template: everything that comes from outside is escaped, figures are rounded."""

import math
from collections.abc import Mapping
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from atrous.reports.run_record import MISSING

__all__ = ["count", "percent", "render", "score"]

TEMPLATES = Path(__file__).parent / "templates"
NARROW = "\N{NARROW NO-BREAK SPACE}"


def render(template: str, content: Mapping[str, object]) -> str:
    """Return the page of `templates/<template>` filled with `content`.

    Autoescape is on whatever the template is called: class names and paths are text, never HTML.
    """
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"count": count, "percent": percent, "score": score}
    return environment.get_template(template).render(content)


def score(value: float | None, digits: int = 3) -> str:
    """Return a fraction as a score: 0.8064 -> "0.806", nan -> a dash."""
    if value is None or not math.isfinite(value):
        return MISSING
    return f"{value:.{digits}f}"


def percent(value: float | None) -> str:
    """Return a fraction in percent, with as many digits as tell something.

    Example:
        >>> [percent(x).replace(NARROW, " ") for x in (0.9312, 0.0456, 0.00012, 0.0000001)]
        ['93.1 %', '4.6 %', '0.012 %', '< 0.001 %']
    """
    if value is None or not math.isfinite(value):
        return MISSING
    if 0 < value < 0.00001:
        return f"<{NARROW}0.001{NARROW}%"
    digits = 1 if value >= 0.001 or value == 0 else 3
    return f"{100 * value:.{digits}f}{NARROW}%"


def count(value: float) -> str:
    """Return a whole number in groups of three: 1234567 -> "1 234 567"."""
    return f"{value:,.0f}".replace(",", NARROW)
