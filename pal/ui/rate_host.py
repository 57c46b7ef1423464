"""From settings to what the Rate page needs, or to the reason why it is closed."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from pal.engines.base import VARIANTS, Cancel, Decoding
from pal.errors import PalError
from pal.ratings.desk import RatingDesk, open_desk
from pal.ratings.generate import campaign_name, generate_turn, provenance
from pal.ratings.records import Turn
from pal.respond import Responder, TurnRequest
from pal.settings import Settings
from pal.ui.rate_maker import MakeTurn

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RatingHost:
    """``desk`` None: nothing can be rated, and ``closed`` says why."""

    desk: RatingDesk | None = None
    make: MakeTurn | None = None
    closed: str = "This copy of PAL keeps no ratings."

    def close(self) -> None:
        """Finish the backup and close the store."""
        if self.desk is not None:
            self.desk.close()


def open_host(settings: Settings, responder: Responder) -> RatingHost:
    """Opens the store; a store that cannot be opened closes the page, not the app."""
    try:
        made_by = provenance(responder.engine, {name: settings.adapters / name for name in VARIANTS})
        desk = open_desk(settings, campaign_name(made_by, Decoding(), responder.settings))
    except (PalError, OSError) as error:
        log.error("no rating: %s", error)
        return RatingHost(closed=str(error))

    def make(request: TurnRequest, item: str | None, owner: str | None, cancel: Cancel) -> Turn:
        return generate_turn(
            responder,
            request,
            made_by,
            desk.campaign,
            item=item,
            owner=owner,
            cancel=cancel,
        )

    return RatingHost(desk, make)
