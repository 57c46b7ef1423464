"""From settings to a responder that is ready to answer."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

from pal.engines.base import Engine
from pal.errors import CheckpointError
from pal.prompt import Renderer
from pal.respond import ConsistencyScorer, Responder
from pal.selection import SelectionSettings
from pal.settings import Settings

log = logging.getLogger(__name__)


def build_responder(settings: Settings, engine: Engine | None = None) -> Responder:
    """Engine, renderer, encoder and consistency model for all three variants; fetches what is
    missing, so the first call on a machine may take minutes. Close it with
    ``responder.engine.close()``. ``engine`` None loads the one the settings name.

    Raises:
        CheckpointError: base, encoder or an adapter is missing and cannot be got.
        DataError: the selection file cannot be used.
    """
    from pal.checkpoints import base_tokenizer_path, fetch_encoder
    from pal.engines.llamacpp import LlamaCppEngine
    from pal.tokenizer import BaseTokenizer

    selection = selection_settings(settings)
    encoder = None
    if any(setting.prior_weight for setting in selection.values()):
        from pal.encoder import MiniLMEncoder

        encoder = MiniLMEncoder(fetch_encoder())
    renderer = Renderer(BaseTokenizer(base_tokenizer_path()))
    engine = engine or LlamaCppEngine.from_adapters(settings.adapters)
    return Responder(engine, renderer, selection, encoder, consistency_model(settings))


def consistency_model(settings: Settings, folder: Path | None = None) -> ConsistencyScorer | None:
    """The model behind the badges; None when the settings turn it off. One
    that is missing or cannot be used is logged, once, and also gives None.
    ``folder`` None is the repository's."""
    if not settings.consistency:
        return None
    from pal.evaluation.consistency import FOLDER, ConsistencyModel

    try:
        return ConsistencyModel.load(folder or FOLDER)
    except CheckpointError as error:
        log.warning("Replies are shown without badges. %s", error)
        return None


def selection_settings(settings: Settings) -> Mapping[str, SelectionSettings]:
    """Selection settings per variant; pure PAL while the repository has none tuned.

    Raises:
        DataError: the selection file is not there although it was asked for,
            or cannot be used.
    """
    from pal.evaluation.selection_file import PURE, read_selection

    untuned = settings.selection == Settings().selection and not settings.selection.is_file()
    return read_selection(PURE if untuned else settings.selection).used
