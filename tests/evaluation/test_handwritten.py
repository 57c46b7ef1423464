"""The hand-written evaluation files in assets/: form, counts, nothing twice."""

import re
from collections import Counter

import pytest

from pal.dialogue.persona import Persona
from pal.dialogue.readers import read_jsonl
from pal.dialogue.text_metrics import normalise
from pal.dialogue.turns import check_message
from pal.settings import REPOSITORY

ASSETS = REPOSITORY / "assets"
LABELS = ("contradiction", "neutral", "entailment")
KINDS = ("question", "follow_up", "small_talk", "temptation", "off_topic")


def rows(name: str) -> list[dict]:
    return [row for _, row in read_jsonl(ASSETS / name)]


def test_challenge_pairs_are_whole_balanced_and_different():
    pairs = rows("consistency_challenge.jsonl")
    assert len(pairs) >= 240
    assert all(set(pair) == {"premise", "hypothesis", "label", "kind"} for pair in pairs)
    counts = Counter(pair["label"] for pair in pairs)
    assert set(counts) == set(LABELS)
    assert min(counts.values()) >= 0.3 * len(pairs)
    assert len({normalise(pair["hypothesis"]) for pair in pairs}) == len(pairs)
    assert len({normalise(pair["premise"]) for pair in pairs}) == len(pairs)
    assert all(3 <= len(pair["hypothesis"].split()) <= 25 for pair in pairs)


def test_challenge_guideline_states_the_counts_of_the_file():
    text = (ASSETS / "consistency_challenge.md").read_text(encoding="utf-8")
    stated = {
        name: cells
        for name, *cells in re.findall(r"^\| (\w+) \|.*\| (\d+) \| (\d+) \| (\d+) \| (\d+) \|", text, re.M)
    }
    counts = Counter((pair["kind"], pair["label"]) for pair in rows("consistency_challenge.jsonl"))
    own = {kind: [counts[kind, label] for label in LABELS] for kind, _ in counts}
    assert len(own) == 10
    assert {kind: list(map(int, cells)) for kind, cells in stated.items()} == {
        kind: [*cells, sum(cells)] for kind, cells in own.items()
    }


def test_rating_items_are_many_varied_and_end_with_the_user():
    items = rows("rating_items.jsonl")
    assert len(items) >= 72
    assert len({item["id"] for item in items}) == len(items)
    assert len({Persona.parse(item["persona"]) for item in items}) == len(items)
    assert {len(item["persona"]) for item in items} == {3, 4, 5, 6}
    counts = Counter(item["kind"] for item in items)
    assert set(counts) == set(KINDS)
    assert min(counts.values()) >= 10
    for item in items:
        speakers = [turn["speaker"] for turn in item["history"]]
        assert speakers == (["user", "persona"] * 4)[: len(speakers)]
        assert len(speakers) in {1, 3, 5, 7}
        assert all(check_message(turn["text"]) == turn["text"] for turn in item["history"])


def test_gold_items_have_three_replies_in_a_clear_order_that_is_not_the_stored_one():
    gold = [item["replies"] for item in rows("rating_items.jsonl") if "replies" in item]
    assert len(gold) == 6
    assert all(sorted(reply["quality"] for reply in replies) == [1, 2, 3] for replies in gold)
    assert len({tuple(reply["quality"] for reply in replies) for replies in gold}) > 1


def test_conversations_have_six_messages_and_a_persona_of_their_own():
    conversations = rows("conversations.jsonl")
    assert len(conversations) == 60
    assert len({conversation["id"] for conversation in conversations}) == 60
    personas = {Persona.parse(conversation["persona"]) for conversation in conversations}
    assert len(personas) == 60
    assert all(len(persona) in {4, 5} for persona in personas)
    for conversation in conversations:
        assert len({check_message(text) for text in conversation["turns"]}) == 6


@pytest.mark.parametrize(
    "name", ["plain_questions.jsonl", "plain_questions_tune.jsonl", "rating_items.jsonl"]
)
def test_no_persona_serves_two_files(name):
    own = {Persona.parse(row["persona"]) for row in rows(name)}
    assert not own & {Persona.parse(row["persona"]) for row in rows("conversations.jsonl")}
