"""Dialogues and persona replies as training examples."""

import dataclasses
import json
import random
import re

import pytest

from pal.dialogue.turns import Dialogue, Exchange, Utterance
from pal.errors import DataError
from pal.evaluation.turns import gold_turns
from pal.training.examples import Example, from_dialogue, mistaken, shuffled, without_parroting
from pal.training.question_dialogues import question_examples
from pal.training.questions import question_about, question_bank

DIALOGUE = Dialogue(
    "d", "test", {"A": ("i ski .",), "B": ("i am a nurse .", "i have a cat .", "i sail .")},
    (
        Utterance("A", "hi !"), Utterance("A", "what do you do ?"),
        Utterance("B", "i work in a hospital", (0,)), Utterance("B", "and you ?", ()),
        Utterance("A", "nothing ."), Utterance("B", "me and my cat sail .", (2, 1)),
        Utterance("A", "ok ."), Utterance("B", "bye .", None),
    ),
)  # fmt: skip


def test_turns_become_exchanges_with_labels():
    example = from_dialogue(DIALOGUE)
    assert example.sentences == ("I am a nurse.", "I have a cat.", "I sail.")
    assert example.exchanges == (
        Exchange("Hi! What do you do?", "I work in a hospital. And you?", 0),
        Exchange("Nothing.", "Me and my cat sail.", 2),
        Exchange("Ok.", "Bye.", None),
    )
    assert example.labels == ((0,), (2, 1), None)


@pytest.mark.parametrize(
    ("labels", "joined"),
    [([(0,), (1,)], (0, 1)), ([(), (2,)], (2,)), ([(1, 0), (0, 2)], (1, 0, 2)), ([(0,), None], None)],
)
def test_joined_turns_have_the_labels_of_all_as_in_evaluation(labels, joined):
    turns = (Utterance("A", "hi !"), *(Utterance("B", "well .", label) for label in labels))
    dialogue = dataclasses.replace(DIALOGUE, turns=turns)
    example = from_dialogue(dialogue)
    assert example.labels == (joined,)
    assert example.exchanges[0].selected == (joined[0] if joined else None)
    assert [turn.labels for turn in gold_turns(dialogue)] == [joined]


def test_the_other_speaker_opens_without_a_user_turn():
    example = from_dialogue(DIALOGUE, "A")
    assert example.exchanges[0].user is None and example.sentences == ("I ski.",)


def test_a_speaker_without_persona_gives_no_example():
    assert from_dialogue(Dialogue("d", "t", {"A": (), "B": ()}, DIALOGUE.turns)) is None


def test_more_than_nine_sentences_keep_the_labelled_ones():
    many = tuple(f"i own {n} boats ." for n in range(12))
    example = from_dialogue(Dialogue("d", "t", {"B": many}, (Utterance("B", "11 boats !", (11,)),)))
    assert len(example.sentences) == 9
    assert example.sentences[example.labels[0][0]] == "I own 11 boats."
    assert example.exchanges[0].selected == example.labels[0][0]


def test_shuffling_moves_labels_along_and_is_seeded():
    example = from_dialogue(DIALOGUE)
    orders = set()
    for seed in range(60):
        mixed = shuffled(example, seed)
        orders.add(mixed.sentences)
        assert sorted(mixed.sentences) == sorted(example.sentences)
        assert [mixed.sentences[i] for i in mixed.labels[1]] == ["I sail.", "I have a cat."]
        assert mixed.sentences[mixed.exchanges[0].selected] == "I am a nurse."
        assert mixed == shuffled(example, seed)
    assert len(orders) == 6


def pairs_file(tmp_path):
    path = tmp_path / "pairs.jsonl"
    rows = []
    for number in range(12):
        persona = ["i work as a nurse .", "i have two dogs .", f"my favorite band is the {number} owls ."]
        rows += [
            {"persona": persona, "response": "i am a nurse at the city hospital .", "entailed": [0]},
            {"persona": persona, "response": "my two dogs keep me busy .", "entailed": [1]},
            {"persona": persona, "response": "i listen to the owls all day .", "entailed": [2]},
        ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_questions_ask_for_the_sentence_that_the_reply_entails(tmp_path):
    examples = question_examples(pairs_file(tmp_path), 100, seed=1)
    assert len(examples) == 12
    bank = question_bank()
    none_expected = {message for message, _ in bank.small_talk}
    topical = {question for _, questions in bank.topics for question in questions}
    kinds = set()
    for example in examples:
        for exchange, labels in zip(example.exchanges, example.labels, strict=True):
            assert exchange.selected == (labels[0] if labels else None)
            if exchange.user in none_expected or exchange.reply in bank.deflections:
                kinds.add("none")
                assert labels == ()
            elif exchange.user in topical:
                kinds.add("topic")
                assert labels
            elif labels:
                kinds.add("sentence")
                assert len(labels) == 1
            if "nurse" in exchange.reply:
                assert labels[0] == 0
    assert kinds == {"none", "topic", "sentence"}
    assert examples == question_examples(pairs_file(tmp_path), 100, seed=1)


def test_an_echo_is_another_reply_to_the_same_sentence(tmp_path):
    path = tmp_path / "pairs.jsonl"
    persona = ["i juggle .", "i sail ."]
    replies = [f"i juggle {things} every day ." for things in ("balls", "knives", "plates", "torches")]
    path.write_text(
        "".join(
            json.dumps({"persona": persona, "response": reply, "entailed": [0]}) + "\n" for reply in replies
        )
    )
    echoed = set()
    for seed in range(20):
        for example in question_examples(path, 1, seed):
            for exchange, labels in zip(example.exchanges, example.labels, strict=True):
                if exchange.user.startswith("I juggle ") and "every day" in exchange.user:
                    echoed.add(exchange.user)
                    assert labels == (0,) and exchange.user != exchange.reply
    assert len(echoed) > 1


def test_mistaken_selections_keep_their_labels_and_lose_the_reply():
    example = Example(
        "d/B",
        ("I am a nurse.", "I sail.", "I cook."),
        tuple(Exchange(f"m{n}", f"r{n}", 1 if n % 2 else None) for n in range(40)),
        tuple((1,) if n % 2 else () for n in range(40)),
    )
    wrong = mistaken(example, 0.5, 3)
    assert wrong == mistaken(example, 0.5, 3) and wrong.labels == example.labels
    changed = {at for at in range(40) if wrong.exchanges[at] != example.exchanges[at]}
    assert changed == wrong.untrained and 10 < len(changed) < 30
    for at in changed:
        shown = wrong.exchanges[at].selected
        assert (shown is None or shown != 1) if at % 2 else shown is not None
    assert mistaken(example, 0.0, 3) == example


def test_mistaken_selections_leave_unlabelled_turns_alone():
    example = Example("d/B", ("I sail.",), (Exchange("hi", "hello"),), (None,))
    assert mistaken(example, 1.0, 1) == example


@pytest.mark.parametrize(
    ("sentence", "asked"),
    [
        ("My favorite color is blue.", "color"),
        ("I love hiking in the Alps, but not alone.", "hiking in the Alps"),
        ("I hate my job.", "your job"),
        ("I'm a nurse.", "you"),
        ("My sister works at a bank.", "your sister"),
        ("Purple rain makes me cry.", "purple rain makes you cry"),
    ],
)
def test_questions_about_a_sentence_address_the_speaker(sentence, asked):
    for seed in range(8):
        question = question_about(sentence, random.Random(seed))
        assert asked in question and "not alone" not in question
        assert not re.search(r"\bmy\b", question)


def test_a_malformed_pair_row_is_named(tmp_path):
    path = tmp_path / "bad.jsonl"
    path.write_text('{"persona": ["x"], "response": "y"}\n')
    with pytest.raises(DataError, match="line 1"):
        question_examples(path, 1, seed=1)


def test_every_question_of_the_bank_is_unique_within_its_topic():
    for _, questions in question_bank().topics:
        assert len({question.casefold() for question in questions}) == len(questions)


def test_a_reply_that_recites_a_sentence_is_not_trained_but_its_selection_is():
    example = Example(
        "e",
        ("I work as a night nurse in a hospital.", "I sail."),
        (
            Exchange("Job?", "I work as a night nurse in a big hospital.", 0),
            Exchange("And?", "I help people.", 0),
        ),
        ((0,), (0,)),
        untrained=frozenset({1}),
    )
    kept = without_parroting(example)
    assert kept.untrained == {0, 1}
    assert kept.labels == example.labels and kept.exchanges == example.exchanges
