"""``python -m pal COMMAND``: thin entries; each module brings its own arguments."""

from __future__ import annotations

import argparse
import importlib
import sys

from pal import __version__
from pal.errors import PalError

COMMANDS = {
    "fetch": ("pal.commands.fetch", "fetch the base model and the sentence encoder into the cache"),
    "chat": ("pal.commands.chat", "chat in the terminal with all three variants"),
    "train": ("pal.commands.train", "train the baseline, Stage 1, pairs and the aligned model"),
    "tune": ("pal.commands.tune", "choose the selection settings on development data"),
    "evaluate": ("pal.commands.evaluate", "measure selections and replies on a dialogues file"),
    "evaluate-questions": ("pal.commands.evaluate_questions", "measure selections on plain questions"),
    "evaluate-answers": ("pal.commands.evaluate_answers", "measure right answers on plain questions"),
    "evaluate-conversations": (
        "pal.commands.evaluate_conversations",
        "hold whole conversations with every variant and count what a visitor notices",
    ),
    "check-relevance": ("pal.commands.check_relevance", "measure the relevance measure on gold replies"),
    "consistency": ("pal.commands.consistency", "score pairs of persona sentence and reply"),
    "report": ("pal.commands.report", "write assets/results and the README's results from evaluations"),
    "ratings": ("pal.commands.ratings", "progress, statistics, exports and backup of the ratings"),
    "bench": ("pal.commands.bench", "measure time and memory of the three-way turn"),
}


def main(argv: list[str] | None = None) -> int:
    """Run one command; a ``PalError`` becomes one line and exit status 1."""
    argv = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(prog="python -m pal", description=__doc__.splitlines()[0])
    parser.add_argument("--version", action="version", version=f"PAL {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (module, text) in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text)
        if argv[:1] == [name]:  # only the chosen command's module is imported
            entry = importlib.import_module(module)
            entry.add_arguments(command)
            command.set_defaults(run=entry.run)
    args = parser.parse_args(argv)
    try:
        return args.run(args)
    except PalError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; what was saved stays", file=sys.stderr)
        return 130
