"""PAL's page: ``python app.py``, or what a Space runs. Settings: ``pal/settings.py``."""

from __future__ import annotations

import os
import signal
import sys
import threading

from pal.chat.session import build_responder
from pal.errors import PalError
from pal.settings import Settings
from pal.ui.rate_maker import open_host
from pal.ui.site import launch

SECONDS_TO_STOP = 9.5  # from SIGTERM to the end; hosts kill after ten


def main() -> int:
    """Serve the page until stopped; a ``PalError`` becomes one line."""
    try:
        settings = Settings.from_env(os.environ)
        responder = build_responder(settings)
        rating = open_host(settings, responder)
        stop = stop_signal()
        site = launch(responder, settings, rating)
    except PalError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    while not stop.wait(0.5):  # in steps: on Windows a signal does not end a wait
        pass
    _end_in_time()
    rating.close()
    site.close(verbose=False)
    responder.engine.close()
    return 0


def stop_signal() -> threading.Event:
    """An event that SIGTERM and Ctrl-C set from now on, instead of ending the process."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


def _end_in_time() -> None:
    """Ends the process after ``SECONDS_TO_STOP``, whatever still runs."""
    timer = threading.Timer(SECONDS_TO_STOP, os._exit, (1,))
    timer.daemon = True
    timer.start()


if __name__ == "__main__":
    raise SystemExit(main())
