"""Hand-counted copying."""

import random

import pytest
from rouge_score.rouge_scorer import RougeScorer

from pal.dialogue.text_metrics import content_words, copied_share, longest_copied_run, parrots

SENTENCE = "I work nights as a nurse on a children's ward."  # work nights nurse children ward


@pytest.mark.parametrize(
    ("reply", "share", "parroting"),
    [
        ("I work nights as a nurse on a children's ward.", 1.0, True),
        ("Well, I work long nights, as a tired nurse, on the children's ward!", 1.0, True),
        ("I work nights as a nurse.", 3 / 5, False),
        ("I'm a nurse, I work nights.", 2 / 5, False),  # another order: work nights
        ("I am fine, thanks.", 0.0, False),
        ("", 0.0, False),
    ],
)
def test_share_of_content_words_copied_in_order(reply, share, parroting):
    assert copied_share(reply, SENTENCE) == pytest.approx(share)
    assert parrots(reply, SENTENCE) is parroting


def test_seventy_percent_is_parroting():
    sentence = "one two three four five six seven eight nine ten"
    assert parrots("one two three four five six seven", sentence)
    assert not parrots("one two three four five six", sentence)


def test_a_sentence_without_content_words_cannot_be_parroted():
    assert copied_share("I am who I am.", "I am who I am.") == 0
    assert not parrots("I am who I am.", "")


def test_share_is_rouge_scores_recall_of_the_longest_common_subsequence():
    rng, scorer = random.Random(0), RougeScorer(["rougeL"])
    vocabulary = ["tea", "milk", "sugar", "cup", "spoon"]
    for _ in range(50):
        reply, sentence = (" ".join(rng.choices(vocabulary, k=rng.randrange(1, 9))) for _ in range(2))
        assert content_words(reply) == reply.split()
        assert copied_share(reply, sentence) == pytest.approx(scorer.score(sentence, reply)["rougeL"].recall)


@pytest.mark.parametrize(
    ("reply", "run"),
    [
        ("I work nights as a nurse.", 5),  # i work nights as nurse: articles do not count
        ("My children work nights, too.", 2),
        ("Nice!", 0),
        ("", 0),
    ],
)
def test_longest_unbroken_run(reply, run):
    assert longest_copied_run(reply, SENTENCE) == run
