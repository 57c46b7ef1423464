"""The answer checker on a stand-in for the consistency model that goes by shared words."""

import re

import numpy as np
import pytest

from pal.evaluation.answers import check_answer, polarity, repeats, statement
from pal.models.contradictions import contradictions

PERSONA = [
    "I teach art at a primary school.",
    "My husband teaches maths.",
    "I drink five cups of coffee a day.",
]


class SharedWords:
    """Entailed when a word of five letters is shared; contradicted as told."""

    def __init__(self, contradicted=()):
        self.contradicted = set(contradicted)

    def probabilities(self, pairs):
        rows = []
        for sentence, reply in pairs:
            shared = set(re.findall(r"\w{5,}", sentence.lower())) & set(re.findall(r"\w{5,}", reply.lower()))
            entails, contradicts = bool(shared), (sentence, reply) in self.contradicted
            rows.append(
                [0.9, 0.05, 0.05] if contradicts else [0.05, 0.05, 0.9] if entails else [0.1, 0.8, 0.1]
            )
        return np.array(rows)


def check(question, reply, place, scorer=None):
    return check_answer(question, reply, PERSONA, place, scorer or SharedWords())


def test_a_right_answer_has_no_findings():
    verdict = check("Which subject do you teach?", "I teach art at a school.", 0)
    assert verdict.right and verdict.findings == ()


def test_a_changed_number_is_wrong_and_said_in_words():
    verdict = check("How much coffee do you drink?", "I drink three cups of coffee.", 2)
    assert not verdict.right
    assert verdict.findings[0].text == "says 3, the persona says 5"


def test_a_number_in_figures_is_the_same():
    assert check("How much coffee do you drink?", "I drink 5 cups of coffee.", 2).right


def test_somebody_elses_fact_is_wrong():
    verdict = check("What does your husband teach?", "I teach maths at school.", 1)
    assert "person" in {finding.kind for finding in verdict.findings}


@pytest.mark.parametrize("reply", ["I am not sure, I don't know.", "I like to read in the evening."])
def test_what_does_not_say_the_sentence_is_wrong(reply):
    verdict = check("How much coffee do you drink?", reply, 2)
    assert {finding.kind for finding in verdict.findings} & {"evades", "unsupported"}


def test_one_of_several_sentences_is_enough():
    assert check("What do you teach?", "I teach art at a school.", (2, 0)).right


@pytest.mark.parametrize("places", [(), 3, (0, -1)])
def test_a_sentence_the_persona_does_not_have_is_refused(places):
    with pytest.raises(ValueError, match="the persona has 3"):
        check("What do you teach?", "Art.", places)


def test_the_model_judges_clauses_about_the_same_person_only():
    scorer = SharedWords({(PERSONA[1], "I teach nothing."), (PERSONA[2], "I teach nothing.")})
    [finding] = contradictions(PERSONA, "I teach nothing.", "", scorer)
    assert finding.sentence == 2 and finding.text == f"contradicts “{PERSONA[2][:-1]}”"


@pytest.mark.parametrize(
    "question, stated",
    [
        ("Do you smoke?", "I do smoke."),
        ("Are you tall?", "I am tall."),
        ("Does your husband like dancing?", "My husband does like dancing."),
        ("Was your father around when you grew up?", "My father was around when I grew up."),
        ("Have you ever hurt yourself badly?", "I have ever hurt myself badly."),
        ("Where do you live?", ""),
        ("I turn forty next week!", ""),
    ],
)
def test_a_yes_no_question_as_a_statement(question, stated):
    assert statement(question) == stated


@pytest.mark.parametrize(
    "question, reply, expected",
    [
        ("Do you smoke?", "Yes, a pipe.", 1),
        ("Do you smoke?", "I do.", 1),
        ("Do you smoke?", "I do not.", -1),
        ("Do you smoke?", "Oh no, never.", -1),
        ("Do you smoke?", "I don't smoke, it is bad.", -1),
        ("Do you smoke?", "A pipe, in the evening.", 0),
        ("Do you smoke?", "No problem, come in.", 0),
    ],
)
def test_yes_no_and_neither(question, reply, expected):
    assert polarity(question, reply) == expected


def test_a_no_where_the_sentence_says_yes_is_wrong():
    verdict = check_answer("Do you drink coffee?", "No, coffee is bad.", PERSONA, 2, SharedWords())
    assert "polarity" in {finding.kind for finding in verdict.findings}


def test_repetition():
    assert repeats("I am I am I am I am") and not repeats("I am very, very, very happy.")
