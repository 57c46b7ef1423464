"""The Explore page's components and where they stand; no behaviour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import gradio as gr

from pal.chat.conversation import DEFAULT_CONTINUED, LIMITS, Chat, ChatTurn
from pal.chat.responder import Responder
from pal.chat.variants import Variants
from pal.dialogue.persona import MAX_SENTENCES, Example
from pal.engines.base import Decoding
from pal.ui.explore_views import (
    changed,
    column_heads,
    legend,
    option_bars,
    setting_line,
    status_line,
    welcome,
)
from pal.ui.templates import number_word

SUGGESTIONS = 4
CONTINUE_ON_CLICK = """
element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-continue]');
  if (button) trigger('click', {variant: button.dataset.continue});
});
"""


@dataclass(frozen=True)
class PersonaParts:
    """The persona editor. ``shown`` holds how many of ``rows`` a visitor sees."""

    shown: gr.State
    frames: tuple[gr.Row, ...]
    rows: tuple[gr.Textbox, ...]
    bars: tuple[gr.HTML, ...]
    none_bar: gr.HTML
    legend: gr.HTML
    up: tuple[gr.Button, ...]
    remove: tuple[gr.Button, ...]
    status: gr.HTML
    add: gr.Button
    surprise: gr.Button
    gallery: gr.Accordion
    example: gr.Radio
    text: gr.Textbox
    use_text: gr.Button
    text_notice: gr.HTML


@dataclass(frozen=True)
class ChatParts:
    """Conversation, composer and settings."""

    chat: gr.State
    past: gr.HTML
    live: gr.HTML
    spoken: gr.HTML
    notice: gr.HTML
    suggestions: tuple[gr.Button, ...]
    message: gr.Textbox
    send: gr.Button
    stop: gr.Button
    continued: gr.Radio
    retry: gr.Button
    undo: gr.Button
    clear: gr.Button
    judge: gr.Checkbox
    seed: gr.Number
    decoding: tuple[gr.Number, ...]


def _row(
    number: int, sentence: str, visible: bool
) -> tuple[gr.Row, gr.Textbox, gr.Button, gr.Button, gr.HTML]:
    with gr.Row(visible=visible, elem_classes="pal-row") as frame:
        text = gr.Textbox(
            sentence,
            label=f"Persona sentence {number}",
            show_label=False,
            container=False,
            lines=1,
            max_lines=4,
            placeholder="I …",
            elem_classes="pal-sentence-box",
            html_attributes=gr.InputHTMLAttributes(autocomplete="off", spellcheck=True),
        )
        up = gr.Button(
            f"Move sentence {number} up", elem_classes=["pal-icon", "pal-up"], interactive=number > 1
        )
        remove = gr.Button(f"Remove sentence {number}", elem_classes=["pal-icon", "pal-remove"])
        bars = gr.HTML("", elem_classes="pal-row-bars")
    return frame, text, up, remove, bars


def persona_editor(examples: Sequence[Example], responder: Responder) -> PersonaParts:
    """One row for each sentence with its probabilities, ready-made personas,
    and the same as text."""
    first = list(examples[0].persona.sentences)
    shown = gr.State(len(first))
    number = number_word(len(responder.variants))
    gr.HTML(f"<h2>Persona</h2><p>Who all {number} models are. Edit it at any time.</p>")
    with gr.Accordion(f"{len(examples)} example personas", open=False, elem_id="pal-gallery") as gallery:
        example = gr.Radio(
            [item.title for item in examples],
            value=examples[0].title,
            label="Example personas",
            show_label=False,
            container=False,
            elem_classes="pal-cards",
        )
    key = gr.HTML(legend(None), elem_id="pal-legend")
    texts = first + [""] * (MAX_SENTENCES - len(first))
    row_parts = [_row(number, text, number <= len(first)) for number, text in enumerate(texts, 1)]
    frames, rows, up, remove, bars = zip(*row_parts, strict=True)
    none_bar = gr.HTML("", elem_id="pal-none-row")
    gr.HTML(setting_line(responder.settings, responder.variants), elem_id="pal-setting-line")
    status = gr.HTML(status_line(first), elem_id="pal-status")
    with gr.Row(elem_classes="pal-buttons"):
        add = gr.Button("Add sentence", size="sm", elem_id="pal-add")
        surprise = gr.Button("Random persona", size="sm", elem_id="pal-random")
    with gr.Accordion("Paste as text", open=False, elem_id="pal-as-text"):
        text = gr.Textbox(label="One sentence a line", lines=4, max_lines=12, elem_id="pal-persona-text")
        use_text = gr.Button("Use these sentences", size="sm", elem_id="pal-use-text")
        text_notice = gr.HTML("", elem_id="pal-text-notice")
    buttons = (add, surprise, gallery, example, text, use_text, text_notice)
    return PersonaParts(shown, frames, rows, bars, none_bar, key, up, remove, status, *buttons)


def probabilities(parts: PersonaParts, rows: Sequence[str], last: ChatTurn | None) -> dict[gr.HTML, str]:
    """What stands below ``rows``, the rows a visitor sees: the last turn's bars, or that the
    sentence has changed since then."""
    known = last.persona.sentences if last else ()
    below = []
    for row in rows:
        text = " ".join(row.split())
        if text in known:
            below.append(option_bars(last, known.index(text) + 1))
        else:
            below.append(changed() if text and last else "")
    below += [""] * (len(parts.bars) - len(below))
    return {**dict(zip(parts.bars, below, strict=True)), parts.none_bar: option_bars(last, 0)}


def _settings(variants: Variants) -> tuple[gr.Number, tuple[gr.Number, ...]]:
    """Plain number boxes: what does not fit is explained when a turn starts."""
    default, number = Decoding(), number_word(len(variants))
    with gr.Accordion(f"Seed and decoding – the same for all {number}", open=False, elem_id="pal-settings"):
        with gr.Row(elem_classes="pal-numbers"):
            seed = gr.Number(1, label="Seed", precision=0, elem_id="pal-seed", min_width=0)
            decoding = tuple(
                gr.Number(
                    getattr(default, name),
                    label=f"{limit.name}, {limit.low:g} to {limit.high:g}",
                    step=limit.step,
                    min_width=0,
                )
                for name, limit in LIMITS.items()
            )
        gr.HTML(
            '<p class="pal-hint">Temperature 0 always takes the likeliest word. Retry draws a new seed.</p>'
        )
    return seed, decoding


def _composer(example: Example, variants: Variants, judges: bool) -> dict:
    with gr.Row(elem_id="pal-suggestions"):
        texts = (*example.suggestions, *[""] * SUGGESTIONS)[:SUGGESTIONS]
        suggestions = tuple(gr.Button(text, size="sm", visible=bool(text), min_width=60) for text in texts)
    notice = gr.HTML("", elem_id="pal-notice")
    with gr.Row(elem_id="pal-composer"):
        message = gr.Textbox(
            label="Your message",
            show_label=False,
            container=False,
            placeholder="Say something …",
            lines=1,
            max_lines=6,
            scale=1,
            elem_id="pal-message",
        )
        send = gr.Button("Send", variant="primary", elem_id="pal-send", min_width=88, scale=0)
        stop = gr.Button("Stop", variant="stop", elem_id="pal-stop", visible=False, min_width=88, scale=0)
    with gr.Row(elem_id="pal-toolbar"):
        continued = gr.Radio(
            [(variant.title, variant.name) for variant in variants],
            value=DEFAULT_CONTINUED,
            label="The chat continues with",
            container=False,
            elem_id="pal-continued",
        )
        small = {"size": "sm", "min_width": 60, "scale": 0, "interactive": False}
        retry = gr.Button("Retry", elem_id="pal-retry", **small)
        undo = gr.Button("Undo", elem_id="pal-undo", **small)
        clear = gr.Button("Clear", elem_id="pal-clear", **small)
        judge = gr.Checkbox(
            True,
            label="Show badges",
            container=False,
            elem_id="pal-judge",
            visible=judges,
            min_width=60,
            scale=0,
        )
    return {
        "suggestions": suggestions,
        "notice": notice,
        "message": message,
        "send": send,
        "stop": stop,
        "continued": continued,
        "retry": retry,
        "undo": undo,
        "clear": clear,
        "judge": judge,
    }


def conversation(example: Example, variants: Variants, judges: bool) -> ChatParts:
    """The columns, the composer below them, and the settings; with ``judges``
    a switch for the badges."""
    gr.HTML(column_heads(variants), elem_id="pal-heads")
    with gr.Column(elem_id="pal-transcript"):
        past = gr.HTML("", elem_id="pal-past")
        live = gr.HTML(welcome(variants), elem_id="pal-live", js_on_load=CONTINUE_ON_CLICK)
    spoken = gr.HTML("", elem_id="pal-spoken", html_template='<div aria-live="polite">${value}</div>')
    composer = _composer(example, variants, judges)
    seed, decoding = _settings(variants)
    return ChatParts(
        chat=gr.State(Chat()), past=past, live=live, spoken=spoken, seed=seed, decoding=decoding, **composer
    )
