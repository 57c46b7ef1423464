"""What is stored: turns, ratings, consents, reveals and deletions, and their one JSON form."""

from __future__ import annotations

import dataclasses
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Discriminator, TypeAdapter, ValidationError, with_config

from pal.dialogue.persona import Persona
from pal.dialogue.turns import Exchange
from pal.engines.base import Decoding
from pal.errors import DataError

FLAGS = {
    "uses_persona": "uses the persona",
    "contradicts": "contradicts the persona",
    "parrots": "parrots the persona",
    "ignores_user": "ignores the user",
    "broken": "broken",
}
VERDICTS = ("contradiction", "neutral", "entailment")  # as the consistency model's LABELS
MAX_COMMENT_CHARS = 2000


def _known_names(cls: type, derived: frozenset[str] = frozenset()) -> BeforeValidator:
    """Refuses unknown names in the JSON object of a dataclass of another room.
    ``derived`` ones were stored beside the fields, and follow from them."""
    known = {item.name for item in dataclasses.fields(cls)} | derived

    def check(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        if unknown := sorted(set(value) - known):
            raise ValueError(f"unknown field {unknown[0]}")
        return {name: part for name, part in value.items() if name not in derived}

    return BeforeValidator(check)


_PersonaField = Annotated[Persona, _known_names(Persona, frozenset({"hash"}))]
_ExchangeField = Annotated[Exchange, _known_names(Exchange)]
_DecodingField = Annotated[Decoding, _known_names(Decoding)]
_closed = with_config(ConfigDict(extra="forbid"))


def new_id() -> str:
    """An id nobody can guess: 32 hex digits."""
    return secrets.token_hex(16)


def now() -> datetime:
    """The time in UTC, to the microsecond."""
    return datetime.now(UTC)


@_closed
@dataclass(frozen=True)
class ReplyRecord:
    """One variant's part of a turn.

    Attributes:
        variant: its name, such as ``aligned``; ``gold1``, … in gold items.
        text: the whole reply as generated.
        selected: 0-based persona sentence, or None for none (and for a variant
            that does not select, whose ``probabilities`` is None).
        probabilities: what selection was made from, none first, sum 1.
        model_probabilities: the model's own, before the embedding prior.
        earlier: per exchange of the turn's history, the sentence this variant
            had selected there.
        consistency: per persona sentence (contradiction, neutral, entailment),
            summing to 1; None when it was not computed.
        tokens: generated tokens.
        seconds: time from the start of the reply to its end.
        error: why the variant failed, or None.
        quality: how good the reply of a gold item is, higher is better; else None.
    """

    variant: str
    text: str
    selected: int | None = None
    probabilities: tuple[float, ...] | None = None
    model_probabilities: tuple[float, ...] | None = None
    earlier: tuple[int | None, ...] = ()
    consistency: tuple[tuple[float, float, float], ...] | None = None
    tokens: int = 0
    seconds: float = 0.0
    error: str | None = None
    quality: float | None = None

    @property
    def selects(self) -> bool:
        """True when the variant has a selection step."""
        return self.probabilities is not None

    @property
    def verdicts(self) -> tuple[str, ...]:
        """The most probable of ``VERDICTS`` per persona sentence; () when not computed."""
        return tuple(VERDICTS[row.index(max(row))] for row in self.consistency or ())


@_closed
@dataclass(frozen=True)
class Provenance:
    """What produced the replies.

    Attributes:
        adapters: variant → hex SHA-256 of its adapter.
        fingerprint: ``Engine.identity.fingerprint``, which names base, engine and
            prompt format too; "" in records of versions that did not know it.
    """

    adapters: Mapping[str, str]
    engine: str
    quantisation: str
    app_version: str
    fingerprint: str = ""


@_closed
@dataclass(frozen=True)
class Turn:
    """One message and every variant's reply to it; stored before it can be rated.

    Attributes:
        history: finished exchanges before ``user``; texts shared by all variants.
        replies: one per variant, always in the same order; never the order shown.
        order_seed: with the annotator, decides the order shown. Secret.
        item: id of the queue's item, or None for a chat of the annotator's own.
        owner: the annotator whose own chat it is, else None.
        repeat_of: id of the turn this one repeats for self-agreement, else None.
        campaign: names the models under test; ratings are compared within one.
    """

    kind: Literal["turn"] = field(default="turn", kw_only=True)
    persona: _PersonaField
    history: tuple[_ExchangeField, ...]
    user: str
    replies: tuple[ReplyRecord, ...]
    seed: int
    decoding: _DecodingField
    provenance: Provenance
    campaign: str
    item: str | None = None
    owner: str | None = None
    repeat_of: str | None = None
    order_seed: int = field(default_factory=lambda: secrets.randbits(63))
    id: str = field(default_factory=new_id)
    created_at: datetime = field(default_factory=now)

    @property
    def variants(self) -> tuple[str, ...]:
        """The variants that replied, in stored order."""
        return tuple(reply.variant for reply in self.replies)

    @property
    def gold(self) -> bool:
        """True when the replies' quality is known beforehand."""
        return any(reply.quality is not None for reply in self.replies)

    @property
    def failed(self) -> bool:
        """True when a variant failed: such a turn is stored, but not rated."""
        return any(reply.error is not None for reply in self.replies)

    def reply(self, variant: str) -> ReplyRecord:
        """The reply of one variant."""
        return next(reply for reply in self.replies if reply.variant == variant)


@dataclass(frozen=True)
class Vote:
    """What an annotator submits. Columns are positions 0, 1, … as shown.

    Attributes:
        submission: the client's id of this submission; sent again, it gives the
            first one's receipt and stores nothing.
        ranks: rank of each column, 1 is best, equal is a tie; () when skipped or
            all bad. Gaps are closed: (1, 3, 3) counts as (1, 2, 2).
        flags: per column, keys of ``FLAGS``; () for no flags at all.
        correction: asks to correct a vote whose names were already revealed.
    """

    turn_id: str
    submission: str
    ranks: tuple[int, ...] = ()
    flags: tuple[tuple[str, ...], ...] = ()
    all_bad: bool = False
    skip: bool = False
    comment: str = ""
    correction: bool = False


@_closed
@dataclass(frozen=True)
class Rating:
    """A stored vote. Never changed: a later one of the same annotator and turn
    ``supersedes`` it, and the one that nothing supersedes is the active one.

    Attributes:
        annotator: salted hash; see ``pal/ratings/store.py``.
        order: the variant shown in each column.
        ranks: per column, 1 is best, without gaps; () when skipped.
        flags: per column, sorted keys of ``FLAGS``; () when skipped.
        all_bad: no reply is acceptable; the ranks are then all 1.
        correction: the names had been revealed when it was submitted.
        consent: id of the consent it rests on.
        shown_at, submitted_at: the server's clock.
    """

    kind: Literal["rating"] = field(default="rating", kw_only=True)
    turn_id: str
    annotator: str
    submission: str
    order: tuple[str, ...]
    ranks: tuple[int, ...]
    flags: tuple[tuple[str, ...], ...]
    all_bad: bool
    skip: bool
    comment: str
    correction: bool
    shown_at: datetime
    consent: str
    supersedes: str | None = None
    id: str = field(default_factory=new_id)
    submitted_at: datetime = field(default_factory=now)

    def rank_of(self, variant: str) -> int:
        """The variant's rank; 1 is best."""
        return self.ranks[self.order.index(variant)]

    def flags_of(self, variant: str) -> tuple[str, ...]:
        """The variant's flags."""
        return self.flags[self.order.index(variant)]

    @property
    def seconds(self) -> float:
        """Time from showing the replies to the submission."""
        return (self.submitted_at - self.shown_at).total_seconds()


@_closed
@dataclass(frozen=True)
class Consent:
    """An annotator agreed to version ``notice`` of the notice; stored before
    anything else of theirs. ``origin``: salted hash of login or address, or None."""

    kind: Literal["consent"] = field(default="consent", kw_only=True)
    annotator: str
    notice: str
    origin: str | None = None
    id: str = field(default_factory=new_id)
    given_at: datetime = field(default_factory=now)


@_closed
@dataclass(frozen=True)
class Deletion:
    """The annotator's data was deleted at their wish. This tombstone stays, and
    keeps a restored backup from bringing the data back."""

    kind: Literal["deletion"] = field(default="deletion", kw_only=True)
    annotator: str
    id: str = field(default_factory=new_id)
    deleted_at: datetime = field(default_factory=now)


@_closed
@dataclass(frozen=True)
class Reveal:
    """The names of a turn's columns were shown to an annotator, after the vote."""

    kind: Literal["reveal"] = field(default="reveal", kw_only=True)
    annotator: str
    turn_id: str
    id: str = field(default_factory=new_id)
    revealed_at: datetime = field(default_factory=now)


Record = Turn | Rating | Consent | Deletion | Reveal


def person_of(record: Record) -> str | None:
    """The annotator whose data the record is; None for a turn that all share."""
    return record.owner if isinstance(record, Turn) else record.annotator


_READER = TypeAdapter(Annotated[Record, Discriminator("kind")])


def to_json(record: Record) -> dict[str, Any]:
    """The record as plain JSON values, with its ``kind`` first."""
    return _plain(record)


def dumps(record: Record) -> str:
    """The record as one line of ASCII JSON: nothing typed can break a line or an encoding."""
    return json.dumps(to_json(record), separators=(",", ":"))


def from_json(content: Any) -> Record:
    """The record of a JSON object.

    Raises:
        DataError: an unknown kind or field, a missing one, or a value of another type.
    """
    try:
        return _READER.validate_python(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise DataError(f"Not a record of ratings ({place}{': ' if place else ''}{first['msg']}).") from None


def loads(line: str) -> Record:
    """The record of a line; see ``from_json``."""
    try:
        content = json.loads(line)  # pydantic's own parser refuses half characters, which people can type
    except ValueError as error:
        raise DataError(f"Not a record of ratings ({error}).") from None
    return from_json(content)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        content = {item.name: _plain(getattr(value, item.name)) for item in dataclasses.fields(value)}
        return {**content, "hash": value.hash} if isinstance(value, Persona) else content
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    return dict(value) if isinstance(value, Mapping) else value
