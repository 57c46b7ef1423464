"""How fast and how big PAL is on this machine.

A fixed six-exchange conversation, all three variants, replies of 18 tokens,
greedy. The same work is then done by llama.cpp without prefix reuse and by
plain transformers in fp32, as a newcomer would write it, each in a process of its
own, one after another, so that neither time nor memory of one leaks into another.
"""

from __future__ import annotations

import multiprocessing
import os
import platform
import resource
import statistics
import sys
import time
from pathlib import Path

from pal.dialogue.turns import Exchange
from pal.engines.base import VARIANTS, Cancel, Decoding, Delta, Done, Failed
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
MODES = ("pal", "no_reuse", "transformers")


def summarise(measured: dict[str, dict]) -> dict[str, object]:
    """Medians over turns (seconds), ratios of medians, memory and start-up of each mode."""
    pal = measured["pal"]
    turn = statistics.median(pal["turns"])
    report: dict[str, object] = {
        "turn_seconds": round(turn, 4),
        "turn_seconds_p95": round(_percentile(pal["turns"], 0.95), 4),
        "first_token_seconds": round(statistics.median(pal["first"]), 4),
        "tokens_per_second": round(pal["tokens"] / sum(pal["turns"]), 1),
        "badges_seconds": round(statistics.median(pal["badges"]), 4),
        "evaluated_prompt_tokens_per_turn": round(pal["evaluated"] / len(pal["turns"]), 1),
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
        head, tail = statistics.median(pal["long"][:3]), statistics.median(pal["long"][-3:])
        report["long_chat_last_over_first"] = round(tail / head, 2)
    return report


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


def in_own_process(mode: str, repeats: int, long_turns: int) -> dict:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_child, args=(theirs, mode, repeats, long_turns))
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


def _child(pipe, mode: str, repeats: int, long_turns: int) -> None:
    try:
        pipe.send(_measure(mode, repeats, long_turns))
    except Exception as error:  # the parent names it; a traceback here would reach nobody
        pipe.send(f"{type(error).__name__}: {error}")


def _measure(mode: str, repeats: int, long_turns: int) -> dict:
    from pal.chat.session import build_responder
    from pal.settings import Settings

    begun = time.perf_counter()
    settings = Settings.from_env(os.environ)
    if mode == "transformers":
        from pal.evaluation.bench_reference import PlainTransformers

        responder = build_responder(settings, engine=PlainTransformers(settings.adapters))
    else:
        responder = build_responder(settings)
    startup = time.perf_counter() - begun
    figures = {
        "startup": startup,
        "turns": [],
        "badges": [],
        "first": [],
        "tokens": 0,
        "evaluated": 0,
        "long": [],
    }
    _conversation(responder, MESSAGES[:2], "warm-up", mode, None)
    for repeat in range(repeats):
        _conversation(responder, MESSAGES, f"chat-{repeat}", mode, figures)
    if long_turns:
        long = {"turns": [], "badges": [], "first": [], "tokens": 0, "evaluated": 0}
        messages = [MESSAGES[turn % len(MESSAGES)] for turn in range(long_turns)]
        _conversation(responder, messages, "long", mode, long)
        figures["long"] = long["turns"]
    figures["selection"] = {name: setting.label for name, setting in responder.settings.items()}
    # Linux gives kilobytes, macOS bytes
    unit = 1024 if sys.platform != "darwin" else 1024 * 1024
    figures["peak_rss_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    responder.engine.close()
    return figures


def _conversation(responder, messages, session: str, mode: str, figures: dict | None) -> None:
    from pal.chat.strategies import Selected, TurnRequest
    from pal.dialogue.persona import Persona

    decoding = Decoding(temperature=0.0, repeat_penalty=1.0, max_tokens=REPLY_TOKENS, ignore_end=True)
    histories: dict[str, list[Exchange]] = {variant: [] for variant in VARIANTS}
    for number, message in enumerate(messages):
        # without reuse, every turn is a chat that the engine has never seen
        name = f"{session}-{number}" if mode == "no_reuse" else session
        request = TurnRequest(Persona(SENTENCES), message, histories, decoding, seed=1, session=name)
        chosen, replies, first = {}, {}, None
        begun = time.perf_counter()
        for event in responder.respond(request, Cancel()):
            if isinstance(event, Delta) and first is None:
                first = time.perf_counter() - begun
            elif isinstance(event, Selected):
                chosen[event.variant] = event.selection.selected
            elif isinstance(event, Done):
                replies[event.variant] = event
                seconds = time.perf_counter() - begun  # the badges come after the text
            elif isinstance(event, Failed):
                raise EngineError(f"{event.variant}: {event.message}")
        whole = time.perf_counter() - begun
        for variant in VARIANTS:
            histories[variant].append(Exchange(message, replies["aligned"].text, chosen.get(variant)))
        if figures is not None:
            figures["turns"].append(seconds)
            figures["badges"].append(whole - seconds)
            figures["first"].append(first)
            figures["tokens"] += sum(done.generated for done in replies.values())
            figures["evaluated"] += sum(done.evaluated for done in replies.values())
