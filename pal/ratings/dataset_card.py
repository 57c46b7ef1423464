"""The card of a data set of votes, for the Hub."""

from __future__ import annotations

from collections.abc import Sequence

from pal.ratings.ballots import count
from pal.ratings.records import FLAGS, Record
from pal.ratings.rows import SCHEMA

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
