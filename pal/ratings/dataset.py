"""The ratings as a flat data set: columns, rows, and the card beside them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from pal.ratings.ballots import count
from pal.ratings.records import FLAGS, Rating, Record, ReplyRecord, Turn

SCHEMA = pa.schema(
    [
        pa.field(name, kind, metadata={"description": text})
        for name, kind, text in (
            ("rating", pa.string(), "id of the rating"),
            ("turn", pa.string(), "id of the turn that was rated"),
            ("campaign", pa.string(), "names the models under test"),
            ("source", pa.string(), "item, gold, repeat or own chat"),
            ("item", pa.string(), "id of the rating item; empty for an own chat"),
            ("annotator", pa.string(), "salted hash"),
            ("active", pa.bool_(), "counts: no later rating of the annotator and turn replaced it"),
            ("supersedes", pa.string(), "id of the rating that it replaced"),
            ("correction", pa.bool_(), "made after the models' names were revealed"),
            ("skipped", pa.bool_(), "the annotator gave no ranking"),
            ("all_bad", pa.bool_(), "no reply was acceptable"),
            ("shown_at", pa.timestamp("us", tz="UTC"), "when the replies were shown"),
            ("submitted_at", pa.timestamp("us", tz="UTC"), "when the rating was submitted"),
            ("persona", pa.list_(pa.string()), "the persona's sentences"),
            ("history", pa.list_(pa.string()), "earlier messages: user and persona in turn"),
            ("user", pa.string(), "the message that was answered"),
            ("column", pa.int8(), "place on the screen, from 1"),
            ("variant", pa.string(), "the model that wrote the reply"),
            ("reply", pa.string(), "the reply"),
            ("rank", pa.int8(), "1 is best, equal ranks are ties; empty when skipped"),
            ("flags", pa.list_(pa.string()), "what the annotator marked on the reply"),
            ("selected", pa.string(), "the persona sentence that the model selected"),
            ("verdicts", pa.list_(pa.string()), "consistency model's verdict per persona sentence"),
            ("quality", pa.float32(), "known quality of a gold item's reply"),
            ("comment", pa.string(), "the annotator's comment on the turn"),
            ("seed", pa.int64(), "seed of the replies"),
            ("temperature", pa.float32(), "temperature of the replies"),
            ("adapter", pa.string(), "SHA-256 of the model's adapter, with its configuration"),
            ("app_version", pa.string(), "version of PAL"),
        )
    ]
)
_CARD = """---
pretty_name: PAL votes {campaign}
task_categories:
- text-generation
language:
- en
tags:
- persona
- dialogue
- preference
- dpo
configs:
- config_name: votes
  default: true
  data_files: data/votes.parquet
- config_name: pairs
  data_files: data/pairs.jsonl
---

# Votes on persona dialogue, campaign {campaign}

Blind rankings of replies by {variants}. Annotators saw a persona, a history and a message, and the
replies in unnamed columns in an order shuffled for every turn and annotator. {votes} rankings of
{turns} turns by {annotators} annotators; {skipped} turns were skipped, {corrected} rankings were changed
after the names had been revealed (`correction`).

## votes

One row for each reply that a rating judged, in `data/votes.parquet`. Ratings that were replaced later
are included; `active` marks those that count. `source` is `gold` for items with fixed replies of known
quality and `repeat` for turns that came a second time: neither is a vote on the models.

| column | |
|---|---|
{columns}

Flags: {flags}.

## pairs

`data/pairs.jsonl`: one preference pair for each reply that an annotator ranked before another of the
same turn, for Direct Preference Optimization with `python -m pal train align --pairs pairs.jsonl`.
Fields: `id`, `dialogue`, `persona`, `history` (`user`, `reply`, `selected`), `user`, `selected`
(0-based persona sentence or null), `chosen`, `rejected`.

## People

Annotators agreed to a notice before anything was stored. They appear as salted hashes. Comments and
the messages of own chats are what they typed: read them before making this data set public.
"""


def rows(records: Sequence[Record], campaign: str | None = None) -> Iterator[dict[str, Any]]:
    """A row, by the names of ``SCHEMA``, per rating and reply; superseded ratings too.

    Args:
        campaign: None for all.
    """
    turns = {record.id: record for record in records if isinstance(record, Turn)}
    ratings = [record for record in records if isinstance(record, Rating)]
    superseded = {rating.supersedes for rating in ratings}
    for rating in ratings:
        turn = turns[rating.turn_id]
        if campaign in (None, turn.campaign):
            shared = {**_turn_values(turn), **_rating_values(rating), "active": rating.id not in superseded}
            for column, variant in enumerate(rating.order):
                yield {**shared, **_reply_values(turn, turn.reply(variant), rating, column)}


def _turn_values(turn: Turn) -> dict[str, Any]:
    return {
        "turn": turn.id,
        "campaign": turn.campaign,
        "source": source(turn),
        "item": turn.item,
        "persona": [clean(sentence) for sentence in turn.persona.sentences],
        "history": [
            clean(text) for exchange in turn.history for text in (exchange.user or "", exchange.reply)
        ],
        "user": clean(turn.user),
        "seed": turn.seed,
        "temperature": turn.decoding.temperature,
        "app_version": turn.provenance.app_version,
    }


def source(turn: Turn) -> str:
    """Where a turn comes from: item, gold, repeat or own."""
    if turn.gold:
        return "gold"
    if turn.repeat_of is not None:
        return "repeat"
    return "item" if turn.item is not None else "own"


def _rating_values(rating: Rating) -> dict[str, Any]:
    return {
        "rating": rating.id,
        "annotator": rating.annotator,
        "supersedes": rating.supersedes,
        "correction": rating.correction,
        "skipped": rating.skip,
        "all_bad": rating.all_bad,
        "shown_at": rating.shown_at,
        "submitted_at": rating.submitted_at,
        "comment": clean(rating.comment),
    }


def _reply_values(turn: Turn, reply: ReplyRecord, rating: Rating, column: int) -> dict[str, Any]:
    sentences = turn.persona.sentences
    return {
        "column": column + 1,
        "variant": reply.variant,
        "reply": clean(reply.text),
        "rank": None if rating.skip else rating.ranks[column],
        "flags": [] if rating.skip else list(rating.flags[column]),
        "selected": None if reply.selected is None else clean(sentences[reply.selected]),
        "verdicts": list(reply.verdicts),
        "quality": reply.quality,
        "adapter": turn.provenance.adapters.get(reply.variant),
    }


def clean(text: str) -> str:
    """The text without what no file can hold: lone surrogates and NUL."""
    return text.encode("utf-8", "replace").decode().replace("\x00", "")


def dataset_card(records: Sequence[Record], campaign: str) -> str:
    """The card (README.md) with the campaign's counts."""
    ballots = count(records, campaign)
    return _CARD.format(
        campaign=campaign or "(none yet)",
        variants=", ".join(ballots.variants) or "no models yet",
        votes=len(ballots.ranked),
        turns=len({ballot.turn.id for ballot in ballots.ranked}),
        annotators=len({ballot.rating.annotator for ballot in ballots.ranked}),
        skipped=ballots.skipped,
        corrected=ballots.corrected,
        columns="\n".join(
            f"| `{column.name}` | {column.metadata[b'description'].decode()} |" for column in SCHEMA
        ),
        flags="; ".join(f"`{name}` {text}" for name, text in FLAGS.items()),
    )
