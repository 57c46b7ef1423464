"""The rules on minimal pairs: one detail changed is found, the same sentence in other words is not."""

from pathlib import Path

import pytest

from pal.dialogue.findings import Finding, asked_findings, findings

PAIRS = [
    [field.strip() for field in line.split("|")]
    for line in Path(__file__).with_name("minimal_pairs.txt").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
]


@pytest.mark.parametrize("kind, sentence, right, wrong", PAIRS)
def test_a_changed_detail_is_found(kind, sentence, right, wrong):
    assert kind in {finding.kind for finding in findings([sentence], wrong)}


@pytest.mark.parametrize("kind, sentence, right, wrong", PAIRS)
def test_the_same_in_other_words_is_not(kind, sentence, right, wrong):
    assert findings([sentence], right) == ()


@pytest.mark.parametrize("kind, sentence, right, wrong", PAIRS)
def test_a_sentence_agrees_with_itself(kind, sentence, right, wrong):
    assert findings([sentence], sentence) == ()


@pytest.mark.parametrize(
    "sentence, reply",
    [
        ("I drink five cups of coffee a day.", "I do not drink alcohol."),
        ("I have never eaten meat.", "I eat fish."),
        ("I play the banjo.", "I don't play football."),
        ("I was born in Naples.", "I am from Italy."),
        ("My husband teaches maths at the university.", "I teach art."),
        ("I own over a thousand records.", "I have 1010 records."),
        ("I have been a postman for eighteen years.", "I am forty-four years old."),
        ("I like jazz.", "When I am not listening to jazz, I read."),
    ],
)
def test_what_only_sounds_alike_is_not_found(sentence, reply):
    assert findings([sentence], reply) == ()


def test_a_finding_says_what_is_wrong_and_about_which_sentence():
    persona = ["I live in Leeds.", "I drink five cups of coffee a day."]
    [finding] = findings(persona, "I drink three cups of coffee.")
    assert finding == Finding("number", "says 3, the persona says 5", 1, True)


@pytest.mark.parametrize(
    "question, sentence, reply, kinds",
    [
        ("What's your stepson's name?", "I have a stepson called Theo.", "I have a stepson.", ["name"]),
        ("What's your stepson's name?", "I have a stepson called Theo.", "Theo.", []),
        ("What's your dog called?", "I have a beagle called Toffee.", "My dog is called Toffie.", ["name"]),
        ("How old are you?", "I am nineteen years old.", "I am twenty!", ["number"]),
        (
            "I turn forty-four next week!",
            "I am forty-four years old.",
            "I am sixty-five, and you?",
            ["number"],
        ),
        ("What colour is your front door?", "My house has a red door.", "Black.", ["colour"]),
        ("What colour is your front door?", "My house has a red door.", "Red.", []),
        ("Who owns a helicopter?", "My neighbour owns a helicopter.", "I have a helicopter.", ["person"]),
        ("Do you like garlic?", "I can't stand garlic.", "My husband does not like garlic.", ["person"]),
        ("Which games do you play?", "I play chess.", "I am not sure, I don't know. Do you?", ["evades"]),
        ("Which games do you play?", "I play chess.", "I'm not sure. I play chess.", []),
    ],
)
def test_what_was_asked_for_is_compared(question, sentence, reply, kinds):
    assert [finding.kind for finding in asked_findings(question, reply, sentence, 0)] == kinds
