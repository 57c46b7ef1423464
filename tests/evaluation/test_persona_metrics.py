"""Hand-counted values of the persona metrics."""

import math

import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import f1_score
from sklearn.preprocessing import MultiLabelBinarizer

from pal.dialogue.text_metrics import content_words, normalise
from pal.evaluation.persona_metrics import (
    CONTRADICTS,
    ENTAILS,
    NEUTRAL,
    c_score,
    contradicts,
    entails,
    persona_coverage,
    persona_f1,
    verdict,
)
from pal.evaluation.selection_metrics import inverse_document_frequency

PERSONA = ("I have two dogs.", "I work at a bank in Leeds.", "My favourite food is pizza.")
REPLIES = ("I walk my two dogs in Leeds.", "I work at the bank.", "Pizza, pizza, pizza!", "Hello!")


@pytest.mark.parametrize(
    ("probabilities", "expected"),
    [((0.7, 0.2, 0.1), CONTRADICTS), ((0.2, 0.5, 0.3), NEUTRAL), ((0.1, 0.2, 0.7), ENTAILS)],
)
def test_the_verdict_is_the_largest_probability(probabilities, expected):
    assert verdict(probabilities) == expected


@pytest.mark.parametrize(
    ("verdicts", "score", "entailing", "contradicting"),
    [
        ((1, 1, 0, -1), 1, True, True),
        ((1, -1, -1), -1, True, True),  # a maximum over sentences would hide both contradictions
        ((0, 0, 0), 0, False, False),
        ((-1,), -1, False, True),
        ((), 0, False, False),
    ],
)
def test_c_score_is_the_sum_over_sentences(verdicts, score, entailing, contradicting):
    assert (c_score(verdicts), entails(verdicts), contradicts(verdicts)) == (score, entailing, contradicting)


def test_content_words_are_the_same_for_contracted_and_tokenised_text():
    assert content_words("I don't have a dog, but I'm a nurse!") == ["dog", "nurse"]
    assert content_words("i do not have a dog , but i am a nurse !") == ["dog", "nurse"]
    assert content_words("i don ' t") == content_words("") == []


def test_coverage_takes_the_sentence_with_the_most_idf_and_counts_a_word_once():
    idf = {"dogs": 2.0, "two": 1.0, "leeds": 3.5, "i": 0.1, "work": 1.5, "bank": 1.5}
    assert persona_coverage("I walk my two dogs in Leeds.", PERSONA, idf) == pytest.approx(3.6)  # i, leeds
    assert persona_coverage("Two dogs, two DOGS", PERSONA, idf) == pytest.approx(3.0)
    assert persona_coverage("Unknown words", PERSONA, idf) == 0
    assert persona_coverage("", PERSONA, idf) == persona_coverage("Two dogs", (), idf) == 0
    assert persona_coverage("Leeds", PERSONA[1:2], idf) == 3.5


def test_coverage_with_scikit_learns_idf_and_overlaps():
    documents = [*PERSONA, "I have a cat.", "Leeds is nice."]
    # scikit-learn's unsmoothed idf is ln(n / df) + 1
    vectorizer = TfidfVectorizer(
        analyzer=lambda text: normalise(text).split(), smooth_idf=False, norm=None, binary=True
    ).fit(documents)
    idf = {word: vectorizer.idf_[place] - 1 for word, place in vectorizer.vocabulary_.items()}
    assert idf == pytest.approx(inverse_document_frequency(documents))
    present = (vectorizer.transform(PERSONA) > 0).toarray()
    for reply in REPLIES:
        said = (vectorizer.transform([reply]) > 0).toarray()[0]
        expected = ((present & said) * (vectorizer.idf_ - 1)).sum(axis=1).max()
        assert persona_coverage(reply, PERSONA, inverse_document_frequency(documents)) == pytest.approx(
            expected
        )


def test_persona_f1_golden_value():
    # persona: two dogs work bank leeds favourite food pizza (8); reply: walk two dogs leeds (4); 3 shared
    assert persona_f1(REPLIES[0], PERSONA) == pytest.approx(2 * (3 / 4) * (3 / 8) / (3 / 4 + 3 / 8))
    assert persona_f1("", PERSONA) == persona_f1("Hello there!", PERSONA) == persona_f1("dogs", ()) == 0
    assert persona_f1("Two dogs", PERSONA[:1]) == 1


def test_persona_f1_is_scikit_learns_f1_of_the_word_sets():
    own = {word for sentence in PERSONA for word in content_words(sentence)}
    for reply in REPLIES:
        truth, said = MultiLabelBinarizer().fit_transform([own, set(content_words(reply))])
        assert persona_f1(reply, PERSONA) == pytest.approx(f1_score(truth, said))


def test_a_word_in_every_document_weighs_nothing():
    idf = inverse_document_frequency(["i sail", "i cook"])
    assert idf["i"] == 0 and idf["sail"] == pytest.approx(math.log(2))
    assert persona_coverage("I do", ["I sail"], idf) == 0
