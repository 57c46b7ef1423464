"""Votes by simulated annotators, and what aligning on them changes.

The loop in one command: real replies → simulated votes through the same desk that
people use → exported pairs → a real alignment run → preference margins measured anew.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pal.evaluation.metrics import words
from pal.ratings.blind import BlindTurn
from pal.ratings.desk import RatingDesk
from pal.ratings.items import Item
from pal.ratings.membership import NOTICE_VERSION
from pal.ratings.records import Turn, Vote, new_id
from pal.training.pairs import Pair

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

    from pal import checkpoints
    from pal.persona import MAX_SENTENCES
    from pal.prompt import Renderer
    from pal.tokenizer import BaseTokenizer
    from pal.training.align import AlignTask
    from pal.training.policy import Policy, load_adapter
    from pal.training.recipe import load_recipe

    renderer = Renderer(BaseTokenizer(checkpoints.base_tokenizer_path()))
    task = AlignTask(pairs, renderer, load_recipe("cpu", "align"), torch.device("cpu"))
    found = {}
    for name, folder in adapters.items():
        model = load_adapter(checkpoints.load_base_model(), folder, trainable=False)
        policy = Policy(model, renderer.option_ids(MAX_SENTENCES)).eval()
        with torch.no_grad():
            sums = torch.cat([task.log_probabilities(policy, [index]) for index in range(task.size)])
        differences = sums[::2] - sums[1::2]
        found[name] = Margins(float(differences.mean()), float((differences > 0).float().mean()))
    return found
