"""The Explore page: edit a persona, chat, and see three models answer side by side."""

from __future__ import annotations

from collections.abc import Sequence

import gradio as gr

from pal.chat.responder import Responder
from pal.dialogue.persona import Example
from pal.ui import api, explore_layout, pages
from pal.ui.explore_chat import TurnActions
from pal.ui.explore_layout import ChatParts, PersonaParts
from pal.ui.explore_persona import PersonaActions
from pal.ui.explore_views import introduction
from pal.ui.pages import QUIET

FOCUS_LAST_ROW = """() => setTimeout(() => {
  const rows = [...document.querySelectorAll('.pal-row textarea, .pal-row input')];
  rows.filter((row) => row.offsetParent).at(-1)?.focus();
}, 60)"""
SHOW_LIVE = """() => {
  const phone = window.matchMedia('(max-width: 759px)').matches;
  if (phone) setTimeout(() => document.querySelector('#pal-live')?.scrollIntoView({block: 'start'}), 250);
}"""


def add_page(page: gr.Blocks, responder: Responder, examples: Sequence[Example], turns_at_once: int) -> None:
    """Put Explore into ``page``, which is being built."""
    identity = responder.engine.identity
    pages.add_banner("", introduction(responder.variants), f"{identity.engine} · {identity.quantisation}")
    with gr.Row(elem_id="pal-app"):
        with gr.Column(elem_id="pal-persona", elem_classes="pal-panel", min_width=0):
            persona = explore_layout.persona_editor(examples, responder)
        with gr.Column(elem_id="pal-chat", elem_classes="pal-panel", min_width=0):
            judges = responder.consistency is not None
            chat = explore_layout.conversation(examples[0], responder.variants, judges)
    _wire_persona(persona, PersonaActions(persona, chat, examples))
    turns = TurnActions(responder, chat, persona)
    _wire_chat(chat, turns, turns_at_once)
    page.unload(turns.stop)
    api.add_endpoint(responder, turns_at_once)


def _wire_persona(parts: PersonaParts, actions: PersonaActions) -> None:
    direct = {"inputs": actions.inputs, "outputs": actions.outputs, "queue": False, **QUIET}
    gr.on(
        [row.change for row in parts.rows],  # .input misses pasted text
        actions.typed,
        inputs=actions.inputs,
        outputs=[parts.status, *parts.bars, parts.none_bar],
        queue=False,
        trigger_mode="always_last",
        **QUIET,
    )
    parts.add.click(actions.add, **direct).then(fn=None, js=FOCUS_LAST_ROW)
    for index, (up, remove) in enumerate(zip(parts.up, parts.remove, strict=True)):
        up.click(actions.move_up(index), **direct)
        remove.click(actions.remove(index), **direct)
    parts.example.input(actions.use_example, **direct)
    parts.surprise.click(actions.surprise, **direct)
    parts.use_text.click(actions.use_text, **direct)


def _wire_chat(parts: ChatParts, actions: TurnActions, turns_at_once: int) -> None:
    both = {"inputs": actions.inputs, "outputs": actions.outputs, **QUIET}
    turn = {"concurrency_id": "turn", "concurrency_limit": turns_at_once, **both}
    several = {
        "trigger_mode": "multiple"
    }  # a second one is answered by the server, not dropped in the browser
    gr.on([parts.message.submit, parts.send.click], actions.send, **several, **turn)
    for index, suggestion in enumerate(parts.suggestions):
        suggestion.click(actions.suggest(index), **turn)
    parts.retry.click(actions.retry, **turn)
    starts = [parts.message.submit, parts.send.click, parts.retry.click]
    gr.on([*starts, *(button.click for button in parts.suggestions)], fn=None, js=SHOW_LIVE)
    parts.stop.click(actions.stop, queue=False, **QUIET)
    parts.undo.click(actions.undo, queue=False, **both)
    parts.clear.click(actions.clear, queue=False, **both)
    parts.continued.input(actions.continue_with, queue=False, **both)
    parts.live.click(actions.continue_clicked, queue=False, **both)
