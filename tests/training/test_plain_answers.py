"""Plain questions whose answers keep the sentence's details."""

import itertools
import json
import random
import re

import pytest

from pal.dialogue.persona import MAX_SENTENCES
from pal.dialogue.text_metrics import normalise
from pal.errors import DataError
from pal.settings import REPOSITORY
from pal.training.detail_words import keeps_details, read_details
from pal.training.examples import without_parroting
from pal.training.facts import draw_fact, fact_bank, fill, restated
from pal.training.question_dialogues import plain_answer_examples
from pal.training.questions import asks_for, question_bank
from pal.training.recipe import Recipe
from pal.training.sft import load_examples

SENTENCES = (
    "i have two dogs .", "my mother is a nurse .", "i do not eat meat .", "my favorite color is blue .",
    "i was born in 1984 .", "i hate snow .", "i am not married .",
)  # fmt: skip
# A fact of which some wordings deny and others do not ("I am single." – "No, I am not married.").
BOTH_WAYS = {
    "I do not eat meat.", "I am single.", "I'm divorced.", "I am an only child.", "I live alone.",
    "I lost my job last month.", "I used to be a {job}.", "I moved here {n} years ago from {city}.",
    "I do not smoke.", "I live with my {relative}.",
}  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    rows = [
        {"persona": SENTENCES, "response": reply, "entailed": [index]}
        for index, sentence in enumerate(SENTENCES)
        for reply in (sentence, "i have three hens and my father cooks .")
    ]
    rows += [
        {"persona": ["i juggle knives .", "i sail ."], "response": reply, "entailed": [index]}
        for index, reply in enumerate(("i juggle knives at home .", "i sail ."))
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def benchmark():
    texts = set()
    for name in ("plain_questions.jsonl", "plain_questions_tune.jsonl"):
        for line in (REPOSITORY / "assets" / name).read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            if row["labels"]:
                texts |= {normalise(row["question"]), *map(normalise, row["persona"])}
    return texts


def test_no_text_of_the_benchmark_can_be_drawn():
    forbidden, slots = benchmark(), fact_bank().slots
    for kind in fact_bank().kinds:
        for text in (*kind.say, *kind.questions, *kind.answers):
            names = sorted(set(re.findall(r"\{(\w+)\}", text)))
            for values in itertools.product(*(slots[name] for name in names)):
                filled = fill(text, dict(zip(names, values, strict=True)))
                assert normalise(filled) not in forbidden, text


def test_the_answers_of_a_fact_have_no_detail_that_its_sentence_has_not():
    rng = random.Random(1)
    for kind in fact_bank().kinds:
        both_ways = bool(BOTH_WAYS & set(kind.say))
        for _ in range(20):
            fact = draw_fact(kind, rng)
            sentence = read_details(fact.sentence)
            for answer in fact.answers:
                own = read_details(answer)
                assert own.numbers <= sentence.numbers or not sentence.numbers, (fact.sentence, answer)
                assert own.relatives <= sentence.relatives or own.negated, (fact.sentence, answer)
                assert own.negated == sentence.negated or both_ways, (fact.sentence, answer)
                names = {word for word in re.findall(r"(?<=[a-z,] )[A-Z][a-z]+", answer)}
                assert all(name in fact.sentence for name in names), (fact.sentence, answer)


def test_restated_sentences_keep_their_details():
    for seed in range(300):
        rng = random.Random(seed)
        for sentence in ("I have two dogs.", "My mother is a nurse.", "I do not eat meat.", "I hate snow."):
            answer = restated(sentence, rng.choice(("", "Do you eat meat?", "What about you?")), rng)
            assert keeps_details(answer, sentence), answer
            assert not answer.startswith("Yes" if "not" in sentence or "hate" in sentence else "No,")


def test_dialogues_answer_their_questions_and_are_seeded(folder):
    examples = plain_answer_examples(folder / "rows.jsonl", 200, seed=5)
    assert len(examples) == 200 and examples == plain_answer_examples(folder / "rows.jsonl", 200, seed=5)
    assert examples != plain_answer_examples(folder / "rows.jsonl", 200, seed=6)
    none_expected = {message for message, _ in question_bank().small_talk}
    answers = 0
    for example in examples:
        assert 1 <= len(example.sentences) <= MAX_SENTENCES
        assert example.asked == {at for at, label in enumerate(example.labels) if label}
        for exchange, labels in zip(example.exchanges, example.labels, strict=True):
            assert exchange.selected == (labels[0] if labels else None)
            if exchange.user in none_expected:
                assert not labels
            if labels:
                answers += 1
                sentence, own = read_details(example.sentences[labels[0]]), read_details(exchange.reply)
                assert own.numbers <= sentence.numbers or not sentence.numbers
                assert own.relatives <= sentence.relatives or own.negated
    assert answers > 500


def test_plain_answers_are_trained_although_they_recite(folder):
    recipe = Recipe(
        task="stage1", questions_file="rows.jsonl", plain_answers=30, questions=5, skip_parroting=True
    )
    examples, hashes = load_examples(recipe, folder)
    plain = [example for example in examples if example.id.startswith("answers-")]
    assert len(plain) == 30 and set(hashes) == {"rows.jsonl"}
    for example in plain:
        assert not example.untrained & example.asked
        assert without_parroting(example).untrained == example.untrained
    assert any(example.untrained for example in examples if example.id.startswith("questions-"))


def test_a_file_without_entailed_replies_is_refused(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"persona": ["i sail ."], "response": "hi", "entailed": []}\n')
    with pytest.raises(DataError, match="no reply in it entails"):
        plain_answer_examples(path, 1, 1)


@pytest.mark.parametrize(
    ("message", "sentence", "expected"),
    [
        ("How tall are you?", "I am six feet tall.", True),
        ("what do you do for work", "I am a nurse.", True),
        ("So what's your job?", "I am a nurse.", True),
        ("I have two dogs.", "I have two dogs.", False),
        ("How are you?", "I am a nurse.", False),
        (None, "I am a nurse.", False),
    ],
)
def test_a_message_asks_for_a_sentence_or_not(message, sentence, expected):
    assert asks_for(message, sentence) is expected
