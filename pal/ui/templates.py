"""HTML from the Jinja2 templates in ``assets/templates/page``.

Every value is escaped where it is output. A template holds macros; ``render`` calls one of them.
"""

from __future__ import annotations

import html
import math
import re
from functools import cache
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from jinja2.ext import Extension
from markupsafe import Markup

from pal.chat.wording import MARKS, badges, describe_decoding, percent
from pal.settings import REPOSITORY
from pal.statistics import Estimate

FOLDER = REPOSITORY / "assets" / "templates" / "page"
NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_CLIENT_TEMPLATE = str.maketrans({"{": "&#123;", "}": "&#125;", "$": "&#36;", "`": "&#96;"})


def render(file: str, macro: str, *args: Any, **values: Any) -> str:
    """The HTML of one macro of a template file."""
    return str(getattr(environment().get_template(file).module, macro)(*args, **values))


def escape(value: object) -> Markup:
    """A value as literal HTML, also inert inside Gradio's client-side templates. Markup stays as it is."""
    if hasattr(value, "__html__"):
        return Markup(value.__html__())
    return Markup(html.escape(str(value)).translate(_CLIENT_TEMPLATE))


def count(number: int, noun: str) -> str:
    """“1 turn”, “2 turns”."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def number_word(number: int) -> str:
    """“three”; digits from ten on."""
    return NUMBERS[number] if number < len(NUMBERS) else str(number)


def estimate(value: Estimate) -> str:
    """“0.62 (0.55 to 0.69)”."""
    return "–" if math.isnan(value.value) else f"{value.value:.2f} ({value.low:.2f} to {value.high:.2f})"


def share(value: Estimate) -> str:
    """“62 % (55 %–69 %)”."""
    if math.isnan(value.value):
        return "–"
    return f"{value.value:.0%} ({value.low:.0%}–{value.high:.0%})".replace("%", " %")


class _NoLayout(Extension):
    """Line breaks between two tags of a template are layout of its source, not output."""

    def preprocess(self, source: str, name: str | None, filename: str | None = None) -> str:
        return re.sub(r"(?<=[>}])\s*\n\s*(?=[<{])", "", source)


@cache
def environment() -> Environment:
    """The environment of all templates: a missing value is an error."""
    jinja = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        finalize=escape,
        undefined=StrictUndefined,
        extensions=[_NoLayout],
        auto_reload=False,
    )
    jinja.filters |= {"percent": percent, "count": count, "number_word": number_word}
    jinja.filters |= {"estimate": estimate, "share": share}
    jinja.globals |= {"badges": badges, "describe_decoding": describe_decoding, "marks": MARKS}
    return jinja
