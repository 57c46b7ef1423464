"""Simulated votes, and the loop from votes to a realigned model on the real base."""

import dataclasses
import json
import random

import pytest

from pal.errors import PalError
from pal.models import bases
from pal.ratings.blind import BlindTurn
from pal.ratings.simulate import persona_score, run_loop, simulated_vote
from pal.settings import Settings
from pal.training.pairs import read_pairs
from pal.training.recipe import load_recipe
from tests.fakes import FakeEngine, fake_responder
from tests.support.adapters import write_random_adapter

PERSONA = ("I have neatly aligned bookshelves.", "I am a nurse.")


def test_a_simulated_annotator_likes_the_persona_but_not_an_echo():
    assert persona_score(PERSONA, "My bookshelves are aligned.") > persona_score(
        PERSONA, "I really like trains."
    )
    assert persona_score(PERSONA, "I am a NURSE.") == 0
    assert persona_score(PERSONA, "") == 0
    shown = BlindTurn("t", PERSONA, (), "Hi", ("No idea at all.", "The bookshelves!", "Nothing, thanks."))
    votes = [simulated_vote(shown, random.Random(seed)) for seed in range(40)]
    assert sum(vote.ranks == (2, 1, 2) for vote in votes) > 30


@pytest.fixture
def settings(tmp_path, base_gguf):
    base = bases.load_base_model()
    for number, variant in enumerate(("baseline", "stage1", "aligned")):
        write_random_adapter(base, tmp_path / "adapters" / variant, number)
    items = tmp_path / "items.jsonl"
    rows = [
        {
            "id": f"i{number}",
            "kind": "question",
            "persona": PERSONA,
            "history": [{"speaker": "user", "text": f"Question {number}?"}],
        }
        for number in range(2)
    ]
    items.write_text("\n".join(map(json.dumps, rows)))
    return Settings(adapters=tmp_path / "adapters", rating_items=items, data=tmp_path / "untouched")


def test_aligning_on_votes_raises_the_margin_of_what_was_preferred(settings, tmp_path):
    values = {"learning_rate": 5e-4, "warmup_steps": 1, "batch": 2, "epochs": 1, "steps": 3}
    recipe, out = load_recipe("cpu", "align", values), tmp_path / "loop"

    def run():
        responder = fake_responder(FakeEngine())
        return run_loop(settings, recipe, out, annotators=1, items=2, seed=1, responder=responder)

    loop = run()
    pairs = read_pairs(out / "exports" / "pairs.jsonl")
    assert {pair.chosen.split(":")[0] for pair in pairs} == {"aligned"}
    assert loop.votes == 2 and loop.pairs == len(pairs) == 4
    assert loop.after.mean > loop.before.mean + 0.05
    assert json.loads((out / "margins.json").read_text()) == dataclasses.asdict(loop)
    assert not settings.data.exists()
    with pytest.raises(PalError, match="not empty"):
        run()
