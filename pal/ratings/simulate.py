"""Simulated annotators, and the whole loop from their votes to a realigned model."""

from __future__ import annotations

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
from pal.files import write_text
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
from pal.training.align import AlignTask, train_preferences
from pal.training.pairs import Pair, read_pairs
from pal.training.recipe import Recipe, load_recipe

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
    from pal.training.policy import Policy, load_adapter

    renderer = bases.open_renderer()
    task = AlignTask(pairs, renderer, load_recipe("cpu", "align"), torch.device("cpu"))
    margins = {}
    for name, folder in adapters.items():
        model = load_adapter(bases.load_base_model(), folder, trainable=False)
        policy = Policy(model, renderer.option_ids(MAX_SENTENCES)).eval()
        with torch.no_grad():
            sums = torch.cat([task.log_probabilities(policy, [index]) for index in range(task.size)])
        differences = sums[::2] - sums[1::2]
        margins[name] = Margins(float(differences.mean()), float((differences > 0).float().mean()))
    return margins


@dataclass(frozen=True)
class Loop:
    """What came of a loop: the number of simulated votes and of the pairs that they
    gave, and the margins of these pairs before and after aligning on them."""

    votes: int
    pairs: int
    before: Margins
    after: Margins


def run_loop(
    settings: Settings,
    recipe: Recipe,
    out: Path,
    *,
    annotators: int,
    items: int,
    seed: int,
    start: Path | None = None,
    responder: Responder | None = None,
) -> Loop:
    """Votes of simulated annotators, pairs from them, and an adapter aligned on the
    pairs, all in the new folder ``out``; the result is in ``margins.json`` there too.

    Args:
        recipe: of the alignment.
        annotators, items, seed: see ``simulate_votes``.
        start: adapter to align; None takes the settings' stage1.
        responder: of the models to be rated; None loads the settings'.

    Raises:
        PalError: the folder is in use, or the votes gave no pair.
    """
    if out.exists() and any(out.iterdir()):
        raise PalError(f"{out} is not empty: give a new folder with --out.")
    if responder is None:
        from pal.chat.session import build_responder

        responder = build_responder(settings)
    own = dataclasses.replace(settings, data=out, database_url="", backup_repo="", salt="")
    votes, pairs_path = _vote(own, responder, annotators, items, seed)
    start, pairs = start or settings.adapters / "stage1", read_pairs(pairs_path)
    train_preferences(recipe, pairs_path, start, out / "aligned")
    margins = preference_margins(pairs, {"before": start, "after": out / "aligned" / "adapter"})
    loop = Loop(votes, len(pairs), **margins)
    write_text(out / "margins.json", json.dumps(dataclasses.asdict(loop), indent=1) + "\n")
    return loop


def _vote(
    settings: Settings, responder: Responder, annotators: int, count: int, seed: int
) -> tuple[int, Path]:
    """The number of votes, and the file of their pairs. Closes the responder's engine."""
    made_by = provenance(responder.engine)
    items = [item for item in read_items(settings.rating_items) if not item.gold]
    campaign = campaign_name(made_by, Decoding(), responder.settings)
    desk = RatingDesk(open_store(settings), Queue(items, campaign, QueueSettings(overlap=annotators)))
    try:
        with tqdm(desc="replies", unit="turn") as bar:

            def make(item: Item) -> Turn:
                bar.update()
                request = desk.request(item, seed, responder.variants.names)
                return generate_turn(responder, request, made_by, campaign, item=item.id)

            votes = simulate_votes(desk, make, annotators, count, seed)
        [pairs] = write(desk.records(), settings.data / "exports", ["pairs"])
    finally:
        desk.close()
        responder.engine.close()
    return votes, pairs
