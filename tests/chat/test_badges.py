"""Badges say what is wrong with a reply in words, and claim no contradiction that was not found."""

from dataclasses import replace

import pytest

from pal.chat.conversation import Reply
from pal.chat.wording import badges
from pal.dialogue.findings import Finding

SENTENCES = ("I drink five cups of coffee a day.", "My husband teaches maths.")
ENTAILED = ((0.02, 0.05, 0.93), (0.1, 0.6, 0.3))
NUMBER = Finding("number", "says 3, the persona says 5", 0, True)
PERSON = Finding("person", "says of the speaker what the persona says of the husband", 1, False)
HEARD = Finding("contradiction", "contradicts “My husband teaches maths”", 1, True, 0.7)


def shown(*findings, rows=ENTAILED):
    reply = Reply("aligned", "I drink three cups.", done=True, consistency=rows, findings=findings)
    return [badge.text for badge in badges(reply, SENTENCES)]


def test_a_changed_number_is_no_longer_entailed():
    assert shown(NUMBER) == [
        "✕ contradicts: I drink five cups of coffee a day. · says 3, the persona says 5",
        "· neutral: My husband teaches maths. · 60 %",
    ]


def test_what_differs_without_contradicting_is_said():
    text = shown(PERSON)[1]
    assert text.startswith("· differs from: My husband") and "says of the speaker" in text


def test_a_contradiction_heard_by_the_model_has_its_probability():
    assert shown(HEARD)[1] == "✕ contradicts: My husband teaches maths. · 70 %"


def test_a_contradiction_of_the_whole_reply_alone_is_below_the_operating_point():
    assert shown(rows=((0.9, 0.08, 0.02), (0.1, 0.6, 0.3)))[0].startswith("· neutral")


@pytest.mark.parametrize("findings", [None, ()])
def test_without_findings_the_likeliest_label_stands(findings):
    reply = Reply("aligned", "Five.", done=True, consistency=ENTAILED, findings=findings)
    assert [badge.label for badge in badges(reply, SENTENCES)] == ["entailment", "neutral"]
    contradicted = replace(reply, consistency=((0.9, 0.05, 0.05), ENTAILED[1]))
    expected = "contradiction" if findings is None else "neutral"
    assert badges(contradicted, SENTENCES)[0].label == expected
