"""Whole conversations, each model with its own replies, side by side.

Sixty personas of our own with six messages each (``assets/conversations.jsonl``).
Unlike ``pal evaluate`` the history is the model's own, and replies are sampled
as the page does. Counts what a visitor would notice, and keeps every reply to
be read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pal.chat.responder import Judged, Responder, TurnRequest
from pal.chat.strategies import Selected
from pal.dialogue.persona import Persona
from pal.dialogue.readers import read_jsonl
from pal.dialogue.text_metrics import recites
from pal.dialogue.turns import Exchange
from pal.engines.base import Cancel, Decoding, Done, Failed
from pal.errors import DataError, EngineError
from pal.evaluation import persona_metrics
from pal.evaluation.contenders import software
from pal.evaluation.walk import dialogue_seed
from pal.settings import REPOSITORY
from pal.statistics import Bootstrap, Estimate, mean_of

CONVERSATIONS = REPOSITORY / "assets" / "conversations.jsonl"
SIGNS = (
    "entails",
    "contradicts",
    "parrots",
    "evades",
    "repeats_itself",
    "echoes",
    "asks",
)


@dataclass(frozen=True)
class Conversation:
    """A persona and what the user will say, whatever is replied."""

    id: str
    persona: Persona
    messages: tuple[str, ...]


@dataclass(frozen=True)
class Reply:
    """One reply. ``selected``: 0-based, None for none or where nothing is
    selected; ``verdicts``: of the consistency model, one per sentence."""

    variant: str
    selected: int | None
    text: str
    verdicts: tuple[int, ...]


def read_conversations(path: Path) -> list[Conversation]:
    """Rows of ``id``, ``persona`` (sentences) and ``turns`` (messages).

    Raises:
        DataError: a malformed row.
    """
    conversations = []
    for number, row in read_jsonl(path):
        try:
            conversations.append(
                Conversation(str(row["id"]), Persona.parse(row["persona"]), tuple(row["turns"]))
            )
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{path}, line {number}: needs id, persona and turns ({error}).") from None
    if not conversations:
        raise DataError(f"{path}: no conversations in it.")
    return conversations


def hold(
    conversation: Conversation, responder: Responder, variants: Sequence[str], seed: int
) -> Iterator[tuple[str, list[Reply]]]:
    """Each message with all variants' replies; each variant goes on from its own.

    Raises:
        EngineError: a variant failed.
    """
    histories: dict[str, list[Exchange]] = {variant: [] for variant in variants}
    seed = dialogue_seed(seed, conversation.id)
    for message in conversation.messages:
        request = TurnRequest(conversation.persona, message, histories, Decoding(), seed, conversation.id)
        selected: dict[str, int | None] = dict.fromkeys(variants)
        texts: dict[str, str] = {}
        verdicts: dict[str, tuple[int, ...]] = {}
        for event in responder.respond(request, Cancel()):
            if isinstance(event, Failed):
                raise EngineError(f"{event.variant} failed on {conversation.id}: {event.message}")
            if isinstance(event, Selected):
                selected[event.variant] = event.selection.selected
            elif isinstance(event, Done):
                texts[event.variant] = event.text.strip()
            elif isinstance(event, Judged):
                verdicts[event.variant] = tuple(map(persona_metrics.verdict, event.consistency or ()))
        for variant in variants:
            histories[variant].append(Exchange(message, texts[variant], selected[variant]))
        yield (
            message,
            [Reply(name, selected[name], texts[name], verdicts.get(name, ())) for name in variants],
        )


def signs(persona: Persona, message: str, reply: Reply, earlier: Sequence[str]) -> dict[str, bool]:
    """Which of ``SIGNS`` a reply shows."""
    return {
        "entails": persona_metrics.entails(reply.verdicts),
        "contradicts": persona_metrics.contradicts(reply.verdicts),
        "parrots": recites(reply.text, persona.sentences),
        "evades": persona_metrics.evades(reply.text),
        "repeats_itself": persona_metrics.repeats_itself(reply.text, earlier),
        "echoes": persona_metrics.echoes(reply.text, message),
        "asks": persona_metrics.asks(reply.text),
    }


def count(
    held: Sequence[tuple[Conversation, Sequence[tuple[str, Sequence[Reply]]]]],
) -> dict[str, dict[str, Estimate]]:
    """Share of replies with each sign, and words a reply, per variant; bootstrap over conversations."""
    rows: dict[str, list[dict[str, float]]] = {}
    owners: dict[str, list[str]] = {}
    for conversation, turns in held:
        earlier: dict[str, list[str]] = {}
        for message, replies in turns:
            for reply in replies:
                before = earlier.setdefault(reply.variant, [])
                row = signs(conversation.persona, message, reply, before) | {"words": len(reply.text.split())}
                rows.setdefault(reply.variant, []).append(row)
                owners.setdefault(reply.variant, []).append(conversation.id)
                before.append(reply.text)
    return {
        variant: {
            name: Bootstrap(owners[variant]).estimate(mean_of([row[name] for row in own]))
            for name in (*SIGNS, "words")
        }
        for variant, own in rows.items()
    }


def as_json(
    settings: Mapping[str, Any],
    held: Sequence[tuple[Conversation, Sequence[tuple[str, Sequence[Reply]]]]],
) -> dict[str, Any]:
    """Settings, counts and every reply, as plain JSON."""
    return {
        "settings": {**settings, "software": software()},
        "counts": {"conversations": len(held), "turns": sum(len(turns) for _, turns in held)},
        "signs": {
            variant: {name: share.to_json() for name, share in numbers.items()}
            for variant, numbers in count(held).items()
        },
        "conversations": [
            {
                "id": conversation.id,
                "persona": list(conversation.persona.sentences),
                "turns": [
                    {
                        "user": message,
                        "replies": {
                            reply.variant: {
                                "selected": reply.selected,
                                "reply": reply.text,
                                "verdicts": list(reply.verdicts),
                            }
                            for reply in replies
                        },
                    }
                    for message, replies in turns
                ],
            }
            for conversation, turns in held
        ],
    }
