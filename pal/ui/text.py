"""Text and numbers as people read them in the page."""

from __future__ import annotations

import html

_TEMPLATE_CHARACTERS = str.maketrans({"{": "&#123;", "}": "&#125;", "$": "&#36;", "`": "&#96;"})


def escape(text: str) -> str:
    """Text as literal HTML, also inert inside a client-side template."""
    return html.escape(text).translate(_TEMPLATE_CHARACTERS)


def percent(probability: float) -> str:
    """A probability as people read it; certainty is never claimed by rounding."""
    if 0 < probability < 0.005:
        return "< 1 %"
    if 0.995 <= probability < 1:
        return "> 99 %"
    return f"{probability:.0%}".replace("%", " %")
