"""Engines that run the variants: select, and stream replies of several at once.

To add one: implement ``pal.engines.base.Engine`` in a file here, and add its
name to ``pal.settings.Engine`` and its constructor to ``open``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pal.engines.base import Engine
from pal.errors import EngineError
from pal.settings import Settings


def open(settings: Settings, adapters: Mapping[str, Path | None], *, progress: bool = True) -> Engine:
    """The engine that ``PAL_ENGINE`` names, with its models loaded; fetches the
    base if it is not there. "auto" takes the best for this machine.

    Args:
        adapters: name of each variant → its PEFT folder, None for the plain base.
        progress: show a bar while something is fetched.

    Raises:
        CheckpointError: the base or an adapter is missing and cannot be got.
        EngineError: a model cannot be loaded, or there is no such engine.
    """
    if settings.engine in ("auto", "llamacpp"):
        from pal.engines.llamacpp import LlamaCppEngine

        return LlamaCppEngine.from_adapters(adapters, merge=settings.merge, progress=progress)
    raise EngineError(f"There is no engine “{settings.engine}”.")
