"""What the chat's buttons do. Handlers take the inputs by component and give
back only the components that change."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import gradio as gr

from pal.chat.conversation import MAX_SEED, Chat, ChatTurn, parse_decoding, parse_seed
from pal.chat.responder import Responder
from pal.chat.session import RunningTurns, prefill, retry_base, run_turn
from pal.dialogue.persona import Persona
from pal.dialogue.turns import check_message
from pal.errors import PalError
from pal.ui import explore_views
from pal.ui.explore_layout import ChatParts, PersonaParts, probabilities
from pal.ui.pages import notice_html

Values = dict[Any, Any]


class TurnActions:
    """Send, retry, stop, undo, clear and continue-with for one page.

    Holds no visitor's data: chats live in each visitor's own session state,
    ``running`` only knows whose turn can be stopped.
    """

    def __init__(self, responder: Responder, chat: ChatParts, persona: PersonaParts):
        self._responder = responder
        self._chat = chat
        self._persona = persona
        self.running = RunningTurns()

    @property
    def inputs(self) -> set[Any]:
        """Every component a turn reads."""
        parts = self._chat
        return {
            parts.chat,
            parts.message,
            parts.continued,
            parts.seed,
            *parts.decoding,
            *parts.suggestions,
            parts.judge,
            self._persona.shown,
            *self._persona.rows,
        }

    @property
    def outputs(self) -> list[Any]:
        """Every component an action may change."""
        parts = self._chat
        return [
            parts.chat,
            parts.past,
            parts.live,
            parts.spoken,
            parts.notice,
            *parts.suggestions,
            parts.message,
            parts.send,
            parts.stop,
            parts.continued,
            parts.retry,
            parts.undo,
            parts.clear,
            parts.seed,
            self._persona.legend,
            *self._persona.bars,
            self._persona.none_bar,
        ]

    def send(self, values: Values, request: gr.Request) -> Iterator[Values]:
        """Run a turn with the typed message; the box is emptied once it runs."""
        message = self._chat.message
        yield from self._start(values, request, values[message], {message: ""})

    def suggest(self, index: int) -> Callable[[Values, gr.Request], Iterator[Values]]:
        """Handler that runs a turn with a suggested message; typed text stays."""

        def send_suggestion(values: Values, request: gr.Request) -> Iterator[Values]:
            yield from self._start(values, request, values[self._chat.suggestions[index]], {})

        return send_suggestion

    def _start(
        self, values: Values, request: gr.Request, message: str | None, first: Values
    ) -> Iterator[Values]:
        try:
            turn = self._turn(values, message, parse_seed(values[self._chat.seed]))
        except PalError as error:
            yield self._problem(error)
            return
        yield from self._run(values, values[self._chat.chat], turn, request, first)

    def retry(self, values: Values, request: gr.Request) -> Iterator[Values]:
        """Run the last turn again: same message, persona and settings as shown
        now, and a new seed."""
        parts = self._chat
        seed = secrets.randbelow(MAX_SEED)
        try:
            before, last = retry_base(values[parts.chat])
            turn = self._turn(values, last.user, seed)
        except PalError as error:
            yield self._problem(error)
            return
        yield from self._run(values, before, turn, request, {parts.seed: seed}, replaced=last)

    def stop(self, request: gr.Request) -> None:
        """Cancel this visitor's running turn, if there is one."""
        self.running.stop(request.session_hash or "")

    def undo(self, values: Values, request: gr.Request) -> Values:
        """Take back the last turn, or the last clear; the message returns to the
        box when that is empty."""
        parts = self._chat
        try:
            chat, message = values[parts.chat].undo()
        except PalError as error:
            return self._problem(error)
        typed = (values[parts.message] or "").strip()
        return {**self._whole(chat, self._rows(values)), **({} if typed else {parts.message: message})}

    def clear(self, values: Values, request: gr.Request) -> Values:
        """Empty the chat; undo brings it back."""
        parts = self._chat
        said = bool(values[parts.chat].turns)
        shown = self._whole(values[parts.chat].clear(), self._rows(values))
        return (
            {**shown, parts.notice: notice_html("Chat cleared. Undo brings it back.", "info")}
            if said
            else shown
        )

    def continue_with(self, values: Values, request: gr.Request) -> Values:
        """Let the chosen model's reply continue the chat, from the last turn on."""
        return self._continue(values, values[self._chat.continued])

    def continue_clicked(self, values: Values, event: gr.EventData) -> Values:
        """The same, from the button below a reply."""
        variant = (event._data or {}).get("variant")
        if variant not in self._responder.variants:
            return {self._chat.notice: ""}
        shown = self._continue(values, variant)
        return {self._chat.continued: variant, **shown}

    def _continue(self, values: Values, variant: str) -> Values:
        chat: Chat = values[self._chat.chat]
        try:
            chat = chat.continue_with(variant)
        except PalError as error:
            return {**self._problem(error), self._chat.continued: chat.turns[-1].continued}
        prefill(self._responder, chat)
        return self._whole(chat, self._rows(values))

    def _turn(self, values: Values, message: str | None, seed: int) -> ChatTurn:
        parts, variants = self._chat, self._responder.variants
        continued = values[parts.continued]
        return ChatTurn(
            check_message(message),
            Persona.parse(self._rows(values)),
            parse_decoding([values[number] for number in parts.decoding]),
            seed,
            variants,
            continued if continued in variants else variants.names[-1],
        )

    def _run(
        self,
        values: Values,
        chat: Chat,
        turn: ChatTurn,
        request: gr.Request,
        first: Values,
        replaced: ChatTurn | None = None,
    ) -> Iterator[Values]:
        parts, rows = self._chat, self._rows(values)
        visitor = request.session_hash or ""
        chat = chat.named()
        try:
            chat.with_turn(turn)
            cancel = self.running.begin(visitor)
        except PalError as error:
            yield self._problem(error)
            return
        shown = {
            **first,
            parts.past: explore_views.transcript(chat.turns),
            parts.notice: "",
            parts.spoken: "",
            **self._busy(True),
        }
        try:
            read = None
            judge = bool(values[parts.judge])
            for grown in run_turn(self._responder, chat, turn, cancel, judge=judge, replaced=replaced):
                state = [(reply.selection, reply.consistency) for reply in grown.turns[-1].replies]
                bars = self._bars(grown, rows) if state != read else {}
                yield {**shown, **self._live(grown), **bars}
                shown, read = {}, state
            end = {**self._possible(grown), parts.spoken: explore_views.announcement(grown.turns[-1])}
        except PalError as error:
            end = {**self._whole(grown, rows), **self._problem(error)}
        finally:
            cancel.set()
            self.running.end(visitor)
        yield {**self._busy(False), **end}

    def _live(self, chat: Chat) -> Values:
        parts = self._chat
        return {
            parts.chat: chat,
            parts.live: explore_views.newest_turn(chat.turns, self._responder.variants),
        }

    def _bars(self, chat: Chat, rows: Sequence[str]) -> Values:
        last = chat.turns[-1] if chat.turns else None
        return {
            self._persona.legend: explore_views.legend(last),
            **probabilities(self._persona, rows, last),
        }

    def _rows(self, values: Values) -> list[str]:
        return [values[row] or "" for row in self._persona.rows[: values[self._persona.shown]]]

    def _whole(self, chat: Chat, rows: Sequence[str]) -> Values:
        return {
            **self._live(chat),
            **self._bars(chat, rows),
            **self._possible(chat),
            self._chat.past: explore_views.transcript(chat.turns[:-1]),
            self._chat.notice: "",
            self._chat.spoken: "",
        }

    def _possible(self, chat: Chat) -> Values:
        """Retry, undo and clear are offered only where there is something to do."""
        parts, said = self._chat, bool(chat.turns)
        return {
            parts.retry: gr.update(interactive=said),
            parts.undo: gr.update(interactive=chat.can_undo),
            parts.clear: gr.update(interactive=said),
        }

    def _problem(self, error: PalError) -> Values:
        return {self._chat.notice: notice_html(str(error))}

    def _busy(self, busy: bool) -> Values:
        parts = self._chat
        locked = (*parts.suggestions, parts.continued, parts.retry, parts.undo, parts.clear)
        return {
            parts.send: gr.update(visible=not busy),
            parts.stop: gr.update(visible=busy),
            **{part: gr.update(interactive=not busy) for part in locked},
        }
