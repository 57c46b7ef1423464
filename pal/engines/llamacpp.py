"""The CPU engine: llama.cpp in this process, one server per variant."""

from __future__ import annotations

import logging
import os
import queue
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from importlib.metadata import version
from pathlib import Path

from pal.dialogue.prompt import CONTEXT_TOKENS, FORMAT, BaseTokenizer
from pal.engines.base import (
    Cancel,
    Delta,
    Done,
    Failed,
    FairLock,
    Identity,
    Options,
    ReplyRequest,
    SelectRequest,
)
from pal.engines.llamacpp_server import REPLY_ROOM, VariantServer
from pal.errors import EngineError
from pal.files import sha256
from pal.models.adapters import adapter_hash, adapter_path, gguf_adapter
from pal.models.bases import base_tokenizer_path, fetch_base
from pal.models.hub import noted_sha256

_POLL_SECONDS = 0.02  # how often a waiting caller looks at its cancel button
_log = logging.getLogger(__name__)

Stopped = Callable[[], bool]
Emit = Callable[[Delta], None]


class LlamaCppEngine:
    """Implements ``pal.engines.base.Engine`` with xllamacpp.

    Args:
        base: GGUF of the base model.
        loras: GGUF LoRA of each variant; None runs the plain base.
        hashes: what ``identity`` says of each adapter; None hashes the GGUFs.
        slots: sessions per variant whose prefix caches are kept.
        threads: CPU threads; None takes every core this process may use.
        parallel: run the variants of a turn side by side. Off, they run one
            after another, each with all threads: on two cores that takes as
            long in all, and the first reply comes three times sooner.

    Raises:
        EngineError: a model cannot be loaded.
    """

    def __init__(
        self,
        base: Path,
        loras: Mapping[str, Path | None],
        *,
        hashes: Mapping[str, str] | None = None,
        slots: int = 4,
        threads: int | None = None,
        parallel: bool = False,
    ):
        self.variants = tuple(loras)
        self._base = base
        self._hashes = dict(hashes or {name: sha256(path) if path else "" for name, path in loras.items()})
        self._parallel = parallel
        shared = FairLock()
        self._locks = {variant: FairLock() if parallel else shared for variant in loras}
        self._closed = threading.Event()
        self._servers: dict[str, VariantServer] = {}
        settings = {"slots": slots, "context": CONTEXT_TOKENS + REPLY_ROOM, "threads": threads or _cores()}
        try:
            for variant, lora in loras.items():
                self._servers[variant] = VariantServer(base, lora, **settings)
        except EngineError:
            self.close()
            raise

    @classmethod
    def from_adapters(
        cls,
        adapters: Mapping[str, Path | None],
        *,
        base: Path | None = None,
        progress: bool = True,
        slots: int = 4,
        threads: int | None = None,
        parallel: bool = False,
    ) -> LlamaCppEngine:
        """The engine for PEFT adapters, fetched and converted as needed.

        Args:
            adapters: PEFT folder of each variant; None runs the plain base.
            base: GGUF of the base model; None fetches the pinned one.

        Raises:
            CheckpointError: the base or an adapter is not to be had.
            EngineError: a model cannot be loaded.
        """
        for folder in filter(None, adapters.values()):
            adapter_path(folder.name, folder.parent)
        base = base or fetch_base(progress=progress)
        loras = {variant: folder and gguf_adapter(folder) for variant, folder in adapters.items()}
        hashes = {variant: adapter_hash(folder) if folder else "" for variant, folder in adapters.items()}
        return cls(base, loras, hashes=hashes, slots=slots, threads=threads, parallel=parallel)

    @cached_property
    def identity(self) -> Identity:
        """What it is. The base's file is hashed when it is new or changed."""
        return Identity(
            "llama.cpp",
            version("xllamacpp"),
            noted_sha256(self._base),
            _quantisation(self._base),
            self._hashes,
            FORMAT,
        )

    @cached_property
    def tokenizer(self) -> BaseTokenizer:
        """The base's own."""
        return BaseTokenizer(base_tokenizer_path())

    def select(self, requests: Sequence[SelectRequest], cancel: Cancel) -> Iterator[Options | Failed]:
        """One answer per request, as each is ready; after ``cancel``, Failed."""

        def work(request: SelectRequest, server: VariantServer, stopped: Stopped, _: Emit):
            answer = server.distribution(request.tokens, request.options, request.session, stopped)
            return Options(request.variant, *answer) if answer else unfinished(request)

        def unfinished(request: SelectRequest, *_) -> Failed:
            return Failed(request.variant, "Stopped before it had selected.")

        return self._run(requests, work, unfinished, cancel)

    def stream(self, requests: Sequence[ReplyRequest], cancel: Cancel) -> Iterator[Delta | Done | Failed]:
        """Pieces of all replies as they come, then a Done or Failed for each.

        ``Done.seconds`` counts from the moment the reply's turn came. After
        ``cancel``, what was written so far comes as Done at once, and the
        server is free again after the token it is at.
        """

        def work(request: ReplyRequest, server: VariantServer, stopped: Stopped, emit: Emit) -> Done:
            start = time.perf_counter()
            begun = False

            def on_text(text: str) -> None:
                nonlocal begun
                text = text if begun else text.lstrip()
                if text:
                    begun = True
                    emit(Delta(request.variant, text))

            made = server.generate(
                request.tokens, request.decoding, request.seed, request.session, stopped, on_text
            )
            seconds = time.perf_counter() - start
            return Done(request.variant, made.text.strip(), made.evaluated, made.generated, seconds)

        def so_far(request: ReplyRequest, pieces: Sequence[str], seconds: float) -> Done:
            return Done(request.variant, "".join(pieces).strip(), 0, len(pieces), seconds)

        return self._run(requests, work, so_far, cancel)

    def close(self) -> None:
        """Stop what runs and free the models."""
        self._closed.set()
        for variant in list(self._servers):
            with self._locks[variant].hold():
                self._servers.pop(variant).close()

    def _run(self, requests: Sequence, work: Callable, so_far: Callable, cancel: Cancel) -> Iterator:
        """Run ``work(request, server, stopped, emit)`` for every request on worker
        threads; yields what they emit and return.

        Nothing a worker does can hold the caller up: after ``cancel`` each
        unfinished request ends with ``so_far(request, pieces, seconds)`` at
        once, and its worker stops at the next token.
        """
        if self._closed.is_set():
            raise EngineError("The engine is closed.")
        left = threading.Event()  # the caller is gone or has its answer
        events: queue.SimpleQueue = queue.SimpleQueue()

        def stopped() -> bool:
            return cancel.is_set or left.is_set() or self._closed.is_set()

        def run(batch: Sequence[tuple[int, object]]) -> None:
            for index, request in batch:
                if stopped():
                    return
                emit = partial(_put, events, index)
                emit(self._answer(request, work, stopped, emit))

        jobs = list(enumerate(requests))
        batches = [[job] for job in jobs] if self._parallel else [jobs]
        pieces: dict[int, list[str]] = {index: [] for index, _ in jobs}
        start = time.perf_counter()
        for batch in batches:
            threading.Thread(target=run, args=(batch,), name="pal-llamacpp").start()
        try:
            while pieces:
                if cancel.is_set:
                    seconds = time.perf_counter() - start
                    yield from [so_far(requests[index], texts, seconds) for index, texts in pieces.items()]
                    return
                try:
                    index, event = events.get(timeout=_POLL_SECONDS)
                except queue.Empty:
                    continue
                if isinstance(event, Delta):
                    pieces[index].append(event.text)
                else:
                    del pieces[index]
                yield event
        finally:
            left.set()

    def _answer(self, request, work: Callable, stopped: Stopped, emit: Emit):
        """The last event of one request; never raises."""
        try:
            if request.variant not in self._locks:
                known = ", ".join(self.variants)
                raise EngineError(f"There is no model “{request.variant}”; there are: {known}.")
            with self._locks[request.variant].hold():
                if self._closed.is_set():
                    raise EngineError("The engine was closed.")
                if stopped():
                    raise EngineError("Stopped before its turn came.")
                return work(request, self._servers[request.variant], stopped, emit)
        except EngineError as error:
            return Failed(request.variant, str(error))
        except Exception:
            _log.exception("variant %s failed", request.variant)
            return Failed(request.variant, "The model could not answer: an unexpected error. Try again.")


def _put(events: queue.SimpleQueue, index: int, event: Delta | Done | Failed | Options) -> None:
    events.put((index, event))


def _cores() -> int:
    """Cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _quantisation(base: Path) -> str:
    """The quantisation named at the end of a GGUF's file name."""
    match = re.search(r"[.-](I?Q\d\w*|BF16|F16|F32)$", base.stem, re.IGNORECASE)
    return match[1].upper() if match else "GGUF"
