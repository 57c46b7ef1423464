"""Simulated annotators, and the whole loop from their votes to a realigned model."""

from __future__ import annotations

import argparse
import dataclasses
import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from pal.chat.responder import Responder
from pal.dialogue.text_metrics import words
from pal.engines.base import Decoding
from pal.errors import PalError
from pal.ratings.annotators import NOTICE_VERSION
from pal.ratings.blind import BlindTurn
from pal.ratings.desk import RatingDesk
from pal.ratings.export import write
from pal.ratings.generate import campaign_name, generate_turn, provenance
from pal.ratings.items import Item, read_items
from pal.ratings.queue import Queue, QueueSettings
from pal.ratings.records import Turn, Vote, new_id
from pal.ratings.store import open_store
from pal.settings import Settings
from pal.training.pairs import Pair, read_pairs

SLIP = 0.1  # share of simulated rankings that are drawn at random
_LEAST_LETTERS = 4  # of a word that can show that a reply uses the persona


@dataclass(frozen=True)
class Margins:
    """Preference of the chosen over the rejected replies of pairs, under one adapter.

    Attributes:
        mean: mean of log p(chosen) − log p(rejected), in nats.
        preferred: share of pairs in which the chosen reply is the more probable.
    """

    mean: float
    preferred: float


def persona_score(persona: Sequence[str], reply: str) -> float:
    """How a simulated annotator likes a reply: the share of its longer words that
    the persona has; a reply that only repeats a sentence is worth nothing."""
    if reply.strip().casefold() in {sentence.casefold() for sentence in persona}:
        return 0.0
    known = {word for sentence in persona for word in words(sentence) if len(word) >= _LEAST_LETTERS}
    own = [word for word in words(reply) if len(word) >= _LEAST_LETTERS]
    return sum(word in known for word in own) / len(own) if own else 0.0


def simulated_vote(shown: BlindTurn, chance: random.Random) -> Vote:
    """A vote on what is shown, and nothing else: no more than a person sees."""
    if chance.random() < SLIP:
        scores = [chance.random() for _ in shown.replies]
    else:
        scores = [round(persona_score(shown.persona, reply), 3) for reply in shown.replies]
    order = sorted(set(scores), reverse=True)
    return Vote(shown.turn_id, new_id(), tuple(order.index(score) + 1 for score in scores))


def simulate_votes(
    desk: RatingDesk, make: Callable[[Item], Turn], annotators: int, items: int, seed: int
) -> int:
    """Let simulated annotators rate up to ``items`` each; gives the number of votes.

    Args:
        make: writes the replies to an item that has none yet.
    """
    votes = 0
    for number in range(annotators):
        chance = random.Random(f"{seed}:{number}")
        annotator = desk.enrol(desk.new_annotator(), NOTICE_VERSION)
        for _ in range(items):
            task = desk.next_task(annotator)
            if task is None:
                break
            shown = task.turn or desk.add_turn(annotator, make(task.item))
            desk.submit(annotator, simulated_vote(shown, chance))
            votes += 1
    return votes


def preference_margins(pairs: Sequence[Pair], adapters: Mapping[str, Path]) -> dict[str, Margins]:
    """The margins of the same pairs under each adapter, by name.

    Raises:
        CheckpointError: the base or an adapter is missing.
    """
    import torch

    from pal.dialogue.persona import MAX_SENTENCES
    from pal.models import bases
    from pal.training.align import AlignTask
    from pal.training.policy import Policy, load_adapter
    from pal.training.recipe import load_recipe

    renderer = bases.open_renderer()
    task = AlignTask(pairs, renderer, load_recipe("cpu", "align"), torch.device("cpu"))
    found = {}
    for name, folder in adapters.items():
        model = load_adapter(bases.load_base_model(), folder, trainable=False)
        policy = Policy(model, renderer.option_ids(MAX_SENTENCES)).eval()
        with torch.no_grad():
            sums = torch.cat([task.log_probabilities(policy, [index]) for index in range(task.size)])
        differences = sums[::2] - sums[1::2]
        found[name] = Margins(float(differences.mean()), float((differences > 0).float().mean()))
    return found


def run_loop(
    args: argparse.Namespace,
    settings: Settings,
    command: Callable[[list[str]], int],
    responder: Responder | None = None,
) -> int:
    """The whole loop, in a store of its own below ``args.out``; prints the margins
    before and after and writes them to ``margins.json``.

    Args:
        command: runs ``python -m pal`` with these arguments; its exit status.
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
    _align(args, pairs_path, start, command)
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
        from pal.chat.session import build_responder

        responder = build_responder(settings)
    made_by = provenance(responder.engine)
    items = [item for item in read_items(settings.rating_items) if not item.gold]
    campaign = campaign_name(made_by, Decoding(), responder.settings)
    desk = RatingDesk(open_store(settings), Queue(items, campaign, QueueSettings(overlap=args.annotators)))
    try:
        with tqdm(desc="replies", unit="turn") as bar:

            def make(item: Item) -> Turn:
                bar.update()
                request = desk.request(item, args.seed, responder.variants.names)
                return generate_turn(responder, request, made_by, campaign, item=item.id)

            votes = simulate_votes(desk, make, args.annotators, args.items, args.seed)
        [pairs] = write(desk.records(), args.out / "exports", ["pairs"])
    finally:
        desk.close()
        responder.engine.close()
    return votes, pairs


def _align(args: argparse.Namespace, pairs: Path, start: Path, command: Callable[[list[str]], int]) -> None:
    align = ["train", "align", "--pairs", pairs, "--stage1", start, "--out", args.out / "aligned"]
    if command([*map(str, align), "--recipe", args.recipe, "--steps", str(args.steps)]):
        raise PalError("The alignment failed; see above.")
