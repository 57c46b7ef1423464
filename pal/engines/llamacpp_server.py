"""One variant in one llama.cpp server: slots for sessions, one request at a time.

Why a server per variant: a server whose requests choose between adapters
reuses cached prefixes across adapters (ggml-org/llama.cpp issue 26207). The
base file is memory-mapped, so several servers share one copy of the weights.

Why one request at a time: llama.cpp multiplies LoRA matrices along different
paths for one token and for several. The last bits differ, the 8-bit rounding of
activations turns that into about 0.1 nats, and so two sessions decoded in one
batch flip near-ties that either alone would not. Slots keep the prefix caches.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pal.engines.base import Decoding
from pal.errors import EngineError

REPLY_ROOM = (
    256  # context tokens beyond pal.dialogue.prompt.CONTEXT_TOKENS, for the chosen sentence and the reply
)
_BATCH = 32  # prompt tokens between two looks at a stop request; also bounds the compute buffers
_BIAS = 100.0  # added to every option, so that no other token has any probability


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
        slots: sessions whose prefix caches are kept; the least recently used
            one makes room for a new session.
        context: tokens of one slot, prompt and reply together.

    Raises:
        EngineError: the files cannot be loaded.
    """

    def __init__(self, base: Path, lora: Path | None, *, slots: int, context: int, threads: int):
        import xllamacpp

        params = xllamacpp.CommonParams()
        params.model.path = str(base)
        if lora is not None:
            params.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(str(lora), 1.0)]
        params.n_parallel = slots
        params.n_ctx = context * slots
        params.kv_unified = False
        params.cache_ram_mib = 0
        params.fit_params = False  # else it loads the model once more to see whether it fits
        params.n_batch = params.n_ubatch = _BATCH
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
        params.verbosity = 1  # errors only
        # The library always opens an HTTP port: on the loopback, useless without this key.
        params.hostnames = ["127.0.0.1"]
        params.api_keys = [secrets.token_urlsafe(32)]
        params.endpoint_slots = params.ui = False
        params.n_threads_http = 1
        self._context = context
        self._free = list(range(slots))
        self._sessions: OrderedDict[str, int] = OrderedDict()
        try:
            self._server = xllamacpp.Server(params)
        except RuntimeError as error:
            adapter = f" with adapter {lora}" if lora is not None else ""
            raise EngineError(f"llama.cpp cannot load {base}{adapter}: {error}") from error

    def _slot(self, session: str) -> tuple[int, bool]:
        """The session's slot, and whether it was the session's own before: else
        it is a free one or the least recently used one, and its content is of no
        use (even a common start was computed in other pieces, so rounded otherwise)."""
        own = session in self._sessions
        if own:
            self._sessions.move_to_end(session)
        elif self._free:
            self._sessions[session] = self._free.pop(0)
        else:
            self._sessions[session] = self._sessions.popitem(last=False)[1]
        return self._sessions[session], own

    def _complete(
        self, session: str, request: dict, stopped: Callable[[], bool], take: Callable[[dict], None]
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
        self, tokens: Sequence[int], options: Sequence[int], session: str, stopped: Callable[[], bool]
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
        session: str,
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

    def close(self) -> None:
        """Free the model; waits for the server's own thread."""
        del self._server


def _evaluated(answer: dict, before: int) -> int:
    """Prompt tokens computed so far, from the final timings or the progress."""
    if "timings" in answer:
        return answer["timings"]["prompt_n"]
    progress = answer.get("prompt_progress")
    return progress["processed"] - progress["cache"] if progress else before
