"""The report's part on whole conversations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pal.evaluation.report_data import estimate
from pal.evaluation.report_tables import Metric, filled, table, title

INTRODUCTION = """\
{conversations} conversations of six messages each, our own (`assets/conversations.jsonl`), every model with
its own replies as history, sampled as on the page (`python -m pal evaluate-conversations
--limit {conversations}`); all replies are
in `conversations.json`. **repeats itself**: a sentence of three words or more comes again in the chat;
**evades**: “not sure”, “don't know”, “no idea”; **echoes**: five words in a row are the user's. Intervals
by bootstrap over conversations."""
COLUMNS = (
    Metric("", "entails", "entails", 1, 100),
    Metric("", "contradicts", "contradicts", 1, 100),
    Metric("", "parrots", "parrots", 1, 100),
    Metric("", "evades", "evades", 1, 100),
    Metric("", "repeats_itself", "repeats itself", 1, 100),
    Metric("", "echoes", "echoes", 1, 100),
    Metric("", "asks", "asks back", 1, 100),
    Metric("", "words", "words", 1),
)


def conversations_section(found: Mapping[str, Any] | None) -> str:
    """Markdown; "" without ``conversations.json``."""
    if not found:
        return ""
    rows = [
        [title(name), *(column.show(estimate(signs[column.name])) for column in COLUMNS)]
        for name, signs in found["signs"].items()
    ]
    return "\n\n".join(
        [
            "## Whole conversations",
            filled(INTRODUCTION.format(**found["counts"])),
            table(["", *(column.title for column in COLUMNS)], rows),
        ]
    )
