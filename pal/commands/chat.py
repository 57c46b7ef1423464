"""``python -m pal chat``: the three models in a terminal, with what each selected.

python -m pal chat
python -m pal chat --example Mateo --seed 7
python -m pal chat --persona my_persona.txt --temperature 0
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from rich.console import Console

from pal.chat.conversation import LIMITS, parse_decoding, parse_seed
from pal.dialogue.persona import Persona, load_examples
from pal.engines.base import Decoding
from pal.errors import DataError
from pal.settings import Settings
from pal.terminal.chat import TerminalChat, example_named


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``chat``."""
    who = parser.add_mutually_exclusive_group()
    who.add_argument("--example", metavar="NAME", help="an example persona (default: the first)")
    who.add_argument(
        "--persona", type=Path, metavar="FILE", help="text file with one persona sentence a line"
    )
    parser.add_argument("--seed", type=int, default=1, help="seed of the replies (default: 1)")
    for name, limit in LIMITS.items():
        default = getattr(Decoding(), name)
        parser.add_argument(
            "--" + name.replace("_", "-"),
            type=type(default),
            default=default,
            help=f"{limit.name.lower()}, {limit.low:g} to {limit.high:g} (default: {default})",
        )


def run(args: argparse.Namespace) -> int:
    """Chat until the visitor leaves; the exit status."""
    from pal.chat.session import build_responder

    settings = Settings.from_env(os.environ)
    decoding = parse_decoding([getattr(args, name) for name in LIMITS])
    seed = parse_seed(args.seed)
    examples = load_examples()
    persona = _read_persona(args.persona) if args.persona else example_named(examples, args.example).persona
    console = Console()
    with console.status("Loading the models …"):
        responder = build_responder(settings)
    try:
        TerminalChat(responder, console, examples, persona, decoding, seed).loop(console.input)
    finally:
        responder.engine.close()
    return 0


def _read_persona(path: Path) -> Persona:
    try:
        return Persona.parse(path.read_text(encoding="utf-8").splitlines())
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"The persona file {path} cannot be read: {error}") from error
