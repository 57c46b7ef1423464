"""PAL's page: ``python app.py``, or what a Space runs. Settings: ``pal/settings.py``."""

from __future__ import annotations

import os
import sys

from pal.chat.session import build_responder
from pal.errors import PalError
from pal.settings import Settings
from pal.ui.rate_maker import open_host
from pal.ui.site import launch


def main() -> int:
    """Serve the page until stopped; a ``PalError`` becomes one line."""
    try:
        settings = Settings.from_env(os.environ)
        responder = build_responder(settings)
        rating = open_host(settings, responder)
        launch(responder, settings, rating)
    except PalError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    rating.close()
    responder.engine.close()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
