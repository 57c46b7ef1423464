"""One complete turn for rating: all replies, or a turn that says what failed."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping

from pal import __version__
from pal.chat.responder import Judged, Responder, TurnRequest
from pal.chat.selection import SelectionSettings
from pal.chat.strategies import Selected
from pal.engines.base import Cancel, Decoding, Delta, Done, Engine, Failed
from pal.errors import PalError
from pal.ratings.records import Provenance, ReplyRecord, Turn

STOPPED = "stopped before it had replied"


def provenance(engine: Engine) -> Provenance:
    """What produces the replies."""
    identity = engine.identity
    return Provenance(
        dict(identity.adapters), identity.engine, identity.quantisation, __version__, identity.fingerprint
    )


def campaign_name(made_by: Provenance, decoding: Decoding, selection: Mapping[str, SelectionSettings]) -> str:
    """Twelve hex digits that change when what is rated does: another engine or version
    of it, base, quantisation, adapter or its configuration, prompt format, decoding or
    selection settings are another campaign."""
    parts = {
        "engine": made_by.fingerprint,
        "decoding": dataclasses.asdict(decoding),
        "selection": {variant: dataclasses.asdict(setting) for variant, setting in selection.items()},
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]


def generate_turn(
    responder: Responder,
    request: TurnRequest,
    made_by: Provenance,
    campaign: str,
    *,
    item: str | None = None,
    owner: str | None = None,
    cancel: Cancel | None = None,
) -> Turn:
    """Run a turn to its end. A variant that fails has its ``error`` set.

    Args:
        item: id of the queue's item, or None for an own chat.
        owner: the annotator whose own chat it is.
    """
    cancel = cancel or Cancel()
    replies = {
        variant: ReplyRecord(
            variant,
            "",
            earlier=tuple(exchange.selected for exchange in request.histories[variant]),
            error=STOPPED,
        )
        for variant in request.variants
    }
    try:
        for event in responder.respond(request, cancel):
            if not isinstance(event, Delta):
                replies[event.variant] = _after(replies[event.variant], event, stopped=cancel.is_set)
    except PalError as error:
        replies = {
            variant: dataclasses.replace(reply, error=reply.error and str(error))
            for variant, reply in replies.items()
        }
    shared = request.histories[request.variants[0]]
    return Turn(
        persona=request.persona,
        history=tuple(dataclasses.replace(exchange, selected=None) for exchange in shared),
        user=request.user,
        replies=tuple(replies.values()),
        seed=request.seed,
        decoding=request.decoding,
        provenance=made_by,
        campaign=campaign,
        item=item,
        owner=owner,
    )


def _after(reply: ReplyRecord, event: Selected | Done | Failed | Judged, *, stopped: bool) -> ReplyRecord:
    match event:
        case Selected():
            return dataclasses.replace(
                reply,
                selected=event.selection.selected,
                probabilities=event.selection.probabilities,
                model_probabilities=event.model,
            )
        case Done():
            return dataclasses.replace(
                reply,
                text=event.text.strip(),
                tokens=event.generated,
                seconds=event.seconds,
                error=STOPPED if stopped else None,
            )
        case Judged():
            return dataclasses.replace(reply, consistency=event.consistency)
    return dataclasses.replace(reply, error=event.message)
