"""What the report says around its tables: how each number is defined, as prose."""

MEASURED = """\
{turns:,} turns of {dialogues:,} dialogues of `{file}` (part “{part}”; {persona_turns:,} turns labelled
with a persona sentence, {none_turns:,} with none). The history is the data's, earlier selections are each
model's own; replies {decoding}{engines}. Intervals by bootstrap over dialogues."""

REPLIES = """\
**C.score**: sum over the persona's sentences of +1 entailed, 0 neutral, −1 contradicted by the reply,
mean over replies; **entails**, **contradicts**: replies that do so to at least one sentence. The verdicts
are those of the consistency model of this repository. **relevance**: cosine of the MiniLM embeddings of
the user's message and the reply. **parrots**: copies at least 70 % of a sentence's content words in order.
**F1**: words shared with the gold reply."""

ABLATIONS = """\
Stage 1 is the aligned model without Stage 2; “no selection” is told to XX \
differences are to the contender that each one changes."""

OVERLAP = """\
**P.Cover**: summed idf of the words that the reply shares with the sentence it shares most with.
**persona F1**: content words of the reply and of the whole persona."""

PARROTING = """\
A reply parrots a sentence when it copies at least 70 % of its content words in order. “Its sentence” is
the selected one, over the turns that have one; of the gold replies the labelled one."""

GOLD = """\
Perplexity is that of the gold replies, after the contender's own selections. Distinct-n is comparable at
this number of replies only; its intervals are jackknife intervals over dialogues."""

DIFFERENCES = (
    "On the same resamples of dialogues, pp: percentage points; bold where the interval leaves out 0."
)

WINS = """\
On every turn the reply with the higher C-score wins; on equal C-scores the more relevant one, if by more
than {margin:g}; else it is a tie. The win rate is wins + ties / 2."""

SELECTION_TIES = "Ties count as their share, so “always none” has chance hit@1."

PURE = "Pure PAL, without the embedding prior that the page adds:"

QUESTIONS = """\
{questions} messages of our own (`assets/plain_questions.jsonl`); {unanswerable} have no answer in the
persona. Wilson intervals."""

BENCH = """\
`python -m pal bench` on {cpus} cores ({processor}): a three-way turn with {reply_tokens}-token replies
takes {turn_seconds:.2f} s (median; p95 {turn_seconds_p95:.2f} s), the first token
{first_token_seconds:.2f} s, {tokens_per_second:.0f} tokens/s in all; {speedup_vs_transformers:.1f} times
as fast as plain transformers in fp32 and {speedup_vs_no_reuse:.1f} times as fast as llama.cpp without
prefix reuse; peak memory {peak_rss_mb:.0f} MB, start-up {startup_seconds:.1f} s."""

RELEVANCE = """\
{pairs} gold replies of `{file}` (part “{part}”), each against a random gold reply of another dialogue,
for the same message. Accuracy: the true reply scores higher. Intervals: bootstrap over dialogues."""

RELEVANCE_MARGIN = """\
The first measure is used. Where the two replies differ by more than the win rate's margin, {value:g}
({decided:.0%} of the pairs), it is right in {right:.0%}."""

SAMPLES = """\
The rule: {rule}; written {decoding}, nothing picked by hand. The verdicts are the consistency
model's, by number of the sentence."""

ALL_SAMPLES = "all {total} dialogues of `assets/sample_dialogues.jsonl`, our own writing"

SOME_SAMPLES = f"{{count}} drawn with seed {{seed}} of {ALL_SAMPLES}"

PLOTS = {
    "replies": "Consistency, relevance and parroting of each contender's replies, with 95 % intervals",
    "win_rates": "Win rates of each pair of contenders",
    "selection": "Selection metrics of each selector, with 95 % intervals",
}
