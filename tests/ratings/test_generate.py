"""Complete turns for rating, and what an annotator may see of them."""

import dataclasses

import numpy as np
import pytest

from pal.chat.responder import TurnRequest
from pal.chat.selection import SelectionSettings
from pal.chat.variants import shipped
from pal.dialogue.persona import Persona
from pal.dialogue.turns import Exchange
from pal.engines.base import Cancel, Decoding
from pal.models.consistency import LABELS
from pal.ratings.blind import NO_REPLY, blind, new_order, shown_text
from pal.ratings.generate import STOPPED, campaign_name, generate_turn, provenance
from pal.ratings.records import VERDICTS, dumps, loads
from tests.fakes import FakeEngine, fake_responder
from tests.ratings import scene

PERSONA = Persona(("I am a nurse.", "I sail."))


def request(**changes):
    histories = {
        "baseline": (Exchange("Hi!", "Hello!"),),
        "stage1": (Exchange("Hi!", "Hello!", 0),),
        "aligned": (Exchange("Hi!", "Hello!", 1),),
    }
    return TurnRequest(PERSONA, "And now?", histories, Decoding(), 7, "session", **changes)


class Scorer:
    """Says contradiction for the first sentence, entailment for the second."""

    def probabilities(self, pairs):
        return np.array(
            [[0.9, 0.1, 0] if premise == "I am a nurse." else [0, 0.1, 0.9] for premise, _ in pairs]
        )


def made(engine=None, **options):
    responder = fake_responder(engine or FakeEngine(), Scorer())
    return generate_turn(responder, request(), scene.MADE_BY, "camp", **options)


def test_a_turn_holds_everything_that_produced_it():
    turn = made(FakeEngine(replies=["Fine."], picks=[2, 0]), item="item-1")
    assert turn.variants == shipped().names and not turn.failed
    assert [reply.text for reply in turn.replies] == [f"{variant}: Fine." for variant in shipped().names]
    baseline, stage1, aligned = turn.replies
    assert (baseline.selects, stage1.selected, aligned.selected) == (False, 1, None)
    assert sum(stage1.probabilities) == pytest.approx(1) and len(stage1.model_probabilities) == 3
    assert (baseline.earlier, stage1.earlier, aligned.earlier) == ((None,), (0,), (1,))
    assert turn.history == (Exchange("Hi!", "Hello!"),)
    assert stage1.verdicts == ("contradiction", "entailment") and VERDICTS == LABELS
    assert stage1.consistency == ((0.9, 0.1, 0.0), (0.0, 0.1, 0.9)) and stage1.tokens == 2
    assert (turn.seed, turn.campaign, turn.item, turn.user) == (7, "camp", "item-1", "And now?")


def test_a_failed_variant_keeps_its_error_and_the_others_their_replies():
    for engine in (FakeEngine(failing=["stage1"]), FakeEngine(failing_selection=["stage1"])):
        turn = made(engine)
        assert turn.failed and turn.reply("stage1").error
        assert turn.reply("aligned").text and turn.reply("aligned").error is None
        assert turn.reply("stage1").consistency is None and turn.reply("aligned").consistency


def test_a_stopped_turn_is_a_failed_one():
    cancel = Cancel()
    cancel.set()
    turn = made(cancel=cancel)
    assert turn.failed and {reply.error for reply in turn.replies} == {STOPPED}


def engine(**changes):
    """An engine that differs from a ``FakeEngine`` in what it is."""
    fake = FakeEngine()
    fake.identity = dataclasses.replace(fake.identity, **changes)
    return fake


def test_another_engine_base_adapter_prompt_decoding_or_selection_is_another_campaign():
    def name(temperature=0.7, selection=(), **changes):
        return campaign_name(provenance(engine(**changes)), Decoding(temperature), dict(selection))

    names = [
        name(),
        name(engine="another"),
        name(version="1"),
        name(base="another"),
        name(quantisation="Q8_0"),
        name(adapters={"aligned": "of weights and configuration"}),
        name(adapters={"aligned": "of another configuration"}),
        name(prompt=2),
        name(temperature=0),
        name(selection={"aligned": SelectionSettings(1)}),
    ]
    assert len(set(names)) == len(names) and name() == names[0]


def test_a_turn_says_what_produced_it():
    fake = engine(adapters={"aligned": "a" * 64})
    found = provenance(fake)
    assert (found.engine, found.quantisation, found.adapters) == (
        "fake engine",
        "none",
        {"aligned": "a" * 64},
    )
    assert found.fingerprint == fake.identity.fingerprint
    turn = scene.turn(provenance=found)
    assert loads(dumps(turn)) == turn


def test_what_an_annotator_sees_names_no_variant_and_follows_the_order():
    turn = scene.turn(scene.item(1))
    order = new_order(turn, "annotator")
    shown = blind(turn, order)
    assert shown.replies == tuple(turn.reply(variant).text for variant in order)
    values = dataclasses.asdict(shown)
    assert not any(variant in str(values) for variant in shipped().names)
    assert str(turn.order_seed) not in str(values) and scene.CAMPAIGN not in str(values)
    assert all(exchange["selected"] is None for exchange in values["history"])


def test_every_order_occurs_about_equally_often():
    orders = [new_order(scene.turn(order_seed=seed), "annotator") for seed in range(600)]
    counts = [orders.count(order) for order in set(orders)]
    assert len(counts) == 6 and min(counts) > 60
    turn = scene.turn()
    assert new_order(turn, "annotator") == new_order(turn, "annotator")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("  I’m\n fine …", "I'm fine ..."),
        ("“Yes” – and—no", '"Yes" - and-no'),
        ("ﬁne\u00a0day", "fine day"),
        (" \n", NO_REPLY),
        ("<b>bold</b>", "<b>bold</b>"),
    ],
)
def test_replies_are_shown_with_the_same_signs_in_every_column(text, shown):
    assert shown_text(text) == shown
