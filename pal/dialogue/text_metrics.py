"""Metrics of reply text, as pure functions: overlap, variety, and how much of a sentence is recited.

Gold text in the data is lower-case and tokenised, replies are ordinary
English, so every metric normalises both sides itself.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher

BLEU_STATISTICS = 10  # matches of orders 1-4, candidates of orders 1-4, both lengths
_PUNCTUATION = re.compile(r"[!\"#$%&()*+,\-./:;<=>?@\[\]\\^`{|}~_'’…]")
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*|[^\w\s]|_")

_FUNCTION_WORDS = """
i me my mine myself we us our ours ourselves you your yours yourself yourselves he him his himself she
her hers herself it its itself they them their theirs themselves this that these those who whom whose
which what am is are was were be been being do does did doing done have has had having will would shall
should can could may might must ought not no nor never none don doesn didn isn aren wasn weren hasn haven
hadn won wouldn couldn shouldn ain dont im ive id ill and or but if then than so because as until while
although though of at by for with about against between into through during before after above below to
from up down in out on off over under again once here there when where why how all any both each few more
most other some such only same too very just also really much many lot lots quite ever yes yeah yep nope
ok okay oh well hi hello hey please thanks thank s t m d re ve ll
"""
# Words of closed classes: they say nothing about a person. "not" and its kind are among them, since
# "don't" and "do not" must weigh alike; whether a reply contradicts is the consistency model's question.
# The last ones are what normalising leaves of contractions.
FUNCTION_WORDS = frozenset(_FUNCTION_WORDS.split())
PARROTS_FROM = 0.7  # of the sentence's content words, in order


def normalise(text: str) -> str:
    """Lower-case text without punctuation and articles, single spaces.

    Source: ParlAI ``core/metrics.py``, ``normalize_answer``; typographic
    apostrophes and ellipses count as punctuation too.
    """
    return " ".join(_ARTICLES.sub(" ", _PUNCTUATION.sub(" ", text.lower())).split())


def plain(text: str) -> str:
    """Lower-case text with straight apostrophes and none of the spaces that
    tokenising put around them (``don ' t`` becomes ``don't``)."""
    return re.sub(r"(?<=\w)\s*'\s*(?=(?:s|t|m|d|re|ve|ll)\b)", "'", text.lower().replace("’", "'"))


def words(text: str) -> list[str]:
    """Words and punctuation marks of the plain text, in order."""
    return _WORD.findall(plain(text))


def content_words(text: str) -> list[str]:
    """The normalised words without ``FUNCTION_WORDS``, in order."""
    return [word for word in normalise(text).split() if word not in FUNCTION_WORDS]


def unigram_f1(reply: str, gold: str) -> float:
    """F1 of the normalised words of reply and gold as bags, in [0, 1].

    Source: ParlAI ``core/metrics.py``, ``F1Metric``. 0 when no word is shared.
    """
    guess, truth = normalise(reply).split(), normalise(gold).split()
    shared = sum((Counter(guess) & Counter(truth)).values())
    if not shared:
        return 0.0
    precision, recall = shared / len(guess), shared / len(truth)
    return 2 * precision * recall / (precision + recall)


def _bleu():
    from sacrebleu.metrics import BLEU

    return BLEU(lowercase=True, tokenize="13a", smooth_method="exp")


def bleu_signature() -> str:
    """sacrebleu's description of the BLEU variant that is computed."""
    scorer = _bleu()
    scorer.corpus_score(["a"], [["a"]])
    return str(scorer.get_signature())


def bleu_statistics(replies: Sequence[str], golds: Sequence[str]) -> list[list[int]]:
    """Counts per pair that add up to the corpus's: shape (pairs, ``BLEU_STATISTICS``).

    Each row: n-gram matches of orders 1-4, n-gram counts of the reply of
    orders 1-4, words of the reply, words of the gold.
    """
    scorer = _bleu()
    rows = []
    for reply, gold in zip(replies, golds, strict=True):
        score = scorer.corpus_score([plain(reply)], [[plain(gold)]])
        rows.append([*score.counts, *score.totals, score.sys_len, score.ref_len])
    return rows


def bleu_from_statistics(total: Sequence[float]) -> float:
    """Corpus BLEU, 0 to 100, from summed ``bleu_statistics``."""
    from sacrebleu.metrics import BLEU

    counts = [int(value) for value in total]
    return BLEU.compute_bleu(counts[:4], counts[4:8], counts[8], counts[9], smooth_method="exp").score


def rouge_l(replies: Sequence[str], golds: Sequence[str]) -> list[float]:
    """ROUGE-L F-measure of each pair, in [0, 1], by rouge-score, no stemming."""
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rougeL"])
    return [
        scorer.score(target=gold, prediction=reply)["rougeL"].fmeasure
        for reply, gold in zip(replies, golds, strict=True)
    ]


def ngrams(text: str, order: int) -> list[tuple[str, ...]]:
    """The n-grams of one text's words; none cross from one text to the next."""
    tokens = words(text)
    return [tuple(tokens[start : start + order]) for start in range(len(tokens) - order + 1)]


def perplexity(log_probabilities: Sequence[float]) -> float:
    """exp of minus the mean natural log-probability per token; nan when empty."""
    if not log_probabilities:
        return math.nan
    return math.exp(-math.fsum(log_probabilities) / len(log_probabilities))


def copied_share(reply: str, sentence: str) -> float:
    """Length of the longest common subsequence of content words / the
    sentence's content words, in [0, 1]; 0 of a sentence that has none.

    In order but with gaps, so a sentence that is recited around an inserted
    word still counts; one whose words are taken up in another order does not.
    """
    persona_words = content_words(sentence)
    if not persona_words:
        return 0.0
    return _longest_common_subsequence(content_words(reply), persona_words) / len(persona_words)


def parrots(reply: str, sentence: str) -> bool:
    """The reply copies at least ``PARROTS_FROM`` of the sentence's content words in order."""
    return copied_share(reply, sentence) >= PARROTS_FROM


def recites(reply: str, sentences: Iterable[str]) -> bool:
    """The reply parrots at least one of the sentences."""
    return any(parrots(reply, sentence) for sentence in sentences)


def longest_copied_run(reply: str, sentence: str) -> int:
    """Words of the longest unbroken run that stands in both, function words
    included, after ``pal.dialogue.text_metrics.normalise``."""
    reply_words, sentence_words = normalise(reply).split(), normalise(sentence).split()
    return SequenceMatcher(None, reply_words, sentence_words, autojunk=False).find_longest_match().size


def _longest_common_subsequence(first: Sequence[str], second: Sequence[str]) -> int:
    """Its length, by dynamic programming row by row."""
    row = [0] * (len(second) + 1)
    for word in first:
        diagonal = 0
        for place, other in enumerate(second, 1):
            above = row[place]
            row[place] = diagonal + 1 if word == other else max(above, row[place - 1])
            diagonal = above
    return row[-1]
