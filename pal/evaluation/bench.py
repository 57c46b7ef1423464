"""How fast and how big PAL is on this machine.

A fixed six-exchange conversation, all three variants, replies of 18 tokens,
greedy. The same work is then done by llama.cpp without prefix reuse and by
plain transformers in fp32, as a newcomer would write it, each in a process of its
own, one after another, so that neither time nor memory of one leaks into another.

PAL itself is measured twice: with each message sent as soon as the last turn has
ended, and with the pause of a visitor who reads and types, in which the engine
computes ahead.
"""

from __future__ import annotations

import multiprocessing
import os
import platform
import resource
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pal.dialogue.turns import Exchange
from pal.engines.base import Cancel, Decoding, Delta, Done, Failed
from pal.errors import EngineError

REPLY_TOKENS = 18
SENTENCES = (
    "I drive a night bus in a harbour town.",
    "I keep two old greyhounds.",
    "I am learning to play the accordion.",
    "My sister runs a small bakery.",
    "I never eat fish.",
)
MESSAGES = (
    "Hi there! How are you today?",
    "What do you do for a living?",
    "That sounds tiring. What do you do to relax?",
    "Do you have any pets at home?",
    "Nice. Do you have brothers or sisters?",
    "Would you like to have sushi with me some day?",
)
MODES = ("pal", "pal_paused", "no_reuse", "transformers")
QUARTERS = 4


def summarise(measured: dict[str, dict]) -> dict[str, object]:
    """Medians over turns (seconds), ratios of medians, memory and start-up of each mode."""
    pal, paused = measured["pal"], measured["pal_paused"]
    turn = statistics.median(pal["turns"])
    report: dict[str, object] = {
        **_turns(pal),
        **{f"{key}_after_pause": value for key, value in _turns(paused).items()},
        "pause_seconds": paused["pause"],
        "peak_rss_mb": round(pal["peak_rss_mb"], 1),
        "startup_seconds": round(pal["startup"], 2),
        "speedup_vs_transformers": round(statistics.median(measured["transformers"]["turns"]) / turn, 2),
        "speedup_vs_no_reuse": round(statistics.median(measured["no_reuse"]["turns"]) / turn, 2),
        "transformers_turn_seconds": round(statistics.median(measured["transformers"]["turns"]), 3),
        "transformers_peak_rss_mb": round(measured["transformers"]["peak_rss_mb"], 1),
        "no_reuse_turn_seconds": round(statistics.median(measured["no_reuse"]["turns"]), 4),
        "selection": pal["selection"],
        "machine": {"cpus": os.cpu_count(), "processor": _processor(), "python": platform.python_version()},
        "reply_tokens": REPLY_TOKENS,
        "raw": measured,
    }
    if pal["long"]:
        report |= long_chat(pal["long"]["turns"], pal["long"]["evaluated"])
        after = long_chat(paused["long"]["turns"], paused["long"]["evaluated"])
        report |= {f"{key}_after_pause": value for key, value in after.items()}
    return report


def _turns(figures: dict) -> dict[str, float]:
    """Medians of one mode's turns."""
    return {
        "turn_seconds": round(statistics.median(figures["turns"]), 4),
        "turn_seconds_p95": round(_percentile(figures["turns"], 0.95), 4),
        "first_token_seconds": round(statistics.median(figures["first"]), 4),
        "tokens_per_second": round(figures["tokens"] / sum(figures["turns"]), 1),
        "badges_seconds": round(statistics.median(figures["badges"]), 4),
        "evaluated_prompt_tokens_per_turn": round(statistics.mean(figures["evaluated"]), 1),
    }


def long_chat(seconds: Sequence[float], evaluated: Sequence[int]) -> dict[str, object]:
    """How a chat slows down as it grows, by quarters of its turns: median seconds of a turn, median
    prompt tokens newly computed, and the last quarter's seconds over the first one's.

    The first turn is left out: it computes the whole persona, as no later one does, and so
    would hide a slower end. At least five turns; else there is nothing to compare.
    """
    size = (len(seconds) - 1) // QUARTERS
    if not size:
        return {}
    starts = [len(seconds) - size * (QUARTERS - quarter) for quarter in range(QUARTERS)]
    medians = [statistics.median(seconds[start : start + size]) for start in starts]
    return {
        "long_chat_turns": len(seconds),
        "long_chat_quarters": {
            "turn_seconds": [round(median, 4) for median in medians],
            "evaluated_prompt_tokens": [
                statistics.median(evaluated[start : start + size]) for start in starts
            ],
        },
        "long_chat_last_over_first": round(medians[-1] / medians[0], 2),
    }


def _percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.split(": ", 1)[1] for line in lines if line.startswith("model name")), platform.processor()
    )


def in_own_process(mode: str, repeats: int, long_turns: int, pause: float = 0.0) -> dict:
    """Figures of one mode; ``pause``: seconds between a turn and the next message.

    Raises:
        EngineError: it failed there.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_child, args=(theirs, mode, repeats, long_turns, pause))
    child.start()
    theirs.close()
    try:
        result = ours.recv()
    except EOFError:
        result = f"the process ended with status {child.exitcode}"
    child.join()
    if isinstance(result, str):
        raise EngineError(f"bench: measuring {mode} failed: {result}")
    return result


def _child(pipe, mode: str, repeats: int, long_turns: int, pause: float) -> None:
    try:
        pipe.send(_measure(mode, repeats, long_turns, pause))
    except Exception as error:  # the parent names it; a traceback here would reach nobody
        pipe.send(f"{type(error).__name__}: {error}")


def open_responder(mode: str):
    """What serves, but nothing of an earlier conversation is remembered, since a visitor's messages
    and replies are new: every verdict is computed, and only the persona's embeddings are kept."""
    from pal.chat.session import build_responder
    from pal.chat.variants import shipped
    from pal.models.consistency import ConsistencyModel
    from pal.models.encoder import MiniLMEncoder
    from pal.settings import Settings

    settings, engine = Settings.from_env(os.environ), None
    if mode == "transformers":
        from pal.evaluation.bench_reference import PlainTransformers

        engine = PlainTransformers(shipped(settings.adapters).adapters)
    responder = build_responder(replace(settings, consistency=False), engine=engine)
    if responder.encoder is not None:
        responder = replace(responder, encoder=MiniLMEncoder(cached=len(SENTENCES) + 1))
    if settings.consistency:
        responder = replace(responder, consistency=ConsistencyModel.load(cached=0))
    return responder


def _measure(mode: str, repeats: int, long_turns: int, pause: float = 0.0) -> dict:
    begun = time.perf_counter()
    responder = open_responder(mode)
    startup = time.perf_counter() - begun
    figures = {"startup": startup, "pause": pause, **_no_turns(), "long": {}}
    _conversation(responder, MESSAGES[:2], "warm-up", mode, None)
    for repeat in range(repeats):
        _conversation(responder, MESSAGES, f"chat-{repeat}", mode, figures, pause)
    if long_turns:
        figures["long"] = _no_turns()
        messages = [MESSAGES[turn % len(MESSAGES)] for turn in range(long_turns)]
        _conversation(responder, messages, "long", mode, figures["long"], pause)
    figures["selection"] = {name: setting.label for name, setting in responder.settings.items()}
    # Linux gives kilobytes, macOS bytes
    unit = 1024 if sys.platform != "darwin" else 1024 * 1024
    figures["peak_rss_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    responder.engine.close()
    return figures


def _no_turns() -> dict:
    """Of each turn: seconds to the last text, to the first, of the badges; prompt tokens computed."""
    return {"turns": [], "first": [], "badges": [], "evaluated": [], "tokens": 0}


def _conversation(
    responder, messages, session: str, mode: str, figures: dict | None, pause: float = 0.0
) -> None:
    from pal.chat.responder import TurnRequest
    from pal.chat.strategies import Selected
    from pal.dialogue.persona import Persona

    decoding = Decoding(temperature=0.0, repeat_penalty=1.0, max_tokens=REPLY_TOKENS, ignore_end=True)
    histories: dict[str, list[Exchange]] = {name: [] for name in responder.variants.names}
    for number, message in enumerate(messages):
        # without reuse, every turn is a chat that the engine has never seen
        name = f"{session}-{number}" if mode == "no_reuse" else session
        request = TurnRequest(Persona(SENTENCES), message, histories, decoding, seed=1, session=name)
        chosen, replies, first, evaluated = {}, {}, None, 0
        begun = time.perf_counter()
        for event in responder.respond(request, Cancel()):
            if isinstance(event, Delta) and first is None:
                first = time.perf_counter() - begun
            elif isinstance(event, Selected):
                chosen[event.variant] = event.selection.selected
                evaluated += event.evaluated
            elif isinstance(event, Done):
                replies[event.variant] = event
                evaluated += event.evaluated
                seconds = time.perf_counter() - begun  # the badges come after the text
            elif isinstance(event, Failed):
                raise EngineError(f"{event.variant}: {event.message}")
        whole = time.perf_counter() - begun
        for variant in responder.variants.names:
            histories[variant].append(Exchange(message, replies["aligned"].text, chosen.get(variant)))
        if figures is not None:
            figures["turns"].append(seconds)
            figures["badges"].append(whole - seconds)
            figures["first"].append(first)
            figures["tokens"] += sum(done.generated for done in replies.values())
            figures["evaluated"].append(evaluated)
        if pause:
            responder.prefill(request.persona, histories, name)
            time.sleep(pause)
