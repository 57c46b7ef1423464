"""The persona editor: its rows, plain lists of texts, and what its buttons do."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from typing import Any

import gradio as gr

from pal.dialogue.persona import MAX_SENTENCES, Example, Persona, another
from pal.errors import PersonaError
from pal.ui.explore_layout import SUGGESTIONS, ChatParts, PersonaParts, probabilities
from pal.ui.explore_views import status_line
from pal.ui.pages import notice_html

Values = dict[Any, Any]
LIST_MARK = re.compile(r"^\s*(?:[-*+•–]|\d{1,2}[.)])\s+")


def remove(rows: Sequence[str], index: int) -> list[str]:
    """The rows without one; at least one row stays."""
    return [*rows[:index], *rows[index + 1 :]] or [""]


def move_up(rows: Sequence[str], index: int) -> list[str]:
    """The rows with one moved before its neighbour."""
    rows = list(rows)
    if index > 0:
        rows[index - 1 : index + 1] = [rows[index], rows[index - 1]]
    return rows


def add(rows: Sequence[str]) -> list[str]:
    """The rows with a blank one at the end.

    Raises:
        PersonaError: there is no room for one more.
    """
    if len(rows) >= MAX_SENTENCES:
        raise PersonaError(f"A persona has at most {MAX_SENTENCES} sentences. Remove one first.")
    return [*rows, ""]


def from_text(text: str | None) -> list[str]:
    """Rows from text with one sentence a line; the marks of a list are no part of a sentence.

    Raises:
        PersonaError: the sentences break a limit.
    """
    lines = [LIST_MARK.sub("", line) for line in (text or "").splitlines()]
    return list(Persona.parse(lines).sentences)


class PersonaActions:
    """Edits of the persona's rows; they take effect with the next message."""

    def __init__(self, persona: PersonaParts, chat: ChatParts, examples: Sequence[Example]):
        self._persona = persona
        self._chat = chat
        self._examples = tuple(examples)
        self._by_title = {example.title: example for example in examples}

    @property
    def inputs(self) -> set[Any]:
        """Every component an edit reads."""
        parts = self._persona
        return {parts.shown, *parts.rows, parts.text, parts.example, self._chat.chat}

    @property
    def outputs(self) -> list[Any]:
        """Every component an edit may change."""
        parts = self._persona
        return [
            parts.shown,
            *parts.frames,
            *parts.rows,
            *parts.bars,
            parts.none_bar,
            parts.status,
            parts.add,
            parts.text,
            parts.example,
            parts.gallery,
            parts.text_notice,
            self._chat.notice,
            *self._chat.suggestions,
        ]

    def typed(self, values: Values) -> Values:
        """A row was edited: say whether the persona fits."""
        rows = self._rows(values)
        return {self._persona.status: status_line(rows), **self._bars(values, rows)}

    def add(self, values: Values) -> Values:
        """One blank row more."""
        try:
            return self._show(values, add(self._rows(values)))
        except PersonaError as error:
            return {self._chat.notice: notice_html(str(error))}

    def remove(self, index: int):
        """Handler that takes a row away."""
        return lambda values: self._show(values, remove(self._rows(values), index))

    def move_up(self, index: int):
        """Handler that moves a row before its neighbour."""
        return lambda values: self._show(values, move_up(self._rows(values), index))

    def use_text(self, values: Values) -> Values:
        """Sentences from the text box, which is emptied; on a problem both stay
        as they are, and it is told beside the box."""
        try:
            rows = from_text(values[self._persona.text])
        except PersonaError as error:
            return {self._persona.text_notice: notice_html(str(error))}
        return {**self._show(values, rows), self._persona.text: ""}

    def use_example(self, values: Values) -> Values:
        """The ready-made persona that was picked."""
        example = self._by_title.get(values[self._persona.example])
        return self._example(values, example) if example else {self._chat.notice: ""}

    def surprise(self, values: Values) -> Values:
        """A random ready-made persona, another than the current one."""
        return self._example(values, another(self._examples, values[self._persona.example], random.Random()))

    def _example(self, values: Values, example: Example) -> Values:
        texts = (*example.suggestions, *[""] * SUGGESTIONS)[:SUGGESTIONS]
        return {
            **self._show(values, list(example.persona.sentences)),
            self._persona.example: example.title,
            self._persona.gallery: gr.update(open=False),
            **{
                button: gr.update(value=text, visible=bool(text))
                for button, text in zip(self._chat.suggestions, texts, strict=True)
            },
        }

    def _rows(self, values: Values) -> list[str]:
        return [values[row] or "" for row in self._persona.rows[: values[self._persona.shown]]]

    def _show(self, values: Values, rows: list[str]) -> Values:
        parts = self._persona
        padded = rows + [""] * (MAX_SENTENCES - len(rows))
        return {
            parts.shown: len(rows),
            **{frame: gr.update(visible=index < len(rows)) for index, frame in enumerate(parts.frames)},
            **dict(zip(parts.rows, padded, strict=True)),
            parts.status: status_line(rows),
            parts.add: gr.update(interactive=len(rows) < MAX_SENTENCES),
            self._chat.notice: "",
            parts.text_notice: "",
            **self._bars(values, rows),
        }

    def _bars(self, values: Values, rows: Sequence[str]) -> Values:
        turns = values[self._chat.chat].turns
        return probabilities(self._persona, rows, turns[-1] if turns else None)
