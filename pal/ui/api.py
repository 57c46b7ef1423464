"""The page's named endpoint, for programs: one stateless three-way turn."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import gradio as gr

from pal.chat.conversation import MAX_TURNS, ChatTurn, Reply, parse_decoding, parse_seed
from pal.chat.responder import Responder, TurnRequest
from pal.chat.variants import Variants
from pal.dialogue.persona import Persona
from pal.dialogue.turns import MAX_MESSAGE_CHARS, Exchange, check_message
from pal.engines.base import Cancel, Decoding
from pal.errors import PalError
from pal.models.consistency import LABELS

DEFAULT = Decoding()
DESCRIPTION = (
    "One message to all three models. `persona`: one to nine sentences. `history`: earlier results of this "
    "endpoint, oldest first; of each, `message`, `reply` and `selected` are read. Returns the message, the "
    "reply that continues the chat, what each model selected, and all replies with their probabilities "
    "(none first, then each sentence) and what they say about each sentence (`consistency`: probabilities of "
    "contradiction, neutral and entailment) and what is wrong with it (`findings`), both null when the "
    "server does not judge. Results come as they grow; the last one is whole. A client that cancels or "
    "leaves ends the turn."
)
BROKEN = "Something went wrong here. Try again."

log = logging.getLogger(__name__)


def endpoint(responder: Responder) -> Callable[..., Iterator[dict[str, Any]]]:
    """The function behind ``/chat_turn``. Gradio closes it when the client leaves, which ends the turn."""

    def chat_turn(
        persona: list[str],
        message: str,
        history: list[dict[str, Any]] | None = None,
        seed: int = 1,
        temperature: float = DEFAULT.temperature,
        top_p: float = DEFAULT.top_p,
        repeat_penalty: float = DEFAULT.repeat_penalty,
        max_tokens: int = DEFAULT.max_tokens,
    ) -> Iterator[dict[str, Any]]:
        try:
            who = _persona(persona)
            decoding = parse_decoding(
                [_number(value) for value in (temperature, top_p, repeat_penalty, max_tokens)]
            )
            turn = ChatTurn(
                check_message(_text("message", message)),
                who,
                decoding,
                parse_seed(_number(seed)),
                responder.variants,
            )
            histories = _histories(history, who, responder.variants)
        except PalError as error:
            raise gr.Error(str(error), print_exception=False) from None
        request = TurnRequest(who, turn.user, histories, decoding, turn.seed, session="")
        cancel = Cancel()
        try:
            for event in responder.respond(request, cancel):
                turn = turn.after(event)
                yield _result(turn)
        except PalError as error:
            raise gr.Error(str(error), print_exception=False) from None
        except Exception:
            log.exception("a turn of the endpoint failed")
            raise gr.Error(BROKEN, print_exception=False) from None
        finally:
            cancel.set()

    return chat_turn


def add_endpoint(responder: Responder, turns_at_once: int) -> None:
    """Register ``/chat_turn`` on the page that is being built; it waits in the
    same line as the page's own turns."""
    gr.api(
        endpoint(responder),
        api_name="chat_turn",
        api_description=DESCRIPTION,
        concurrency_id="turn",
        concurrency_limit=turns_at_once,
    )


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise PalError(f"{name} must be text.")
    return value


def _number(value: Any) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _persona(value: Any) -> Persona:
    if not isinstance(value, list):
        raise PalError("persona must be a list of sentences.")
    return Persona.parse(_text("each persona sentence", sentence) for sentence in value)


def _histories(history: Any, persona: Persona, variants: Variants) -> dict[str, Sequence[Exchange]]:
    if not isinstance(history, list | None):
        raise PalError("history must be a list of earlier results.")
    earlier = history or []
    if len(earlier) > MAX_TURNS:
        raise PalError(f"history has {len(earlier)} turns; at most {MAX_TURNS} fit.")
    if not all(isinstance(entry, dict) for entry in earlier):
        raise PalError("each entry of history must be an earlier result.")
    return {name: [_exchange(entry, name, persona) for entry in earlier] for name in variants.names}


def _exchange(entry: dict[str, Any], variant: str, persona: Persona) -> Exchange:
    reply = _text("each reply in history", entry.get("reply"))
    if len(reply) > MAX_MESSAGE_CHARS:
        raise PalError(
            f"A reply in history has {len(reply):,} characters; at most {MAX_MESSAGE_CHARS:,} fit."
        )
    selected = entry.get("selected")
    sentence = selected.get(variant) if isinstance(selected, dict) else None
    index = persona.sentences.index(sentence) if sentence in persona.sentences else None
    return Exchange(check_message(_text("each message in history", entry.get("message"))), reply, index)


def _findings(reply: Reply) -> list[dict[str, Any]] | None:
    """What is wrong with a reply; None when it was not judged."""
    if reply.findings is None:
        return None
    return [
        {
            "kind": finding.kind,
            "text": finding.text,
            "sentence": finding.sentence,
            "contradicts": finding.contradicts,
        }
        for finding in reply.findings
    ]


def _result(turn: ChatTurn) -> dict[str, Any]:
    def selected(variant: str) -> str | None:
        selection = turn.reply(variant).selection
        return (
            None
            if selection is None or selection.selected is None
            else turn.persona.sentences[selection.selected]
        )

    return {
        "message": turn.user,
        "reply": turn.continuing.text.strip() if turn.done and turn.continuing else None,
        "selected": {variant: selected(variant) for variant in turn.variants.selecting},
        "seed": turn.seed,
        "replies": {
            reply.variant: {
                "reply": reply.text.strip(),
                "probabilities": list(reply.selection.probabilities) if reply.selection else None,
                "error": reply.error,
                "consistency": [dict(zip(LABELS, row, strict=True)) for row in reply.consistency or ()]
                or None,
                "findings": _findings(reply),
            }
            for reply in turn.replies
        },
    }
