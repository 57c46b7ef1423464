"""``python -m pal ratings simulate``: from simulated votes to a realigned model."""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path

from tqdm import tqdm

from pal.engines.base import VARIANTS, Decoding
from pal.errors import PalError
from pal.ratings.desk import RatingDesk
from pal.ratings.export import write
from pal.ratings.generate import campaign_name, generate_turn, provenance
from pal.ratings.items import Item, read_items
from pal.ratings.queue import Queue, QueueSettings
from pal.ratings.records import Turn
from pal.ratings.simulate import preference_margins, simulate_votes
from pal.ratings.store import open_store
from pal.respond import Responder
from pal.settings import Settings
from pal.training.pairs import read_pairs


def run_loop(args: argparse.Namespace, settings: Settings, responder: Responder | None = None) -> int:
    """The whole loop, in a store of its own below ``args.out``; prints the margins
    before and after and writes them to ``margins.json``.

    Args:
        responder: of the models to be rated; None loads the settings'.

    Raises:
        PalError: the folder is in use, or the votes gave no pair.
    """
    if args.out.exists() and any(args.out.iterdir()):
        raise PalError(f"{args.out} is not empty: give a new folder with --out.")
    own = dataclasses.replace(settings, data=args.out, database_url="", backup_repo="", salt="")
    votes, pairs_path = _vote(args, own, responder)
    pairs = read_pairs(pairs_path)
    start = args.start or settings.adapters / "stage1"
    _align(args, pairs_path, start)
    margins = preference_margins(pairs, {"before": start, "after": args.out / "aligned" / "adapter"})
    before, after = margins["before"], margins["after"]
    print(f"{votes} votes, {len(pairs)} pairs, {args.steps} steps.")
    print(f"log p(chosen) - log p(rejected): {before.mean:.3f} before, {after.mean:.3f} after.")
    print(f"Chosen reply more probable: {before.preferred:.1%} before, {after.preferred:.1%} after.")
    path = args.out / "margins.json"
    content = {name: dataclasses.asdict(value) for name, value in margins.items()}
    path.write_text(json.dumps({"votes": votes, "pairs": len(pairs), **content}, indent=1) + "\n")
    print(f"Margins: {path}")
    return 0


def _vote(args: argparse.Namespace, settings: Settings, responder: Responder | None) -> tuple[int, Path]:
    if responder is None:
        from pal.runtime import build_responder

        responder = build_responder(settings)
    made_by = provenance(responder.engine, {name: settings.adapters / name for name in VARIANTS})
    items = [item for item in read_items(settings.rating_items) if not item.gold]
    campaign = campaign_name(made_by, Decoding(), responder.settings)
    desk = RatingDesk(open_store(settings), Queue(items, campaign, QueueSettings(overlap=args.annotators)))
    try:
        with tqdm(desc="replies", unit="turn") as bar:

            def make(item: Item) -> Turn:
                bar.update()
                request = desk.request(item, args.seed)
                return generate_turn(responder, request, made_by, campaign, item=item.id)

            votes = simulate_votes(desk, make, args.annotators, args.items, args.seed)
        [pairs] = write(desk.records(), args.out / "exports", ["pairs"])
    finally:
        desk.close()
        responder.engine.close()
    return votes, pairs


def _align(args: argparse.Namespace, pairs: Path, start: Path) -> None:
    from pal.cli import main

    command = ["train", "align", "--pairs", pairs, "--stage1", start, "--out", args.out / "aligned"]
    if main([*map(str, command), "--recipe", args.recipe, "--steps", str(args.steps)]):
        raise PalError("The alignment failed; see above.")
