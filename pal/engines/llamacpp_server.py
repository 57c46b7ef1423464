"""One variant in one llama.cpp server: slots for sessions, one request at a time.

Why a server per variant: a server whose requests choose between adapters
reuses cached prefixes across adapters (ggml-org/llama.cpp issue 26207). The
base file is memory-mapped, so several servers share one copy of the weights.

Why one request at a time: llama.cpp multiplies LoRA matrices along different
paths for one token and for several. The last bits differ, the 8-bit rounding of
activations turns that into about 0.1 nats, and so two sessions decoded in one
batch flip near-ties that either alone would not. Slots keep the prefix caches;
a chat that has to leave its slot is parked on disk and comes back as it was.
"""

from __future__ import annotations

import json
import logging
import secrets
import tempfile
import urllib.request
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pal.engines.base import Decoding
from pal.errors import EngineError

REPLY_ROOM = 256  # context tokens beyond the base's, for the chosen sentence and the reply
# Prompt tokens between two looks at a stop request, and so what a turn may wait for a prefill;
# also bounds the compute buffers. Two cores compute 120 to 280 tokens in a second: 32 are the
# most that end within about 0.1 s on the faster of them, 64 would take 0.2 to 0.5 s.
PROMPT_BATCH = 32
_BIAS = 100.0  # added to every option, so that no other token has any probability
_PARKING_SECONDS = 30
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Session:
    """A chat whose cache may be reused; one that is not ``kept`` takes no other's place."""

    name: str
    kept: bool = True


@dataclass(frozen=True)
class Generation:
    """A finished or stopped reply. ``evaluated``: prompt tokens computed;
    ``generated``: reply tokens, without the end token."""

    text: str
    evaluated: int
    generated: int


class VariantServer:
    """The base with one adapter, in process.

    Not safe for several requests at once: the engine holds a lock around each.

    Args:
        base: GGUF of the base model.
        lora: GGUF LoRA at scale 1, or None for the plain base.
        slots: kept sessions whose prefix caches are in memory; the least recently
            used one makes room for another. One more slot serves the rest.
        parked_bytes: on disk, for the caches of sessions that made room; 0 forgets them.
        context: tokens of one slot, prompt and reply together.

    Raises:
        EngineError: the files cannot be loaded.
    """

    def __init__(
        self, base: Path, lora: Path | None, *, slots: int, context: int, threads: int, parked_bytes: int = 0
    ):
        import xllamacpp

        params = xllamacpp.CommonParams()
        params.model.path = str(base)
        if lora is not None:
            params.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(str(lora), 1.0)]
        params.n_parallel = slots + 1
        params.n_ctx = context * params.n_parallel
        params.kv_unified = False
        params.cache_ram_mib = 0
        params.fit_params = False  # else it loads the model once more to see whether it fits
        params.n_batch = params.n_ubatch = PROMPT_BATCH
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
        params.verbosity = 1  # errors only
        # The library always opens an HTTP port: on the loopback, useless without this key.
        params.hostnames = ["127.0.0.1"]
        self._key = secrets.token_urlsafe(32)
        params.api_keys = [self._key]
        params.endpoint_slots = parked_bytes > 0  # parks slots
        params.ui = False
        self._folder = tempfile.TemporaryDirectory(prefix="pal-chats-", ignore_cleanup_errors=True)
        params.slot_save_path = self._folder.name + "/"
        params.n_threads_http = 1
        self._context = context
        self._free = list(range(slots))
        self._passing_slot, self._passing = slots, ""
        self._sessions: OrderedDict[str, int] = OrderedDict()  # in memory, least recently used first
        self._parked: OrderedDict[str, tuple[str, int]] = OrderedDict()  # file and its bytes
        self._parked_bytes = parked_bytes
        try:
            self._server = xllamacpp.Server(params)
        except RuntimeError as error:
            adapter = f" with adapter {lora}" if lora is not None else ""
            raise EngineError(f"llama.cpp cannot load {base}{adapter}: {error}") from error

    def _slot(self, session: Session) -> tuple[int, bool]:
        """The session's slot, and whether it holds the session's own cache: else
        its content is of no use (even a common start was computed in other pieces,
        so rounded otherwise)."""
        name = session.name
        if not session.kept:
            own, self._passing = self._passing == name, name
            return self._passing_slot, own
        if name in self._sessions:
            self._sessions.move_to_end(name)
            return self._sessions[name], True
        if self._free:
            slot = self._free.pop(0)
        else:
            leaving, slot = self._sessions.popitem(last=False)
            self._park(leaving, slot)
        self._sessions[name] = slot
        return slot, self._return(name, slot)

    def _park(self, name: str, slot: int) -> None:
        """Write a slot's cache to disk; the least recently parked ones make room."""
        if not self._parked_bytes:
            return
        file = f"{secrets.token_hex(8)}.kv"
        answer = self._slot_action(slot, "save", file)
        if answer is None:
            return
        self._parked[name] = file, answer["n_written"]
        while sum(size for _, size in self._parked.values()) > self._parked_bytes:
            self._forget(self._parked.popitem(last=False)[1][0])

    def _return(self, name: str, slot: int) -> bool:
        """Read a parked session's cache into a slot; False when there is none."""
        if name not in self._parked:
            return False
        file, _ = self._parked.pop(name)
        answer = self._slot_action(slot, "restore", file)
        self._forget(file)
        return answer is not None

    def _forget(self, file: str) -> None:
        (Path(self._folder.name) / file).unlink(missing_ok=True)

    def _slot_action(self, slot: int, action: str, file: str) -> dict | None:
        """The server's answer; None, and a warning, when it could not: then the prompt is computed again."""
        request = urllib.request.Request(
            f"{self._server.listening_address}/slots/{slot}?action={action}",
            data=json.dumps({"filename": file}).encode(),
            headers={"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=_PARKING_SECONDS) as response:
                return json.load(response)
        except (OSError, ValueError) as error:
            _log.warning("a chat's cache could not be parked (%s): %s", action, error)
            return None

    def _complete(
        self, session: Session, request: dict, stopped: Callable[[], bool], take: Callable[[dict], None]
    ) -> None:
        """Run one request; every answer goes to ``take``.

        Raises:
            EngineError: the server refused the request.
        """
        failures: list[Exception] = []

        def on_answer(answer: dict) -> bool:  # True ends the request; the library swallows exceptions
            try:
                if "error" in answer:
                    raise EngineError(f"llama.cpp refused the request: {answer['error']['message']}")
                take(answer)
                return stopped()
            except Exception as error:
                failures.append(error)
                return True

        slot, own = self._slot(session)
        request |= {"id_slot": slot, "cache_prompt": own, "stream": True, "return_progress": True}
        self._server.handle_completions(request, on_answer)
        if failures:
            raise failures[0]

    def _room(self, tokens: Sequence[int]) -> int:
        room = self._context - len(tokens)
        if room < 1:
            raise EngineError(
                f"The prompt has {len(tokens):,} tokens; at most {self._context - 1:,} fit. "
                "Shorten the persona or the message."
            )
        return room

    def distribution(
        self, tokens: Sequence[int], options: Sequence[int], session: Session, stopped: Callable[[], bool]
    ) -> tuple[tuple[float, ...], int] | None:
        """Next-token probabilities restricted to ``options``, in their order and
        summing to 1, and the number of prompt tokens computed; None if stopped.

        Raises:
            EngineError: the prompt does not fit, or the server failed.
        """
        self._room(tokens)
        found: dict[int, float] = {}
        evaluated = 0

        def take(answer: dict) -> None:
            nonlocal evaluated
            evaluated = _evaluated(answer, evaluated)
            if answer["choices"][0]["logprobs"]:
                top = answer["choices"][0]["logprobs"]["content"][0]["top_probs"]
                found.update((entry["id"], entry["prob"]) for entry in top)

        request = {
            "prompt": list(tokens),
            "n_predict": 1,
            "samplers": ["temperature"],
            "temperature": 1.0,
            "logit_bias": [[option, _BIAS] for option in options],
            "n_probs": len(options),
            "post_sampling_probs": True,
        }
        self._complete(session, request, stopped, take)
        total = sum(found.get(option, 0.0) for option in options)
        if not total:
            if stopped():
                return None
            raise EngineError("llama.cpp returned no probability for any option.")
        return tuple(found.get(option, 0.0) / total for option in options), evaluated

    def generate(
        self,
        tokens: Sequence[int],
        decoding: Decoding,
        seed: int,
        session: Session,
        stopped: Callable[[], bool],
        on_text: Callable[[str], None],
    ) -> Generation:
        """Continue ``tokens`` to the end of the turn; pieces go to ``on_text``.

        A stopped reply is returned as far as it came.

        Raises:
            EngineError: the prompt does not fit, or the server failed.
        """
        room = self._room(tokens)
        pieces: list[str] = []
        evaluated = generated = 0

        def take(answer: dict) -> None:
            nonlocal evaluated, generated
            evaluated = _evaluated(answer, evaluated)
            choice = answer["choices"][0]
            if choice["text"]:
                generated += 1
                pieces.append(choice["text"])
                on_text(choice["text"])
            if "usage" in answer:
                generated = answer["usage"]["completion_tokens"] - (choice["finish_reason"] == "stop")

        request = {
            "prompt": list(tokens),
            "n_predict": min(decoding.max_tokens, room),
            "ignore_eos": decoding.ignore_end,
            "seed": seed % 2**32,
            "samplers": ["penalties", "temperature", "top_p"],
            "temperature": decoding.temperature,
            "top_p": decoding.top_p,
            "repeat_penalty": decoding.repeat_penalty,
        }
        self._complete(session, request, stopped, take)
        return Generation("".join(pieces), evaluated, generated)

    def prefill(self, tokens: Sequence[int], session: Session, stopped: Callable[[], bool]) -> bool:
        """Compute ``tokens`` into the session's cache, where that is in memory: no
        session makes room for it. False when it was stopped before the end.

        Raises:
            EngineError: the prompt does not fit, or the server failed.
        """
        if session.name not in self._sessions:
            return True
        self._room(tokens)
        finished = False

        def take(answer: dict) -> None:
            nonlocal finished
            finished = finished or "timings" in answer

        self._complete(session, {"prompt": list(tokens), "n_predict": 0}, stopped, take)
        return finished

    def close(self) -> None:
        """Free the model; waits for the server's own thread."""
        del self._server
        self._folder.cleanup()


def _evaluated(answer: dict, before: int) -> int:
    """Prompt tokens computed so far, from the final timings or the progress."""
    if "timings" in answer:
        return answer["timings"]["prompt_n"]
    progress = answer.get("prompt_progress")
    return progress["processed"] - progress["cache"] if progress else before
