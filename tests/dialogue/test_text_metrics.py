"""Text metrics against the libraries they come from and against hand counts."""

import math

import numpy as np
import pytest
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics import BLEU

from pal.dialogue import text_metrics
from pal.evaluation.measures import distinct_statistic

REPLIES = [
    "I don't eat meat, but I love cooking for my friends.",
    "That sounds great! What do you do on weekends?",
    "I work at the harbour.",
]
GOLDS = [
    "i don't eat meat , but i love to cook for friends .",
    "sounds great ! what are you doing this weekend ?",
    "i drive a truck for a living .",
]


def test_normalise_drops_case_punctuation_and_articles():
    assert text_metrics.normalise("The cat, an OWL -- and a dog's bone!") == "cat owl and dog s bone"


@pytest.mark.parametrize(
    ("reply", "gold", "expected"),
    [
        ("I have a dog.", "i have the dog !", 1.0),
        ("I have two dogs", "i have cats", 2 * (2 / 4) * (2 / 3) / (2 / 4 + 2 / 3)),
        ("yes yes yes", "yes", 2 * (1 / 3) * 1 / (1 / 3 + 1)),
        ("hello", "goodbye", 0.0),
        ("", "hi", 0.0),
        ("the", "a", 0.0),
    ],
)
def test_unigram_f1_counts_words_as_bags(reply, gold, expected):
    assert text_metrics.unigram_f1(reply, gold) == pytest.approx(expected)


def bleu(replies, golds):
    rows = np.array(text_metrics.bleu_statistics(replies, golds))
    assert rows.shape == (len(replies), text_metrics.BLEU_STATISTICS)
    return text_metrics.bleu_from_statistics(rows.sum(axis=0))


def test_tokenised_and_natural_spelling_of_one_sentence_are_the_same_to_every_metric():
    natural, tokenised = "Yes, I'm a nurse, and I don't smoke.", "yes , i ' m a nurse , and i don ' t smoke ."
    assert text_metrics.unigram_f1(natural, tokenised) == 1
    assert bleu([natural], [tokenised]) == pytest.approx(100)
    assert text_metrics.rouge_l([natural], [tokenised]) == [1]
    assert text_metrics.words(natural) == text_metrics.words(tokenised)


def test_bleu_is_sacrebleus_with_replies_as_hypotheses():
    expected = BLEU(lowercase=True).corpus_score(REPLIES, [GOLDS]).score
    swapped = BLEU(lowercase=True).corpus_score(GOLDS, [REPLIES]).score
    assert bleu(REPLIES, GOLDS) == pytest.approx(expected)
    assert abs(expected - swapped) > 0.1


def test_bleu_golden_value():
    # 1-grams 5/6, 2-grams 3/5, 3-grams 1/4, 4-grams 0/3 smoothed to 1/(2·3); no brevity penalty
    value = 100 * (5 / 6 * 3 / 5 * 1 / 4 * 1 / 6) ** 0.25
    assert bleu(["the cat sat on the mat"], ["the cat is on the mat"]) == pytest.approx(value)


def test_rouge_l_is_rouge_scores():
    scorer = RougeScorer(["rougeL"])
    expected = [
        scorer.score(gold, reply)["rougeL"].fmeasure for reply, gold in zip(REPLIES, GOLDS, strict=True)
    ]
    assert text_metrics.rouge_l(REPLIES, GOLDS) == pytest.approx(expected)
    assert text_metrics.rouge_l(["a b c d"], ["a c d e f"]) == pytest.approx(
        [2 * (3 / 4) * (3 / 5) / (3 / 4 + 3 / 5)]
    )


def test_distinct_divides_by_ngrams_and_none_crosses_replies():
    texts, both = ["I like tea", "I like tea too"], np.ones(2)
    assert distinct_statistic(texts, 1)(both) == pytest.approx(4 / 7)
    assert distinct_statistic(texts, 2)(both) == pytest.approx(3 / 5)
    assert distinct_statistic(texts, 2)(np.array([0.0, 1.0])) == pytest.approx(1)
    assert math.isnan(distinct_statistic(["hello"], 2)(np.ones(1)))


def test_perplexity_of_a_uniform_guess_is_the_number_of_options():
    assert text_metrics.perplexity([math.log(1 / 8)] * 5) == pytest.approx(8)
    assert text_metrics.perplexity([math.log(0.5), math.log(0.125)]) == pytest.approx(4)
    assert math.isnan(text_metrics.perplexity([]))
