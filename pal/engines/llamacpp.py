"""The CPU engine: llama.cpp in this process, one server per variant."""

from __future__ import annotations

import itertools
import logging
import os
import queue
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import cached_property, partial
from importlib.metadata import version
from pathlib import Path

from pal.dialogue.prompt import FORMAT, Renderer
from pal.engines.base import (
    Answers,
    Cancel,
    Delta,
    Done,
    Failed,
    Identity,
    Options,
    Pieces,
    PrefillRequest,
    ReplyRequest,
    SelectRequest,
)
from pal.engines.idle import IdlePrefill
from pal.engines.llamacpp_server import REPLY_ROOM, Session, VariantServer
from pal.errors import EngineError
from pal.files import sha256
from pal.models.adapters import adapter_hash, adapter_path, gguf_adapter, merged_gguf
from pal.models.bases import BASE, fetch_base, open_renderer
from pal.models.hub import noted_sha256

PARKED_BYTES = 2**30  # on disk, for the caches of chats that are not in memory, all variants together
_POLL_SECONDS = 0.02  # how often a waiting caller looks at its cancel button
_log = logging.getLogger(__name__)

Stopped = Callable[[], bool]
Emit = Callable[[Delta], None]


class Worker:
    """One thread that runs jobs one at a time: those of the turn that began first
    come first, those of background turns last."""

    def __init__(self):
        self._jobs: queue.PriorityQueue = queue.PriorityQueue()
        self._order = itertools.count()
        self._lock = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="pal-llamacpp", daemon=True)
        self._thread.start()

    def submit(self, cancel: Cancel, job: Callable[[], None]) -> None:
        """Run ``job``, which must not raise, when its turn comes.

        Raises:
            EngineError: the worker is closed.
        """
        with self._lock:
            if self._closed:
                raise EngineError("The engine is closed.")
            self._jobs.put((cancel.background, cancel.number, next(self._order), job))

    @property
    def waiting(self) -> int:
        """Jobs that have not begun."""
        return self._jobs.qsize()

    def _run(self) -> None:
        while (job := self._jobs.get()[-1]) is not None:
            job()

    def close(self) -> None:
        """Run what is in line, then end; waits for it."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._jobs.put((True, float("inf"), next(self._order), None))
        self._thread.join()


class LlamaCppEngine:
    """Implements ``pal.engines.base.Engine`` with xllamacpp.

    Args:
        base: GGUF of the base model.
        loras: GGUF LoRA of each variant; None runs the plain base.
        merged: a GGUF of its own for each variant, its adapter added in, which
            is served instead of the base and the LoRA.
        hashes: what ``identity`` says of each adapter; None hashes the GGUFs.
        slots: chats per variant whose prefix caches stay in memory, 29 MB each;
            one more serves turns that belong to no chat.
        parked_bytes: caches of further chats that are kept on disk.
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
        merged: Mapping[str, Path] | None = None,
        hashes: Mapping[str, str] | None = None,
        slots: int = 3,
        parked_bytes: int = PARKED_BYTES,
        threads: int | None = None,
        parallel: bool = False,
    ):
        self.variants = tuple(loras)
        self._base = base
        self._served = next(iter(merged.values())) if merged else base
        self._hashes, self._loras = hashes, dict(loras)
        self._closed = threading.Event()
        self._servers: dict[str, VariantServer] = {}
        shared = Worker()
        self._workers = {variant: Worker() if parallel else shared for variant in loras}
        self._idle = IdlePrefill(self._prefill_now)
        settings = {
            "slots": slots,
            "context": BASE.context + REPLY_ROOM,
            "threads": threads or _cores(),
            "parked_bytes": parked_bytes // max(len(loras), 1),
        }
        try:
            for variant, lora in loras.items():
                model = (merged[variant], None) if merged else (base, lora)
                self._servers[variant] = VariantServer(*model, **settings)
        except EngineError:
            self.close()
            raise

    @classmethod
    def from_adapters(
        cls,
        adapters: Mapping[str, Path | None],
        *,
        base: Path | None = None,
        merge: bool = False,
        progress: bool = True,
        **options,
    ) -> LlamaCppEngine:
        """The engine for PEFT adapters, fetched and converted as needed.

        Args:
            adapters: PEFT folder of each variant; None runs the plain base.
            base: GGUF of the base model; None fetches the pinned one.
            merge: serve each adapter added into a file of its own (Q8_0), and the
                variants side by side where there is a core for each of them.
            options: of the constructor.

        Raises:
            CheckpointError: the base or an adapter is not to be had.
            EngineError: a model cannot be loaded.
        """
        for folder in filter(None, adapters.values()):
            adapter_path(folder.name, folder.parent)
        base = base or fetch_base(progress=progress)
        merged = None
        if merge:
            merged = {
                variant: merged_gguf(base, folder, progress=progress) if folder else base
                for variant, folder in adapters.items()
            }
            options = _threads(len(adapters)) | options
        loras = {
            variant: gguf_adapter(folder) if folder and not merge else None
            for variant, folder in adapters.items()
        }
        hashes = {variant: adapter_hash(folder) if folder else "" for variant, folder in adapters.items()}
        return cls(base, loras, merged=merged, hashes=hashes, **options)

    @cached_property
    def identity(self) -> Identity:
        """What it is. The base's file is hashed when it is new or changed."""
        hashes = self._hashes or {name: sha256(path) if path else "" for name, path in self._loras.items()}
        return Identity(
            "llama.cpp",
            version("xllamacpp"),
            noted_sha256(self._base),
            _quantisation(self._served),
            dict(hashes),
            FORMAT,
        )

    @cached_property
    def renderer(self) -> Renderer:
        """The base's own."""
        return open_renderer()

    def select(self, requests: Sequence[SelectRequest], cancel: Cancel) -> Answers:
        """One answer per request, as each is ready; after ``cancel``, Failed."""

        def work(request: SelectRequest, server: VariantServer, stopped: Stopped, _: Emit):
            session = _session(request, cancel)
            answer = server.distribution(request.tokens, request.options, session, stopped)
            return Options(request.variant, *answer) if answer else unfinished(request)

        def unfinished(request: SelectRequest, *_) -> Failed:
            return Failed(request.variant, "Stopped before it had selected.")

        return self._run(requests, work, unfinished, cancel)

    def stream(self, requests: Sequence[ReplyRequest], cancel: Cancel) -> Pieces:
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

            session = _session(request, cancel)
            reply = server.generate(request.tokens, request.decoding, request.seed, session, stopped, on_text)
            seconds = time.perf_counter() - start
            return Done(request.variant, reply.text.strip(), reply.evaluated, reply.generated, seconds)

        def so_far(request: ReplyRequest, pieces: Sequence[str], seconds: float) -> Done:
            return Done(request.variant, "".join(pieces).strip(), 0, len(pieces), seconds)

        return self._run(requests, work, so_far, cancel)

    def prefill(self, requests: Sequence[PrefillRequest]) -> None:
        """Computed while no turn runs, where the chat's cache is in memory by then."""
        self._idle.add([request for request in requests if request.variant in self._servers])

    def _prefill_now(self, requests: Sequence[PrefillRequest], stopped: Stopped) -> list[PrefillRequest]:
        """Compute on the workers until ``stopped``; those that were stopped."""
        cancel = Cancel(background=True)
        ends: queue.SimpleQueue = queue.SimpleQueue()

        def run(request: PrefillRequest) -> None:
            finished = True
            try:
                session = Session(request.session)
                server = self._servers[request.variant]
                finished = not stopped() and server.prefill(request.tokens, session, stopped)
            except Exception as error:  # the turn itself will tell the visitor
                _log.warning("variant %s could not be prefilled: %s", request.variant, error)
            ends.put((request, finished))

        for request in requests:
            self._workers[request.variant].submit(cancel, partial(run, request))
        return [request for request, finished in (ends.get() for _ in requests) if not finished]

    def close(self) -> None:
        """Stop what runs at its next token, wait for it, and free the models."""
        self._closed.set()
        self._idle.close()
        for worker in self._workers.values():
            worker.close()
        while self._servers:
            self._servers.popitem()[1].close()

    def _run(self, requests: Sequence, work: Callable, so_far: Callable, cancel: Cancel) -> Answers | Pieces:
        """Run ``work(request, server, stopped, emit)`` for every request on the
        workers; yields what they emit and return.

        Nothing a worker does can hold the caller up: after ``cancel`` each
        unfinished request ends with ``so_far(request, pieces, seconds)`` at
        once, and its worker stops at the next token.
        """
        if self._closed.is_set():
            raise EngineError("The engine is closed.")
        sessions = [request.session for request in requests]
        with nullcontext() if cancel.background else self._idle.turn(sessions):
            yield from self._run_jobs(requests, work, so_far, cancel)

    def _run_jobs(
        self, requests: Sequence, work: Callable, so_far: Callable, cancel: Cancel
    ) -> Answers | Pieces:
        """``_run``, while nothing is computed ahead."""
        left = threading.Event()  # the caller is gone or has its answer
        events: queue.SimpleQueue = queue.SimpleQueue()

        def stopped() -> bool:
            return cancel.is_set or left.is_set() or self._closed.is_set()

        def run(index: int, request: SelectRequest | ReplyRequest) -> None:
            emit = partial(_put, events, index)
            emit(self._answer(request, work, stopped, emit))

        pieces: dict[int, list[str]] = {index: [] for index in range(len(requests))}
        start = time.perf_counter()
        try:
            for index, request in enumerate(requests):
                worker = self._workers.get(request.variant) or next(iter(self._workers.values()))
                worker.submit(cancel, partial(run, index, request))
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
            if request.variant not in self._servers:
                known = ", ".join(self.variants)
                raise EngineError(f"There is no model “{request.variant}”; there are: {known}.")
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


def _session(request: SelectRequest | ReplyRequest, cancel: Cancel) -> Session:
    """The chat of a request; a turn on its own is a chat of one turn that is not kept."""
    return Session(request.session or f"turn {cancel.number}", kept=bool(request.session))


def _put(events: queue.SimpleQueue, index: int, event: Delta | Done | Failed | Options) -> None:
    events.put((index, event))


def _cores() -> int:
    """Cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _threads(variants: int) -> dict[str, bool | int]:
    """Side by side, the cores divided among the variants, or one after another on one core."""
    cores = _cores()
    return {"parallel": cores > 1, "threads": max(1, cores // variants)}


def _quantisation(base: Path) -> str:
    """The quantisation named at the end of a GGUF's file name, before a format number."""
    match = re.search(r"[.-](I?Q\d\w*|BF16|F16|F32)(-\d+)?$", base.stem, re.IGNORECASE)
    return match[1].upper() if match else "GGUF"
