"""Shares of right answers and the checker's agreement, on replies made up for it."""

import json

import numpy as np
import pytest

from pal.chat.responder import Responder
from pal.chat.variants import shipped
from pal.dialogue.findings import Finding
from pal.dialogue.persona import Persona
from pal.dialogue.prompt import Renderer
from pal.engines.base import Decoding
from pal.errors import DataError, EngineError
from pal.evaluation.answer_measures import (
    LABELLED,
    SPLITS,
    Answer,
    LabelledAnswer,
    agreement,
    as_rows,
    kappa_of,
    read_answers,
    read_labelled,
    readers,
    right_shares,
    sample,
    summary,
)
from pal.evaluation.answers import AnswerVerdict
from pal.evaluation.questions import PlainQuestion
from tests.evaluation.fakes import CharacterTokenizer, ScriptedEngine

RIGHT = AnswerVerdict(True, ())
WRONG = AnswerVerdict(False, (Finding("number", "says 3, the persona says 5", 0, True),))
VAGUE = AnswerVerdict(False, (Finding("evades", "does not answer", 0, False),))
ROW = {"persona": ["I smoke."], "question": "Do you?", "sentence": [0], "variant": "a", "reply": "Yes."}


def question(number):
    return PlainQuestion(
        Persona((f"I drink {number} cups.", "I live in Leeds.")), f"How many {number}?", (0,)
    )


def answer(number, variant="stage1"):
    return Answer(question(number), variant, "Five.")


def test_shares_and_paired_differences():
    answers = [answer(number, variant) for number in range(10) for variant in ("stage1", "aligned")]
    verdicts = [RIGHT if variant == "aligned" or number < 5 else WRONG for number in range(10) for variant in
                ("stage1", "aligned")]  # fmt: skip
    found = right_shares(answers, verdicts)
    assert found["variants"]["stage1"]["right"]["value"] == 0.5
    assert found["variants"]["stage1"]["contradicts"]["value"] == 0.5
    assert found["variants"]["stage1"]["findings"]["number"]["value"] == 0.5
    assert found["variants"]["aligned"]["right"]["value"] == 1.0
    assert found["variants"]["aligned"]["right"]["low"] < 1
    assert found["differences"]["aligned - stage1"]["value"] == 0.5


def test_a_difference_needs_questions_that_both_answered():
    found = right_shares([answer(1, "stage1"), answer(2, "aligned")], [RIGHT, RIGHT])
    assert found["differences"]["aligned - stage1"] is None


def test_agreement_counts_what_the_checker_finds_and_misses():
    labels = [
        (True, False, "right"),
        (False, True, "wrong-detail"),
        (False, False, "evades"),
        (True, False, "right"),
    ]
    labelled = [
        LabelledAnswer(answer(number), "held-out", right, contradicts, reason)
        for number, (right, contradicts, reason) in enumerate(labels)
    ]
    found = agreement(labelled, [RIGHT, WRONG, RIGHT, VAGUE])
    assert found["tune"] == {"answers": 0}
    wrong = found["held-out"]["wrong"]
    assert (wrong["read"], wrong["checked"]) == (2, 2)
    assert wrong["precision"]["value"] == wrong["recall"]["value"] == 0.5 and wrong["kappa"]["value"] == 0
    assert found["held-out"]["contradicts"]["f1"]["value"] == 1
    assert found["held-out"]["findings"]["number"] == {"answers": 1, "wrong": 1, "contradicts": 1}
    assert found["held-out"]["missed"]["evades"] == {"answers": 1, "missed": 1}
    assert found["held-out"]["variants"]["stage1"]["read"]["value"] == 0.5


def test_kappa_is_scikit_learns():
    first = np.array([1, 1, 0, 0, 1, 0, 1, 1, 0, 1], bool)
    second = np.array([1, 0, 0, 0, 1, 1, 1, 1, 0, 1], bool)
    assert kappa_of(first, second)(np.ones(10)) == pytest.approx(0.5833333)  # cohen_kappa_score


def test_two_readers():
    rows = [LabelledAnswer(answer(n), "tune", n < 5, False, "right", n < 4, False) for n in range(10)]
    rows.append(LabelledAnswer(answer(11), "tune", True, False, "right"))
    found = readers(rows)
    assert found["answers"] == 10 and found["right"]["agreement"]["value"] == 0.9
    assert readers(rows[-1:]) == {"answers": 0}


def test_the_summary_and_the_rows_can_be_read():
    answers, verdicts = [answer(1), answer(2)], [RIGHT, WRONG]
    labelled = [LabelledAnswer(one, "tune", True, False, "right", True, False) for one in answers]
    text = summary(
        right_shares(answers, verdicts)
        | {"agreement": agreement(labelled, verdicts), "readers": readers(labelled)}
    )
    assert "stage1" in text and "Checker, tune, “wrong”" in text and "Two readers on 2 replies" in text
    json.dumps(as_rows(answers, verdicts))


def responder(**engine):
    engine = ScriptedEngine(lambda variant, prompt, options: (1.0,) + (0.0,) * (options - 1), **engine)
    return Responder(engine, Renderer(CharacterTokenizer()), shipped())


def test_every_variant_answers_every_question():
    variants = shipped().names
    answers = list(sample([question(1), question(2)], variants, responder(), Decoding(), 0))
    assert len(answers) == 2 * len(variants) and answers[0].reply.endswith("says hello.")


def test_a_variant_that_fails_is_named():
    with pytest.raises(EngineError, match="aligned failed on question 0"):
        list(sample([question(1)], shipped().names, responder(fails="aligned"), Decoding(), 0))


@pytest.mark.parametrize(
    "change, message",
    [
        ({"sentence": [1]}, "does not have"),
        ({"sentence": []}, "does not have"),
        ({"persona": []}, "line 1"),
        ({"reply": None, "variant": None, "question": None, "sentence": None}, "are expected"),
    ],
)
def test_a_malformed_reply_is_named(tmp_path, change, message):
    path = tmp_path / "replies.jsonl"
    path.write_text(json.dumps(ROW | change) + "\n")
    with pytest.raises(DataError, match=message):
        read_answers(path)


def test_a_labelled_reply_needs_its_labels(tmp_path):
    path = tmp_path / "replies.jsonl"
    path.write_text(json.dumps(ROW | {"split": "tune", "right": "yes", "contradicts": False}) + "\n")
    with pytest.raises(DataError, match="split, right and contradicts"):
        read_labelled(path)


def test_the_labelled_replies_of_the_repository():
    rows = read_labelled()
    assert len(rows) >= 400 and {row.split for row in rows} == set(SPLITS)
    assert not any(row.right and row.contradicts for row in rows)
    splits = {}
    for row in rows:  # a question is in one split with all its replies
        key = (row.answer.question.persona, row.answer.question.question)
        assert splits.setdefault(key, row.split) == row.split
    assert sum(row.right_2 is not None for row in rows) >= 100
    assert LABELLED.with_suffix(".md").is_file()
