"""``python -m pal bench``: measure time and memory of the three-way turn."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from pal.errors import PalError
from pal.evaluation.bench import MODES, in_own_process, summarise
from pal.files import write_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``bench``."""
    parser.add_argument("--out", type=Path, help="write the figures there as JSON")
    parser.add_argument("--repeats", type=int, default=5, help="conversations for llama.cpp (default: 5)")
    parser.add_argument(
        "--reference-repeats", type=int, default=1, help="conversations for transformers (default: 1)"
    )
    parser.add_argument(
        "--pause", type=float, default=3.0, help="seconds a visitor reads and types (default: 3)"
    )
    parser.add_argument("--long-turns", type=int, default=40, help="turns of the long chat (default: 40)")


def run(args: argparse.Namespace) -> int:
    """Measure, print and save."""
    if args.pause < 0:
        raise PalError(f"--pause is {args.pause:g}; it must be 0 or more seconds.")
    repeats = {mode: args.repeats for mode in MODES} | {"transformers": args.reference_repeats}
    long_turns = {"pal": args.long_turns, "pal_paused": args.long_turns}
    pauses = {"pal_paused": args.pause}
    measured = {}
    for mode in MODES:
        print(f"measuring {mode} …", file=sys.stderr)
        measured[mode] = in_own_process(mode, repeats[mode], long_turns.get(mode, 0), pauses.get(mode, 0.0))
    report = summarise(measured)
    print(
        "\n".join(f"{key:42} {value}" for key, value in report.items() if not isinstance(value, (dict, list)))
    )
    if args.out:
        write_text(args.out, json.dumps(report, indent=1) + "\n")
    return 0
