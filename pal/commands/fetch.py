"""``python -m pal fetch``: the base model and the sentence encoder into the cache."""

from __future__ import annotations

import argparse

from pal.models.bases import base_tokenizer_path, fetch_base
from pal.models.encoder import fetch_encoder
from pal.models.hub import cache_dir


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of ``python -m pal fetch``."""
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def run(args: argparse.Namespace) -> int:
    """Fetch everything the app needs; says where it is.

    Raises:
        CheckpointError: no source answered, or a file is damaged.
    """
    print(f"base:      {fetch_base(progress=not args.quiet)}")
    print(f"tokenizer: {base_tokenizer_path()}")
    print(f"encoder:   {fetch_encoder(progress=not args.quiet)}")
    from pal.models.consistency import FOLDER, ConsistencyModel
    from pal.models.encoder import MiniLMEncoder

    MiniLMEncoder().load()  # these write their graphs into the cache
    if FOLDER.is_dir():
        ConsistencyModel.load()
    print(f"graphs:    {cache_dir() / 'graphs'}")
    return 0
